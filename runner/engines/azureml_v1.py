"""Runs the phases in Azure ML with SDK v1 (azureml-sdk), for estates that still run it.

Microsoft's support for SDK v1 ended on 2026-06-30; the engine `azureml` speaks SDK v2. The two belong in environments
of their own, so all that knows azureml-sdk stands in this module, and it is imported where it is used.

Here: a snapshot of the project, and a step for each phase in one Pipeline. On the compute, `python -m` this module runs
`trey phase`, logs its numbers with `Run.log`, and registers a model with `Model.register` once the phase that does so,
behind its gates, has succeeded.
"""

import argparse
import contextlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cloud import workspace as address
from cloud.errors import CloudError
from cloud.identity import credential
from cloud.storage import download_from
from runner.engines import Ahead, Job
from runner.engines.azureml import evidence, places, returning, settings, snapshot
from runner.engines.azureml.settings import Settings
from runner.errors import BadRequest, RunFailed, RunnerError
from runner.fingerprint import RESERVED_FOLDER
from runner.pipeline import Pipeline

if TYPE_CHECKING:
    from runner.execute import CellEvent, Outcome
    from runner.phase import Listener
    from runner.planning import Prepared
    from runner.record import JobEntry, RunStatus

REGISTERED = "model.json"  # beside phase.json: what Model.register answered
DIGEST = "digest"  # the tag that tells a model's versions apart, as in the registry
ENDED = ("Finished", "Failed", "Canceled", "PartiallyExecuted", "Bypassed")  # statuses of steps and of their run
_NAME, _DIGEST = "model_name", "model_digest"  # what the phase that registers glues
_STEP = "mend what it names, as docs/AZURE.md says, and type the same command"


