"""The release that a run would make: what people approve, and what `trey release` brings to an environment."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import gates, planning, record, single
from runner.cli import next_step
from runner.errors import BadRequest, NotReleasable
from runner.gates import NoEvidence, Reference
from runner.pipeline import Pipeline, did_you_mean, load_pipeline, locate
from runner.record import ExternalState, GateEntry, Record
from runner.terminal import first_line

FILE = "candidate.json"
FOLDER = "releases"  # of a run: the candidate, and a folder for each attempt
NAMED = ("model_name", "model_version", "model_digest")  # what the phase that registers glues


@dataclass(frozen=True)
class Candidate:
    """What a run would release.

    Attributes:
        pipeline: The run's pipeline, as it is now.
        folders: The output folder of each phase that the releasing phase reads.
        gates: All gates that stand before it, judged from what lies in these folders.
        manifest: The release manifest, before anybody approved it.
        sha256: What an approval is bound to.
        compared: Places outside the run that it was judged against, which must be so still when it goes live.
    """

    pipeline: Pipeline
    folders: dict[str, Path]
    gates: list[GateEntry]
    manifest: dict[str, Any]
    sha256: str
    compared: list[ExternalState]

    @property
    def digest(self) -> str:
        """The model's digest."""
        return str(self.manifest["model"]["digest"])

    @property
    def name(self) -> str:
        """What is released, in words."""
        model = self.manifest["model"]
        return f"{model['name']} version {model['version']}, digest {self.digest[:12]}…"

    def signed(self, found: Record) -> bytes:
        """Give the file that tells an environment of this release and of what people decided about the run."""
        from delivery.approvals import SignedRelease

        policy = self.pipeline.release
        return SignedRelease(
            authors=tuple(found.get("authors", [])),
            allow_self_approval=policy.allow_self_approval,
            approval_days=policy.approval_days,
            release=self.manifest,
            sign_offs=tuple(dict(entry) for entry in found.get("sign_offs", [])),
            compared=tuple((state["uri"], state["sha256"]) for state in self.compared),
        ).content()

    def check(self, found: Record, environment: str) -> None:
        """Ask whether the environment takes it, as the phase that releases will ask again.

        Raises:
            ReleaseRefused: It does not.
        """
        from delivery import release

        model = self.manifest["model"]
        with tempfile.TemporaryDirectory(prefix="trey-release-") as folder:
            judged, signed = Path(folder) / "gates.json", Path(folder) / single.SIGN_OFFS
            judged.write_bytes(planning.gate_evidence(self.pipeline.release.phase, self.gates))
            signed.write_bytes(self.signed(found))
            release.permit(
                gates_path=str(judged),
                sign_offs_path=str(signed),
                digest=self.digest,
                environment=environment,
                model_name=model["name"],
                model_version=model["version"],
            )


def pipeline_of(run_dir: Path, found: Record) -> Pipeline:
    """Load the pipeline that a run was made with, as it is now.

    Raises:
        BadRequest: It is gone, or something in it is wrong.
    """
    if "request" not in found:
        raise BadRequest(f"{run_dir.name} was recorded by an older version", next_step="trey run")
    path = Path(found["request"]["pipeline"])
    return load_pipeline(locate(path, path.parent))


def check_environment(pipeline: Pipeline, environment: str) -> None:
    """Refuse an environment that the pipeline does not know, where it names all there are: somebody mistyped it.

    Raises:
        BadRequest: It does not.
    """
    policy = pipeline.release
    known = [*policy.trial, *policy.environments]
    if policy.environments and environment not in known:
        step = f"give one of them, or name it in {pipeline.path.name}: release: {{environments: …}}"
        raise BadRequest(f"there is no environment {environment!r}; {did_you_mean(environment, known)}", next_step=step)


