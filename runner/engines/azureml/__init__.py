"""Runs the phases on Azure ML: one pipeline job for all that are to run, one command component for each.

Each component runs `trey phase` in a snapshot of the project, and its gates are judged there by the same code. What
comes back is checked before it counts, and the run judges the gates once more.
"""

from runner.engines.azureml.engine import AzureEngine

__all__ = ["AzureEngine"]
