"""Scoring web service: ONNX Runtime, no TensorFlow."""