def compose(run_dir: Path, found: Record, environment: str) -> Candidate:
    """Compose the release that a run would make, from what lies in its folder, and write it there.

    The gates are judged anew from the folders that the releasing phase reads: what was touched since is no evidence.
    Whatever else stopped the run keeps it from every environment but the one that it went to itself, where it may try
    again; a run that failed, was interrupted or left to its engine goes nowhere. A verdict against a champion of
    earlier counts no longer, but the way back to what was live in an environment is open.

    Raises:
        NotReleasable: The run did not end as planned or has nothing to release, a gate stops it, or what the model was
            compared with has changed.
        BadRequest: Its pipeline or its registry cannot be read, or it knows no such environment.
    """
    from delivery import release
    from delivery.approvals import release_digest
    from delivery.files import canonical

    pipeline = pipeline_of(run_dir, found)
    check_environment(pipeline, environment)
    phase, name = pipeline.release.phase, run_dir.name
    if found["status"] in ("failed", "interrupted", "detached"):
        reason = first_line(found["decision"]["reason"]) if found["decision"] else ""
        raise NotReleasable(f"{name}: {found['status']}: {reason}", next_step=f"trey resume {name}")
    if phase not in pipeline.every:
        fault = f"{pipeline.path.name} has no phase {phase}, which would release"
        raise BadRequest(fault, next_step=f"name it in {pipeline.path}: release: {{phase: NAME}}")
    folders = {edge: run_dir / edge for edge in pipeline.edges[phase]}
    judgement = single.judge(pipeline, phase, folders)
    own = found["phases"][phase]["params"].get(planning.ENVIRONMENT) if phase in found["phases"] else None
    before = [] if environment == own else found["gates"]
    stopping = [gate for gate in [*judgement.gates, *before] if gate["verdict"] in record.STOPPING]
    if stopping:
        said = (f"{name}: {gate['verdict']}: {gates.said(gate)}" for gate in stopping)
        raise NotReleasable(*dict.fromkeys(said), next_step=next_step.past(stopping, found, name))
    model = _model(name, found, judgement, phase)
    compared = [] if was_live(found, phase, environment) else _compared(found, pipeline, judgement, model)
    manifest = release.manifest(**model, gates=[dict(gate) for gate in judgement.gates])
    folder = run_dir / FOLDER
    folder.mkdir(exist_ok=True)
    record.write_atomic(folder / FILE, canonical(manifest))
    return Candidate(pipeline, folders, judgement.gates, manifest, release_digest(manifest), compared)


def was_live(found: Record, phase: str, environment: str) -> bool:
    """Tell whether the run itself, or a release of it, brought its model to an environment."""
    entry = found["phases"].get(phase)
    there = entry and entry["status"] in record.USABLE and entry["params"].get(planning.ENVIRONMENT) == environment
    ended = [(one["environment"], one["status"]) for one in found.get("releases", [])]
    return bool(there and found["status"] == "succeeded") or (environment, "succeeded") in ended


def _compared(
    found: Record, pipeline: Pipeline, judgement: single.Judgement, model: dict[str, Any]
) -> list[ExternalState]:
    """Give the places outside the run that its evidence rests on: each is as it was, or the model is champion by now.

    Raises:
        NotReleasable: One of them is not.
        BadRequest: One of them cannot be read.
    """
    from delivery.external import champion_state

    as_champion = champion_state(model["model_version"], model["digest"])
    states = [(phase, state) for phase, entry in judgement.evidence.items() for state in entry["external"]]
    changed = [
        f"{found['run_id']}: {planning.place_name(state['uri'])} changed since {phase}"
        for phase, state in states
        if _now(state["uri"], pipeline) not in (state["sha256"], as_champion)
    ]
    if changed:
        raise NotReleasable(*changed, next_step=next_step.anew(found))
    return [state for _, state in states]


def _now(uri: str, pipeline: Pipeline) -> str:
    try:
        return planning.place_state(uri, pipeline)
    except planning.Unreadable as error:
        raise BadRequest(str(error), next_step="trey models") from error


def _model(name: str, found: Record, judgement: single.Judgement, phase: str) -> dict[str, Any]:
    """Give name, version, digest and commit of the model that a run registered, as the registry has it now."""
    from delivery.errors import DeliveryError
    from delivery.external import version_tags
    from delivery.stores import DIGEST

    values: dict[str, Any] = {}
    reason = "no phase before it names a model"
    for entry in judgement.evidence:
        try:
            values = {scrap: gates.scrap_value(Reference(entry, scrap), judgement.evidence) for scrap in NAMED}
        except NoEvidence as missing:
            reason = str(missing)
    if not values:
        raise NotReleasable(f"{name} has nothing to release: {reason}", next_step=f"trey resume {name}")
    store = found["phases"][phase]["params"].get("registry_store") if phase in found["phases"] else None
    if not isinstance(store, str):
        raise BadRequest(f"{name} names no registry: {phase} has no registry_store", next_step=f"trey show {name}")
    try:
        tags = version_tags(store, values["model_name"], values["model_version"])
    except DeliveryError as error:
        raise BadRequest(str(error), next_step=f"trey models --registry-store {store}") from error
    digest = tags.get(DIGEST, "none")
    if digest != values["model_digest"]:
        fault = f"version {values['model_version']} of {values['model_name']} has digest {digest} in the registry"
        raise BadRequest(f"{fault}; {name} registered {values['model_digest']}", next_step="trey models")
    return {
        "model_name": values["model_name"],
        "model_version": values["model_version"],
        "digest": digest,
        "commit": tags.get("git_commit", ""),
    }
