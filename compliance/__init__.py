"""The domain: data, text, model, export, metrics. Values in, values out."""