class AzureV1Engine:
    """Runs all phases of a run in one Pipeline of SDK v1."""

    remote = True

    def __init__(self) -> None:
        self._settings: Settings
        self._workspace: Any = None
        self._run: Any = None
        self.submitted: JobEntry | None = None
        self._phases: tuple[str, ...] = ()
        self._listener: Listener
        self._again = ""  # what to type where the run fails on the way

    def computes(self, pipeline: "Pipeline") -> Mapping[str, str]:
        """Name the cluster of each phase, as params/azure.yaml does."""
        return settings.read(pipeline).clusters(pipeline)

    def check(self, prepared: "Prepared") -> None:
        """Look at settings and parameters, then whether the workspace and its clusters answer.

        Raises:
            BadRequest: Something is wrong; nothing was sent.
        """
        pipeline, asked = prepared.pipeline, prepared.asked
        if prepared.request.detach:
            fault = "--detach: trey resume does not find a run of azureml-v1 again, so somebody must wait for it"
            raise BadRequest(fault, next_step="leave --detach out, or type: trey run --engine azureml --detach")
        self._settings = settings.read(pipeline)
        faults = [fault for phase in asked for fault in places.faults(pipeline, phase, prepared.params[phase])]
        faults += _model_faults(pipeline, self._settings)
        faults += [
            f"{phase}.{name} names a data asset, which azureml-v1 does not read; give a file or a folder"
            for phase in asked
            for name in places.named(prepared.params[phase])
        ]
        if faults:
            raise BadRequest(*faults, next_step="give --set PHASE.NAME=VALUE, or mend params/azure.yaml")
        code = (name for phase in asked for name in prepared.code(phase))
        snapshot.check(pipeline, code, self._settings.conda)
        try:
            named = address.find(prepared.request.workspace or self._settings.workspace)
            with _asking(BadRequest, f"speak to {named}", _STEP):
                self._workspace = connect(named)
                there = self._workspace.compute_targets
        except CloudError as error:
            raise BadRequest(error.message, next_step=error.next_step) from error
        clusters = dict.fromkeys(self._settings.compute(phase) for phase in asked)
        if lacking := [name for name in clusters if name not in there]:
            said = f"{named} has no compute {' and no '.join(lacking)}; it has {', '.join(sorted(there)) or 'none'}"
            raise BadRequest(said, next_step="mend computes in params/azure.yaml")

    def expect(self, phase: str, ahead: Callable[[], Ahead], listener: "Listener") -> None:
        """Submit the phases ahead, unless they are in the Pipeline that runs.

        Raises:
            RunFailed: Azure ML does not take it.
        """
        if phase in self._phases:
            return
        coming = ahead()
        self._listener, self._again = listener, f"trey resume {coming.record['run_id']}"
        with tempfile.TemporaryDirectory(prefix="trey-azureml-v1-") as name, self._asking("submit the run"):
            folder = Path(name)
            words = take_snapshot(coming, folder)
            commit = coming.record["source"]["commit"]
            built = build(coming.pipeline, coming.phases, words, self._settings, self._workspace, folder, commit)
            self._run = submit(built, self._settings, str(coming.record["run_id"]))
        self._phases = coming.phases
        where, link = _address(self._workspace), self._run.get_portal_url()
        self.submitted = {"name": self._run.id, "workspace": where, "link": link}
        listener.note(f"run {self._run.id}: submitted; {link}")

    def run(self, job: Job, on_cell: "Callable[[CellEvent], None]") -> "Outcome":
        """Wait for the phase's step, bring back its folder and its notebook, and check them."""
        from runner.execute import Outcome

        came = job.output_dir.parent / f".{job.phase}.azureml-v1"
        shutil.rmtree(came, ignore_errors=True)
        try:
            with self._asking(f"follow {job.phase} in run {self._run.id}"):
                status = self._follow(job.phase)
                there = collect(self._run, job.phase, came)
            if not there:
                return Outcome(
                    "interrupted" if status == "Canceled" else "internal",
                    f"it is {status} in run {self._run.id} and left no output",
                )
            registered = came / RESERVED_FOLDER / REGISTERED
            if registered.is_file():
                model = json.loads(registered.read_text(encoding="utf-8"))
                self._listener.note(f"{job.phase}: {model['id']} is the model's version in the workspace")
            return returning.take_over(job, came)
        finally:
            shutil.rmtree(came, ignore_errors=True)

    def _asking(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return _asking(RunFailed, doing, self._again)

    def _follow(self, phase: str) -> str:
        """Wait until a step has ended, or the run without it; give the status that it ended with."""
        said = ""
        while True:
            ended = self._run.get_status() in ENDED
            found = self._run.find_step_run(phase)
            status = str(found[-1].get_status()) if found else "NotStarted"
            if status != said:
                said = status
                self._listener.note(f"{phase}: {status} on Azure ML")
            if status in ENDED or ended:
                return status
            time.sleep(self._settings.poll)

    def close(self, status: "RunStatus") -> str | None:
        """Cancel what still runs of a run that ended before its time: a later runner would not find it."""
        if self._run is None or status == "succeeded":
            return None
        try:
            with self._asking(f"cancel run {self._run.id}"):
                if self._run.get_status() in ENDED:
                    return None
                self._run.cancel()
        except RunFailed as error:
            return f"{error.faults[0]}; it may go on"
        return f"run {self._run.id} is cancelled"


def connect(workspace: address.Workspace) -> Any:
    """Give the azureml Workspace, as the identity that `cloud.identity` finds.

    Raises:
        BadRequest: azureml-sdk is not installed.
        CloudError: There is no identity to be found.
    """
    try:
        from azureml.core import Workspace
        from azureml.core.authentication import TokenAuthentication
    except ModuleNotFoundError as error:
        said = f"{error.name} is not installed here; azureml-sdk has an environment of its own"
        step = "make azureml-v1, then .venv-azureml-v1/bin/trey run --engine azureml-v1"
        raise BadRequest(said, next_step=step) from None
    identity = credential()

    def token(audience: str) -> str:
        return identity.get_token(f"{audience.rstrip('/')}/.default").token

    return Workspace(workspace.subscription, workspace.group, workspace.name, auth=TokenAuthentication(token))


def take_snapshot(ahead: Ahead, folder: Path) -> dict[str, list[str]]:
    """Write what every step starts from: the code, parameters, files that they name, and what phases before left.

    Args:
        ahead: What is to run.
        folder: Where to; it is empty.

    Returns:
        For each phase, the words of its command that follow its name: paths in the snapshot, and limits.
    """
    pipeline, own = ahead.pipeline, PurePosixPath(snapshot.PARAMS)
    copies: dict[str, Path] = {}
    params = {phase: dict(ahead.params[phase]) for phase in ahead.phases}
    words: dict[str, list[str]] = {}
    for phase in ahead.phases:
        for name, path in places.travelling(pipeline, phase, ahead.params[phase]).items():
            params[phase][name] = f"{phase}.{name}/{path.name}"
            copies[params[phase][name]] = path
        words[phase] = ["--params", str(own / f"{phase}.yaml"), "--run-id", str(ahead.record["run_id"])]
        words[phase] += ["--pipeline", pipeline.path.relative_to(pipeline.root).as_posix()]
        words[phase] += ["--timeout", f"{ahead.timeout:g}"] if ahead.timeout else []
        for name in pipeline.edges[phase]:
            if name not in ahead.phases:
                words[phase] += ["--in", f"{name}_dir", str(own / name)]
    snapshot.write(pipeline, folder, params, ahead.code)
    for target, path in copies.items():
        (folder / own / target).parent.mkdir(parents=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, folder / own / target)
    for name in {name for phase in ahead.phases for name in pipeline.edges[phase]} - set(ahead.phases):
        evidence.write(pipeline, ahead.run_dir, name, ahead.record, folder / own / name)
    return words


def build(  # noqa: PLR0913, PLR0917  # what runs, where, and whom the SDK asks
    pipeline: Pipeline,
    phases: Sequence[str],
    words: Mapping[str, Sequence[str]],
    where: Settings,
    workspace: Any,
    folder: Path,
    commit: str | None = None,
    provider: Any = None,
) -> Any:
    """Make the azureml Pipeline of these phases: a step for each, and an edge for each folder that one reads.

    Args:
        pipeline: Whose phases they are.
        phases: Those that are to run, in order.
        words: For each, the words of its command that follow its name.
        where: Where each runs.
        workspace: The azureml Workspace.
        folder: The snapshot.
        commit: Which commit it is of.
        provider: What the SDK asks instead of the workspace's pipelines, for a dry run.

    Raises:
        BadRequest: The SDK finds fault with the graph.
    """
    from azureml.core import Datastore, Environment, RunConfiguration
    from azureml.core.compute import AmlCompute
    from azureml.pipeline.core import Pipeline as Graph
    from azureml.pipeline.core import PipelineData
    from azureml.pipeline.steps import CommandStep

    named = _address(workspace)
    store = Datastore.get(workspace, where.datastore)
    outputs = {phase: PipelineData(f"{phase}_dir", datastore=store, is_directory=True) for phase in phases}
    environment = Environment.from_conda_specification(where.environment, str(where.conda))
    environment.docker.base_image = where.image
    steps = []
    for phase in phases:
        configuration = RunConfiguration()
        configuration.environment = environment
        configuration.environment_variables = snapshot.told(named, commit) | pipeline.given_variables(phase)
        inputs = [outputs[name] for name in pipeline.edges[phase] if name in outputs]
        command: list[Any] = ["python -m runner.engines.azureml_v1", phase, *words[phase], "--out", outputs[phase]]
        for data in inputs:
            command += ["--in", data.name, data]
        if phase in where.models:
            command += ["--model", where.models[phase]]
        step = CommandStep(
            command=command,
            name=phase,
            compute_target=(where.compute(phase), AmlCompute._compute_type),  # the SDK's own name of it
            runconfig=configuration,
            inputs=inputs,
            outputs=[outputs[phase]],
            source_directory=str(folder),
            allow_reuse=False,  # what runs is decided here, by content; the service sees no registry and no endpoint
        )
        steps.append(step)
    with _quietly():
        built = Graph(workspace, steps=steps, _workflow_provider=provider)
        faults = built.validate()
    if faults:
        raise BadRequest(*(f"azureml-v1: {fault}" for fault in faults), next_step="trey plan")
    return built


def _address(workspace: Any) -> str:
    """Give the address of an azureml Workspace, as parameters and records hold it."""
    return address.Workspace(workspace.subscription_id, workspace.resource_group, workspace.name).address


def submit(built: Any, where: Settings, run_id: str) -> Any:
    """Submit a Pipeline; give the PipelineRun, whose tag `trey.run` names the run of the lifecycle."""
    with _quietly():
        run = built.submit(where.experiment, regenerate_outputs=True)
        run.set_tags({"trey.run": run_id})
    return run


def collect(run: Any, phase: str, folder: Path) -> int:
    """Bring the output of a step to a folder, as whoever is signed in, and give how many files there were."""
    from azure.storage.blob import ContainerClient

    found = run.find_step_run(phase)
    outputs = found[-1].get_outputs() if found else {}
    if f"{phase}_dir" not in outputs:
        return 0
    output = outputs[f"{phase}_dir"].get_port_data_reference()
    store = output.datastore
    place = f"{store.protocol}://{store.account_name}.blob.{store.endpoint}"
    # The SDK's own download asks for a key of the account.
    with ContainerClient(place, store.container_name, credential=credential()) as client:
        return download_from(client, output.path_on_datastore, folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a phase on the compute, as its step says; give the exit code of `trey phase`."""
    parser = argparse.ArgumentParser(prog="python -m runner.engines.azureml_v1", allow_abbrev=False)
    parser.add_argument("phase")
    parser.add_argument("--in", dest="folders", nargs=2, action="append", default=[], metavar=("NAME", "PATH"))
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--model", help="the folder to register, from a folder that is read: evaluate_dir/model")
    asked, rest = parser.parse_known_args(argv)
    from azureml.core import Run

    run = Run.get_context(allow_offline=False)
    folders, written = dict(asked.folders), Path(snapshot.PARAMS) / "out"
    command = [sys.executable, "-m", "runner", "phase", asked.phase, "--out", str(written), "--fail-on-stop", *rest]
    for name, path in folders.items():
        command += ["--in", f"{name}={path}"]
    # The kernel works in the notebook's folder, and finds the project's modules by this.
    search = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    code = subprocess.run(command, env=os.environ | {"PYTHONPATH": search}, check=False).returncode
    if not written.is_dir():
        return code  # the request was refused, and the log says why
    try:
        _report(run, asked.phase, written, folders, asked.model)
    finally:
        # A mounted folder takes whole files; the runner appends to some and replaces others.
        shutil.copytree(written, asked.out, dirs_exist_ok=True)
    return code


def _report(run: Any, phase: str, written: Path, folders: Mapping[str, str], model: str | None) -> None:
    """Log the numbers of a phase, and register the model of the phase that does so, where it succeeded."""
    own = written / RESERVED_FOLDER
    entry = json.loads((own / "phase.json").read_text(encoding="utf-8"))["phases"][phase]
    for name, value in _numbers(entry["scraps"]):
        run.log(name, value)
    if model and entry["status"] == "succeeded":
        first, *others = PurePosixPath(model).parts
        registered = _register(run, phase, Path(folders[first], *others), entry["scraps"])
        (own / REGISTERED).write_text(json.dumps(registered, indent=1), encoding="utf-8")
    run.flush()


def _numbers(scraps: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Give what is a finite number among the results of a phase."""
    for name, scrap in scraps.items():
        value = scrap["value"]
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, value


def _register(run: Any, phase: str, folder: Path, scraps: Mapping[str, Any]) -> dict[str, Any]:
    """Register a model folder in the workspace; a digest that is registered already gives the version that exists."""
    from azureml.core import Model

    missing = [name for name in (_NAME, _DIGEST) if not isinstance(scraps.get(name, {}).get("value"), str)]
    if missing:
        raise RunFailed(f"{phase} glued no {' and no '.join(missing)}; nothing was registered", next_step="trey plan")
    name, digest = scraps[_NAME]["value"], scraps[_DIGEST]["value"]
    workspace = run.experiment.workspace
    known = Model.list(workspace, name=name, tags=[[DIGEST, digest]])
    if known:
        model = min(known, key=lambda version: version.version)
    else:
        with contextlib.chdir(folder.parent):  # it refuses a path outside the working directory
            model = Model.register(workspace, folder.name, name, tags={DIGEST: digest, "azureml_run": run.id})
    return {"name": model.name, "version": model.version, "id": model.id, DIGEST: digest, "new": not known}


def _model_faults(pipeline: Pipeline, where: Settings) -> Iterator[str]:
    for phase, folder in where.models.items():
        read = [f"{name}_dir" for name in pipeline.edges[phase]]
        if phase not in pipeline.gates:
            yield f"azure.yaml: models.{phase} registers a model, but no gate guards {phase}"
        if PurePosixPath(folder).parts[0] not in read:
            yield f"azure.yaml: models.{phase} is {folder}; {phase} reads {', '.join(read) or 'nothing'}"


@contextlib.contextmanager
def _asking(kind: type[RunnerError], doing: str, step: str) -> Iterator[None]:
    """Turn what the SDK raises into an error of the runner.

    Args:
        kind: Which.
        doing: What is attempted, as it follows "cannot".
        step: The command to type next.
    """
    try:
        with _quietly():
            yield
    except CloudError as error:
        raise kind(error.message, next_step=error.next_step) from error
    except RunnerError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"azureml", "azure", "msrest", "requests"}:
            raise
        raise kind(f"cannot {doing}: {_said(error)}", next_step=step) from error


def _said(error: BaseException) -> str:
    """Give the first words of an error; some of the SDK's own cannot be printed."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # whatever its printing raises
        text = str(error.__cause__ or error.__context__ or "")
    return " ".join(f"{type(error).__name__}: {text}".split())[:300]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the SDK from printing where `trey run --json` writes."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


if __name__ == "__main__":
    sys.exit(main())
