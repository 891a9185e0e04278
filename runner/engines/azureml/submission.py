"""Packs what a job needs, uploads what Azure ML does not have yet, and submits the job."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import registered
from cloud.client import answering, quietly
from cloud.workspace import Workspace
from runner import fingerprint, parameters, record
from runner.engines import Ahead
from runner.engines.azureml import evidence, job, places, snapshot
from runner.engines.azureml.settings import Settings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

CODE = "code"
JOB = "azureml.yaml"  # in the run's folder: the job as it was submitted
_VERSION_DIGITS = 32


@dataclass(frozen=True)
class Asset:
    """A data asset. A file or folder that travels becomes one: its version is its digest, so that it is uploaded once.

    Attributes:
        name: Its name.
        version: Its version.
        kind: What Azure ML calls it: uri_file or uri_folder.
        path: Where it lies here; None where it was registered by somebody else.
    """

    name: str
    version: str
    kind: str
    path: Path | None = None

    @property
    def reference(self) -> dict[str, str]:
        """How a job names it."""
        return {"type": self.kind, "path": f"azureml:{self.name}:{self.version}"}


@dataclass(frozen=True)
class Package:
    """All that a job is made of.

    Attributes:
        folder: Where the snapshot lies.
        assets: By phase, and by the parameter or folder that each is given to.
        digests: By phase, one over all that it is given but for the outputs of phases before it.
    """

    folder: Path
    assets: Mapping[str, Mapping[str, Asset]]
    digests: dict[str, str]


def pack(ahead: Ahead, settings: Settings, folder: Path, kinds: Mapping[tuple[str, str], str]) -> Package:
    """Write the snapshot and gather the data assets of a job into an empty folder.

    Args:
        ahead: What is to run.
        settings: Where.
        folder: Where to.
        kinds: What each data asset is that a parameter names, by name and version.

    Raises:
        BadRequest: A file that a phase needs would stay behind.
    """
    pipeline, assets = ahead.pipeline, {}
    params: dict[str, dict[str, Any]] = {}
    for phase in ahead.phases:
        local = places.travelling(pipeline, phase, ahead.params[phase])
        assets[phase] = {name: _asset(f"{phase}-{name}", path) for name, path in local.items()}
        named = places.named(ahead.params[phase])
        assets[phase] |= {name: Asset(*asset, kinds[asset]) for name, asset in named.items()}
        filled = {*local, *named}
        params[phase] = {name: value for name, value in ahead.params[phase].items() if name not in filled}
        for name in pipeline.edges[phase]:
            if name not in ahead.phases:
                assets[phase][f"{name}_dir"] = _settled(ahead, name, folder / "settled" / name)
    snapshot.write(pipeline, folder / CODE, params, ahead.code)
    code = fingerprint.digest_of(snapshot.digests(folder / CODE))
    digests = {}
    for phase in ahead.phases:
        read = {
            name: f"{one.name}:{one.version}"
            for name, one in assets[phase].items()
            if name.removesuffix("_dir") not in pipeline.edges[phase]
        }
        addresses = (name for name in params[phase] if parameters.is_input(name))
        given = {
            "params": params[phase],
            "addresses": {name: fingerprint.input_digest(params[phase][name]) for name in addresses},
            "assets": read,
            "timeout": ahead.timeout,
            "variables": pipeline.given_variables(phase),
        }
        where = {"environment": settings.version, "compute": settings.compute(phase)}
        digests[phase] = fingerprint.digest_of({"code": code, **given, **where})
    return Package(folder, assets, digests)


def submit(  # noqa: PLR0913, PLR0917
    ml: "MLClient", workspace: Workspace, ahead: Ahead, settings: Settings, package: Package, name: str
) -> str:
    """Upload, submit, and give where people look at the job; empty where Azure ML does not say.

    Raises:
        CloudError: Azure ML does not take it.
    """
    from azure.ai.ml import load_job

    _environment(ml, workspace, settings)
    for phase, assets in package.assets.items():
        for asset in assets.values():
            _upload(ml, workspace, asset, f"{phase} reads it")
    commit = ahead.record["source"]["commit"]
    told = snapshot.told(workspace.address, commit)
    text = job.text(
        variables={phase: told | ahead.pipeline.given_variables(phase) for phase in ahead.phases},
        name=name,
        run_id=str(ahead.record["run_id"]),
        pipeline=ahead.pipeline,
        phases=ahead.phases,
        settings=settings,
        assets={
            phase: {parameter: one.reference for parameter, one in assets.items()}
            for phase, assets in package.assets.items()
        },
        timeout=ahead.timeout,
        code=package.folder / CODE,
        tags={"trey.run": str(ahead.record["run_id"]), "trey.commit": commit or "none"},
    )
    path = package.folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    record.write_atomic(ahead.run_dir / JOB, text.replace(str(package.folder / CODE), CODE).encode())
    with answering(workspace, f"submit job {name}"), quietly():
        made = ml.jobs.create_or_update(load_job(path))
    return str(made.studio_url or "")


def _asset(name: str, path: Path) -> Asset:
    version = fingerprint.path_digest(path)[:_VERSION_DIGITS]
    return Asset(name.replace("_", "-"), version, registered.kind(path), path)


def _settled(ahead: Ahead, phase: str, folder: Path) -> Asset:
    """Gather the output of a phase that does not run in the job, with the evidence of it."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        evidence.write(ahead.pipeline, ahead.run_dir, phase, ahead.record, folder)
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(folder)}\0{fingerprint.file_digest(path)}\n".encode())
    return Asset(f"{phase}-output", whole.hexdigest()[:_VERSION_DIGITS], registered.kind(folder), folder)


def _environment(ml: "MLClient", workspace: Workspace, settings: Settings) -> None:
    """Register the environment, unless this very version is there."""
    name, version = settings.environment, settings.version
    with answering(workspace, f"register the environment {name}"):
        if registered.found(lambda: ml.environments.get(name, version=version)) is None:
            ml.environments.create_or_update(registered.environment(name, version, settings.image, settings.conda))


def _upload(ml: "MLClient", workspace: Workspace, asset: Asset, why: str) -> None:
    """Register a data asset of this machine, and upload it, unless this very version is there."""
    if asset.path is None:
        return
    with answering(workspace, f"upload {asset.path} ({why})"), quietly():
        if registered.found(lambda: ml.data.get(asset.name, version=asset.version)) is None:
            ml.data.create_or_update(registered.data(asset.name, asset.version, asset.path))
