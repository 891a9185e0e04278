"""Where what a phase reads lies: on this machine, from which it travels or cannot, or in a data asset by its name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner import parameters
from runner.pipeline import Pipeline

ASSET = "azureml:"  # begins the name of a data asset's version: azureml:NAME:VERSION
_ASSET = re.compile(rf"{ASSET}(?P<name>[\w.-]+):(?P<version>[\w.-]+)")


def named(values: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Give name and version of the data assets that a phase reads, by the parameter that names each."""
    found = {name: _ASSET.fullmatch(value) for name, value in values.items() if _is_asset(name, value)}
    return {name: (match["name"], match["version"]) for name, match in found.items() if match}


def travelling(pipeline: Pipeline, phase: str, values: Mapping[str, Any]) -> dict[str, Path]:
    """Give the files and folders on this machine that a phase reads, by the parameter that names them.

    What does not exist is left out: a phase may cope with that, and is told the same path.
    """
    return {
        name: Path(value)
        for name, value in values.items()
        if parameters.is_input(name) and _is_path(name, value) and Path(value).exists()
        if not parameters.filled_by_runner(pipeline, phase, name)
    }


def faults(pipeline: Pipeline, phase: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Name the parameters of a phase that mean something on this machine alone, and say what to give instead."""
    for name, value in values.items():
        if _is_asset(name, value) and not _ASSET.fullmatch(value):
            yield f"{phase}.{name} is {value}, which names no version of a data asset; give azureml:NAME:VERSION"
        elif parameters.is_secret(name, value) and not value.startswith("keyvault:"):
            said = "a reference that leads nowhere on Azure ML; give keyvault:VAULT/NAME"
            yield f"{phase}.{name} is {value}, {said}"
        elif name.endswith("_store") and _is_path(name, value):
            said = (
                "a folder on this machine, which a compute does not have; give the address of a workspace, azureml://…"
            )
            yield f"{phase}.{name} is {value}, {said}"
    for rule in pipeline.gates.get(phase, ()):
        for reference in rule.references:
            if reference.phase not in pipeline.edges[phase]:
                said = f"but {phase} does not read {reference.phase}'s folder, which brings the evidence to its compute"
                yield f"a gate of {phase} asks {reference}, {said}: declare {reference.phase}_dir in {phase}.ipynb"


def _is_asset(name: str, value: Any) -> bool:
    is_name = isinstance(value, str) and value.startswith(ASSET) and not value.startswith(f"{ASSET}//")
    return is_name and parameters.is_input(name)


def _is_path(name: str, value: Any) -> bool:
    """Tell whether a value is a path here: absolute, since parameters are resolved."""
    if not isinstance(value, str) or not value or parameters.is_secret(name, value):
        return False
    return not parameters.is_address(value) and Path(value).is_absolute()
