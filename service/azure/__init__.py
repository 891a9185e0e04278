"""What Azure ML's inference server runs."""
