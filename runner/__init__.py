"""Executes notebooks, records runs, reads scraps, judges gates, renders reports. Knows nothing of compliance."""
