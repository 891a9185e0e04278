"""The ways to serve a model that benchmarks/serving.py compares; each runs in an environment of its own."""
