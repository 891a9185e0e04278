"""Reads params/azure.yaml: where in a workspace the phases run, and in which environment."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import yaml_file
from runner.errors import BadRequest
from runner.pipeline import Pipeline, did_you_mean

FILE = "azure.yaml"
_KEYS = ("workspace", "experiment", "computes", "default", "phases", "environment", "datastore", "models", "poll")
_ENVIRONMENT = ("name", "image", "file")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_COMPUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,31}")
_VERSION_DIGITS = 16


@dataclass(frozen=True)
class Settings:
    """Where the phases run.

    Attributes:
        workspace: Its address; empty where variables or --workspace name it.
        experiment: What Azure ML files the jobs under.
        computes: The cluster of each kind of compute.
        default: The kind for phases that are not named.
        phases: The kind for those that are.
        environment: Name of the environment.
        image: The image it is built on.
        conda: The conda file it is built from.
        datastore: Where outputs are written.
        poll: Seconds between two looks at a job.
        models: With azureml-v1, which phase registers a model, and the folder of it: `register: evaluate_dir/model`.
    """

    workspace: str
    experiment: str
    computes: Mapping[str, str]
    default: str
    phases: Mapping[str, str]
    environment: str
    image: str
    conda: Path
    datastore: str
    poll: float
    models: Mapping[str, str] = field(default_factory=dict)

    def compute(self, phase: str) -> str:
        """Name the cluster that a phase runs on."""
        return self.computes[self.phases.get(phase, self.default)]

    def clusters(self, pipeline: Pipeline) -> dict[str, str]:
        """Name the cluster of each phase of a pipeline."""
        return {phase: self.compute(phase) for phase in pipeline.order}

    @property
    def version(self) -> str:
        """The environment's version: a digest over all that it is built from."""
        content = self.image.encode() + b"\0" + self.conda.read_bytes()
        return hashlib.sha256(content).hexdigest()[:_VERSION_DIGITS]


def read(pipeline: Pipeline) -> Settings:
    """Read the settings beside a pipeline.yaml.

    Raises:
        BadRequest: They are absent or wrong; every fault is listed.
    """
    path = pipeline.path.parent / FILE
    step = f"mend {path}, as docs/AZURE.md says, and type the same command"
    try:
        content = yaml_file.read_mapping(path)
    except ValueError as error:
        raise BadRequest(f"--engine azureml reads {error}", next_step=step) from None
    reader = _Reader(path, content, pipeline)
    settings = reader.settings()
    if reader.faults or settings is None:
        raise BadRequest(*(f"{FILE}: {fault}" for fault in reader.faults), next_step=step)
    return settings


class _Reader:
    def __init__(self, path: Path, content: dict[Any, Any], pipeline: Pipeline):
        self.path = path
        self.content = content
        self.pipeline = pipeline
        self.faults: list[str] = []

    def settings(self) -> Settings | None:
        self._check_keys("", self.content, _KEYS)
        environment = self._mapping("environment")
        self._check_keys("environment.", environment, _ENVIRONMENT)
        computes = self._computes()
        phases = self._phases(computes)
        default = self.content.get("default")
        if default not in computes:
            self.faults.append(f"default is {default!r}; {did_you_mean(default, computes)}")
        conda = (self.path.parent / str(environment.get("file", "../environment.yml"))).resolve()
        if not conda.is_file():
            self.faults.append(f"environment.file is {environment.get('file')!r}; there is no {conda}")
        image = environment.get("image")
        if not isinstance(image, str) or not image:
            self.faults.append(
                f"environment.image is {image!r}; give the name of an image, such as mcr.microsoft.com/…"
            )
        poll = self.content.get("poll", 15)
        if isinstance(poll, bool) or not isinstance(poll, int | float) or not 0 < poll <= 600:  # noqa: PLR2004
            self.faults.append(f"poll is {poll!r}; give seconds, above 0 and 600 at most")
        workspace = self.content.get("workspace") or ""
        if not isinstance(workspace, str):
            self.faults.append(f"workspace is {workspace!r}; give an address azureml://… or leave it empty")
        names = {
            "experiment": self._name("experiment", self.content.get("experiment", "trey")),
            "environment": self._name("environment.name", environment.get("name", "trey")),
            "datastore": self._name("datastore", self.content.get("datastore", "workspaceblobstore")),
        }
        models = self._models()
        if self.faults:
            return None
        return Settings(
            workspace=workspace,
            computes=computes,
            default=str(default),
            phases=phases,
            image=str(image),
            conda=conda,
            poll=float(poll),
            models=models,
            **names,
        )

    def _check_keys(self, where: str, content: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        for key in content:
            if key not in known:
                self.faults.append(f"{where}{key} is no key; {did_you_mean(key, known)}")

    def _mapping(self, key: str) -> dict[Any, Any]:
        found = self.content.get(key) or {}
        if not isinstance(found, dict):
            self.faults.append(f"{key} is {found!r}; it must be a mapping")
            return {}
        return found

    def _computes(self) -> dict[str, str]:
        found = self._mapping("computes")
        if not found:
            self.faults.append("computes names none; give a cluster for each kind, such as {cpu: cpu-cluster}")
        for kind, name in found.items():
            if not isinstance(name, str) or not _COMPUTE.fullmatch(name):
                self.faults.append(f"computes.{kind} is {name!r}; a cluster has 2 to 32 letters, digits and hyphens")
        return {str(kind): str(name) for kind, name in found.items()}

    def _phases(self, computes: Mapping[str, str]) -> dict[str, str]:
        found = self._mapping("phases")
        for phase, kind in found.items():
            if phase not in self.pipeline.order:
                self.faults.append(f"phases names {phase}; {did_you_mean(phase, self.pipeline.order)}")
            if kind not in computes:
                self.faults.append(f"phases.{phase} is {kind!r}; {did_you_mean(kind, computes)}")
        return {str(phase): str(kind) for phase, kind in found.items()}

    def _models(self) -> dict[str, str]:
        found = self._mapping("models")
        for phase in found:
            if phase not in self.pipeline.order:
                self.faults.append(f"models names {phase}; {did_you_mean(phase, self.pipeline.order)}")
        return {str(phase): str(folder) for phase, folder in found.items()}

    def _name(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            self.faults.append(f"{key} is {value!r}; it must be letters, digits, '.', '_' and '-', 100 at most")
        return str(value)
