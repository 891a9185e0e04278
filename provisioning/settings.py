"""Reads params/provision.yaml: what the clusters of a workspace are, which data it keeps, and its endpoints."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud.errors import BadSettings

_KEYS = ("clusters", "data", "endpoints")
_CLUSTER = ("size", "most_nodes", "idle_minutes")
_MOST = 1_000
_SIZE = re.compile(r"[A-Za-z0-9_-]+")
_ASSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")  # as Azure ML names what it keeps


@dataclass(frozen=True)
class Machines:
    """What the machines of a kind of compute are.

    Attributes:
        size: As Azure names it.
        most: How many there may be at once.
        idle_minutes: How long one waits for the next job.
    """

    size: str
    most: int
    idle_minutes: int


@dataclass(frozen=True)
class Settings:
    """What a workspace shall have, besides what `--engine azureml` names.

    Attributes:
        clusters: By the kind of compute.
        data: The file or folder of each data asset.
        endpoints: By the name of a model, the environments in which it answers.
    """

    clusters: Mapping[str, Machines]
    data: Mapping[str, Path]
    endpoints: Mapping[str, tuple[str, ...]]


def read(
    path: Path, content: Mapping[Any, Any], kinds: Mapping[str, str], endpoint_fault: Callable[[str, str], str]
) -> Settings:
    """Read the settings.

    Args:
        path: The file, for messages and for paths in it.
        content: What stands in it.
        kinds: The cluster of each kind of compute, as params/azure.yaml names them.
        endpoint_fault: Says why a model can have no endpoint in an environment; empty where it can.

    Raises:
        BadSettings: Something in it is wrong; every fault is listed.
    """
    faults = [f"{key} is no key; allowed are {', '.join(_KEYS)}" for key in content if key not in _KEYS]
    clusters, given = {}, content.get("clusters") or {}
    if not isinstance(given, dict):
        faults.append(f"clusters is {given!r}; give a mapping from a kind of compute to its machines")
        given = {}
    for kind in kinds:
        wrong = _cluster_faults(kind, given.get(kind))
        faults += wrong
        if not wrong:
            one = given[kind]
            clusters[kind] = Machines(one["size"], one["most_nodes"], one["idle_minutes"])
    faults += [f"clusters.{kind} is of no use: azure.yaml has no compute {kind}" for kind in given if kind not in kinds]
    data, named = {}, content.get("data") or {}
    if not isinstance(named, dict):
        faults.append(f"data is {named!r}; give a mapping from a name to a path")
        named = {}
    for name, value in named.items():
        data[str(name)] = (path.parent / str(value)).resolve()
        if not _ASSET.fullmatch(str(name)):
            faults.append(f"data has {str(name)!r}; give a name of letters, digits, dashes and underscores")
        elif not isinstance(value, str) or not data[str(name)].exists():
            faults.append(f"data.{name} is {value!r}; there is no {data[str(name)]}")
    endpoints, served = {}, content.get("endpoints") or {}
    if not isinstance(served, dict):
        faults.append(f"endpoints is {served!r}; give a mapping from a model's name to its environments")
        served = {}
    for model, environments in served.items():
        if not isinstance(environments, list) or not all(isinstance(one, str) for one in environments):
            faults.append(f"endpoints.{model} is {environments!r}; give names, such as [staging, production]")
        else:
            endpoints[str(model)] = tuple(environments)
            told = (endpoint_fault(str(model), environment) for environment in environments)
            faults += [f"endpoints.{model}: {fault}" for fault in told if fault]
    if faults:
        said = "\n".join(f"{path.name}: {fault}" for fault in faults)
        raise BadSettings(said, next_step=f"mend {path}, as docs/WORKSPACE.md says, and type the same command")
    return Settings(clusters, data, endpoints)


def _cluster_faults(kind: str, given: Any) -> list[str]:
    if not isinstance(given, dict):
        return [f"clusters.{kind} is {given!r}; give {', '.join(_CLUSTER)}"]
    at, size = f"clusters.{kind}", given.get("size")
    faults = [f"{at}.{key} is no key; allowed are {', '.join(_CLUSTER)}" for key in given if key not in _CLUSTER]
    if not isinstance(size, str) or not _SIZE.fullmatch(size):
        faults.append(f"{at}.size is {size!r}; give what Azure calls it, such as Standard_D4s_v3")
    for key in ("most_nodes", "idle_minutes"):
        value = given.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
            faults.append(f"{at}.{key} is {value!r}; give a whole number from 1 to {_MOST}")
    return faults
