"""All that people do with releases, in any order, while processes die anywhere: against a plain telling of the rules.

Every action is a command of `trey`, with real runs, registry and endpoints; only notebooks are executed without a
kernel, and real traffic is told instead of sent.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self
from unittest import mock

import hypothesis.strategies as st
from click.testing import CliRunner, Result
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import delivery.host_folder
import delivery.registry
import delivery.release
import runner.cli.sign_off
from delivery.endpoint import SLOTS, Endpoint
from delivery.external import champion_uri, registry_state
from delivery.files import model_manifest, sha256
from delivery.observations import Observation
from runner import engines, record
from runner.cli import main
from runner.record import Record
from tests.delivery.lifecycle import PIPELINE
from tests.end_to_end import in_process
from tests.fixtures_model import digest_of, write_model
from tests.runner.conftest import GLUE, Project

MODEL = "parts"
PRODUCTION, STAGING = "production", "staging"
ENVIRONMENTS = (PRODUCTION, STAGING)
PERSON = st.sampled_from(("bob", "eve", "ada"))  # ada starts every run
DAYS = 7  # that an approval holds
ENGINE = {in_process.NAME: in_process.PLACE}
EVIDENCE = {  # recall and its lower end, where 0.9 is asked for; 0 glues no lower end
    "sound": (0.97, 0.95),
    "little": (0.97, 0.85),
    "poor": (0.8, 0.7),
    "missing": (0.97, 0.0),
}
ENVIRONMENT = st.sampled_from((PRODUCTION, *ENVIRONMENTS))
WRITE = st.none() | st.integers(0, 3)  # before which step the process dies, or none
STEP = st.tuples(st.just("any"), st.integers(0, 30)) | st.tuples(st.just("state"), st.integers(0, 4))
RUNS = {"one": ("sound", 0), "two": ("sound", 1), "few": ("little", 2), "bad": ("poor", 2), "gap": ("missing", 2)}
MOST_RUNS, MOST_REJECTIONS = 6, 3
STEPS = (  # what commands do to disk and registry; a process may die before any of it
    (delivery.host_folder, "write_atomic"),
    (delivery.host_folder, "copy_folder"),
    (delivery.host_folder, "sync_folder"),
    (delivery.registry, "_mark"),
    (delivery.registry, "_remove_tag"),
    (record, "write_atomic"),
    (shutil, "rmtree"),
    (Path, "rename"),
)
DEFAULTS = """
evaluate: {model_path: ../models/0, registry_store: ../registry}
register: {registry_store: ../registry}
deploy: {registry_store: ../registry, endpoint_store: ../endpoints, environment: staging}
"""
TOLD = "  deploy: {outcome: live or rolled back, rolled_back: why}\n"  # among the scraps
OUTCOME = "outcome:\n  - {scrap: deploy.outcome, equals: live}\n"


class Crash(BaseException):
    """The process dies here: nothing that would follow is done, not even in a `finally`."""


class Clock(datetime):
    """The time, and the days that passed besides."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: Any = None) -> Self:  # type: ignore[override]
        return super().now(tz) + cls.ahead


class Told:
    """Traffic: what a candidate and the live slot did with a thousand requests, shared as the endpoint says."""

    good = True  # otherwise the candidate fails one request of five

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint

    def more(self) -> Sequence[Observation]:
        state, now = self.endpoint.state(), datetime.now(UTC)
        shared = [(name, False) for name in SLOTS if state["traffic"][name]]
        return [
            Observation(now, f"r{number}", 0, name, "", mirrored, 500 if fails else 200, "compliant", 1.0)
            for number in range(1_000)
            for name, mirrored in [*shared, *((name, True) for name in state["mirror"])]
            for fails in [not self.good and name != state["live"] and number % 5 == 0]
        ]


@dataclass(frozen=True)
class Decision:
    """An approval or a rejection, and which service stood there then."""

    kind: str
    environment: str
    by: str
    at: datetime
    service: int


@dataclass
class Run:
    """What must be known of a run to say what it may do."""

    name: str
    evidence: str
    model: int
    authors: set[str] = field(default_factory=lambda: {"ada"})
    is_waived: bool = False
    is_registered: bool = False
    is_taken_back: bool = False  # by its canary in staging
    champion: str = ""  # of production, whom its model was compared with
    decisions: list[Decision] = field(default_factory=list)


def typed(project: Project, *words: str, by: str = "ada") -> Result:
    """Type a command in a project, as somebody."""
    with contextlib.chdir(project.root), mock.patch.dict(os.environ, TREY_IDENTITY=by):
        return CliRunner().invoke(main, words, prog_name="trey", catch_exceptions=False)


def chosen(evidence: str, model: int) -> list[str]:
    """Give the options by which a run evaluates a model with some evidence."""
    recall, low = EVIDENCE[evidence]
    values = {"model_path": f"models/{model}", "recall": recall, "recall_low": low}
    return [word for name, value in values.items() for word in ("--set", f"evaluate.{name}={value}")]


class Workplace:
    """A project with a run of each kind, two of them released one after the other, and the way back to that."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="trey-releases-")  # which goes with this process
        self.root = Path(self.folder.name).resolve()
        self.project = write_project(self.root)
        models = [write_model(self.root / "models" / str(number), bias=float(number)) for number in range(3)]
        self.digests = [digest_of(model) for model in models]
        self.champions: dict[str, str] = {}
        service = mock.patch("delivery.release.service_digest", lambda: f"{0:064x}")
        with mock.patch.dict(engines.ENGINES, ENGINE), service:
            for name, (evidence, model) in RUNS.items():
                self.champions[name] = champion(self.root, PRODUCTION)
                self.type("run", "--engine", in_process.NAME, "--run-id", name, *chosen(evidence, model))
                if name in ("one", "two"):
                    self.type("approve", name, "--env", PRODUCTION, "--comment", "first", "--as", "bob")
                    self.type("release", name, "--to", PRODUCTION)
        self.began = datetime.now(UTC)
        self.saved = self.root / "saved"
        for room in ("runs", "endpoints"):
            shutil.copytree(self.root / room, self.saved / room)
        _copy_database(self.root / "registry" / "mlflow.db", self.saved / "mlflow.db")

    def type(self, *words: str) -> None:
        done = typed(self.project, *words)
        assert done.exit_code == 0, done.output

    def restore(self) -> None:
        """Bring everything back to where it was."""
        for room in ("runs", "endpoints"):
            shutil.rmtree(self.root / room)
            shutil.copytree(self.saved / room, self.root / room)
        _copy_database(self.saved / "mlflow.db", self.root / "registry" / "mlflow.db")


def champion(root: Path, environment: str) -> str:
    """Give what the registry says about the champion of an environment."""
    return registry_state(champion_uri(str(root / "registry"), MODEL, environment))


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database into one that may be open."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def write_project(root: Path) -> Project:
    """Write a lifecycle whose deploy notebook does what the project's own does, but for tests by HTTP and pictures."""
    project = Project(root)
    project.notebook(
        "evaluate",
        "import shutil\nfrom pathlib import Path\nfrom delivery import external\n"
        "from delivery.files import model_manifest",
        GLUE,
        "shutil.copytree(model_path, Path(output_dir, 'model'))",
        "glue('model_digest', model_manifest(Path(output_dir, 'model'))[1])\nglue('recall', recall)\nglue('texts', 40)",
        "if recall_low:\n    glue('recall_low', recall_low)",
        f"champion = external.champion_uri(registry_store, {MODEL!r}, {PRODUCTION!r})\n"
        "external.write_external(Path(output_dir), [champion])",
        parameters='model_path: str = "x"\nrecall: float = 0.97\nrecall_low: float = 0.95\n'
        'registry_store: str = "x"\noutput_dir: str = "x"',
    )
    project.notebook(
        "register",
        "import json\nfrom pathlib import Path\nfrom delivery import registry",
        GLUE,
        f"given = {{'name': {MODEL!r}, 'store': registry_store, 'tags': {{}}, 'metrics': {{}}}}",
        "new = registry.register(Path(evaluate_dir, 'model'), **given)",
        "Path(output_dir, 'registration.json').write_text(json.dumps([new.version, new.digest]))",
        "glue('model_name', new.name)\nglue('model_version', new.version)\nglue('model_digest', new.digest)",
        parameters='evaluate_dir: str = "x"\nregistry_store: str = "x"\noutput_dir: str = "x"',
    )
    project.notebook(
        "deploy",
        "import json\nfrom pathlib import Path\nfrom tempfile import TemporaryDirectory",
        "from delivery import deployment, external, registry, release\nfrom delivery.canary import Plan",
        f"from delivery.endpoint import Endpoint\nfrom {__name__} import Told",
        GLUE,
        f"name, (version, digest) = {MODEL!r}, json.loads(Path(register_dir, 'registration.json').read_text())",
        "release.permit(gates_path=gates_path, sign_offs_path=sign_offs_path, digest=digest, environment=environment, "
        "model_name=name, model_version=version)",
        "endpoint = Endpoint(endpoint_store, name, environment, wait=0)\nendpoint.claim()\n"
        "release.unchanged(sign_offs_path, digest, version)",
        "with TemporaryDirectory() as temporary:\n"
        "    fetched = registry.fetch(name, version, registry_store, Path(temporary) / 'model')\n"
        "    candidate = endpoint.place(fetched, version, digest)",
        "report = deployment.CanaryReport((), '')\n"
        "if endpoint.live() not in (None, candidate):\n"
        "    report = deployment.try_out(endpoint, candidate, Plan(shares=(50,)), Told(endpoint))",
        "live = deployment.conclude(endpoint, candidate, report)\n"
        "registry.set_champion(name, live.version, environment, registry_store)\nendpoint.release()",
        "external.write_external(Path(output_dir), [external.endpoint_uri(endpoint_store, name, environment)])",
        "glue('outcome', report.outcome)\nglue('rolled_back', report.rolled_back)",
        parameters='register_dir: str = "x"\nevaluate_dir: str = "x"\nregistry_store: str = "x"\n'
        'endpoint_store: str = "x"\nenvironment: str = "scratch"\ngates_path: str = ""\nsign_offs_path: str = ""\n'
        'output_dir: str = "x"',
    )
    project.pipeline(PIPELINE.replace("gates:", f"{TOLD}gates:", 1) + OUTCOME)
    project.write("params/default.yaml", DEFAULTS)
    return project


workplace = cache(Workplace)


class Releases(RuleBasedStateMachine):
    """One model, two environments, and three people."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None  # steps until the process dies
        self.counts = "any"  # whether any step counts, or only one that writes an endpoint's state
        self.service = 0
        self.place = workplace()
        self.place.restore()
        Clock.ahead, Told.good = timedelta(), True
        with ExitStack() as patches:
            patches.enter_context(mock.patch.dict(engines.ENGINES, ENGINE))
            patches.enter_context(mock.patch("os.fsync"))  # a process that dies loses nothing that the system holds
            patches.enter_context(mock.patch("delivery.release.service_digest", lambda: f"{self.service:064x}"))
            for room in (delivery.release, runner.cli.sign_off):
                patches.enter_context(mock.patch.object(room, "datetime", Clock))
            for owner, name in STEPS:
                patches.enter_context(mock.patch.object(owner, name, self.counted(getattr(owner, name))))
            self.patches = patches.pop_all()
        self.runs = {name: Run(name, *kind) for name, kind in RUNS.items()}
        for run in self.runs.values():
            run.is_registered = run.evidence == "sound"
            run.champion = self.place.champions[run.name]
        for name in ("one", "two"):
            self.runs[name].decisions.append(Decision("approval", PRODUCTION, "bob", self.place.began, 0))
        first, second, _ = self.place.digests
        self.may_be_in = {environment: {first, second} for environment in ENVIRONMENTS}
        self.live = dict.fromkeys(ENVIRONMENTS, second)
        self.previous: dict[str, str | None] = dict.fromkeys(ENVIRONMENTS, first)
        self.may_be_live = {environment: {digest} for environment, digest in self.live.items()}
        self.rejections = 0
        self.is_torn = dict.fromkeys(ENVIRONMENTS, False)  # a process died: shares and champion may lag behind

    def teardown(self) -> None:
        self.patches.close()

    # what is done ------------------------------------------------------------

    @precondition(lambda self: len(self.runs) < MOST_RUNS)
    @rule(evidence=st.sampled_from(list(EVIDENCE)), model=st.integers(0, 2), good=st.booleans())
    def run(self, evidence: str, model: int, good: bool) -> None:
        run = Run(f"more-{len(self.runs)}", evidence, model)
        self.runs[run.name] = run
        words = ["run", "--engine", in_process.NAME, "--run-id", run.name, *chosen(evidence, model)]
        self.goes_to_staging(run, words, "ada", good)

    @rule(data=st.data(), by=PERSON, good=st.booleans(), waives=st.booleans())
    def resume(self, data: st.DataObject, by: str, good: bool, waives: bool) -> None:
        run = self.a_run(data)
        if waives:
            words = ("waive", run.name, "--gate", "evaluate.recall_low", "--reason", "by hand", "--as", by)
            if run.evidence == "little" and not run.is_registered and by not in run.authors:
                self.done(*words)
                run.is_waived = True
            else:
                self.refused(*words)
        if run.is_registered and not run.is_taken_back:
            self.refused("resume", run.name, by=by)
        else:
            run.authors.add(by)
            self.goes_to_staging(run, ["resume", run.name], by, good)

    @rule(data=st.data(), environment=ENVIRONMENT, by=PERSON, step=WRITE)
    def approve(self, data: st.DataObject, environment: str, by: str, step: int | None) -> None:
        self.approved(self.a_run(data), environment, by, step)

    @precondition(lambda self: self.rejections < MOST_REJECTIONS)
    @rule(data=st.data(), environment=ENVIRONMENT, by=PERSON, again=st.none() | PERSON)
    def reject(self, data: st.DataObject, environment: str, by: str, again: str | None) -> None:
        """Reject a run, and let somebody approve it afterwards, or nobody."""
        run = self.a_run(data)
        self.done("reject", run.name, "--env", environment, "--comment", "no", "--as", by)
        self.decided(run, "rejection", environment, by)
        self.rejections += 1
        if again:
            self.approved(run, environment, again)

    @rule(data=st.data(), environment=ENVIRONMENT, approves=st.booleans(), good=st.booleans())
    def release(self, data: st.DataObject, environment: str, approves: bool, good: bool) -> None:
        run = self.a_run(data)
        if approves:
            self.approved(run, environment, "bob")
        words = ("release", run.name, "--to", environment)
        if not self.may_go(run, environment):
            self.refused(*words)
            return
        Told.good = good
        self.allow(run, environment)
        entry = json.loads(self.done(*words, "--json").stdout)
        self.shifted(run, environment, good)
        assert (entry["status"] == "succeeded") == (self.live[environment] == self.digest(run))

    @rule(data=st.data(), environment=ENVIRONMENT, good=st.booleans(), step=STEP)
    def a_release_dies(self, data: st.DataObject, environment: str, good: bool, step: tuple[str, int]) -> None:
        run, Told.good = self.a_run(data), good
        may, before = self.may_go(run, environment), self.endpoint(environment).evidence()
        if may:
            self.allow(run, environment)
        self.counts, left = step
        self.dies(left, environment, "release", run.name, "--to", environment)
        assert may or self.endpoint(environment).evidence() == before

    @precondition(lambda self: self.previous[PRODUCTION] or any(self.is_torn.values()))
    @rule(environment=ENVIRONMENT, step=WRITE)
    def roll_back(self, environment: str, step: int | None) -> None:
        words, is_shared = ("rollback", "--env", environment), self.is_shared(environment)
        previous = None if is_shared else self.previous[environment]
        self.may_be_live[environment] |= {previous} if previous else set()
        if step is not None:
            self.dies(step, environment, *words)
        elif previous or is_shared:
            self.done(*words)
            if previous:
                self.live[environment], self.previous[environment] = previous, self.live[environment]
            self.settled(environment)
        else:
            self.refused(*words)

    @rule(days=st.sampled_from([1, 6, 8]), service=st.integers(0, 1))
    def time_passes(self, days: int, service: int) -> None:
        """Days pass, and another service is installed, or the one before."""
        Clock.ahead += timedelta(days=days)
        self.service = service

    @precondition(lambda self: any(self.is_torn.values()))
    @rule(environment=ENVIRONMENT)
    def follow(self, environment: str) -> None:
        """Let the registry follow what is live."""
        self.done("rollback", "--env", environment, "--champion-only")
        if not self.is_shared(environment):
            self.settled(environment)

    # what must hold ----------------------------------------------------------

    @invariant()
    def one_whole_version_is_live_and_nothing_unapproved_gets_requests(self) -> None:
        for environment in ENVIRONMENTS:
            self.look(environment)
            live = self.endpoint(environment).live()
            assert live
            assert live.digest == self.live[environment]
            if not self.is_torn[environment]:
                assert not self.is_shared(environment)
                previous = self.endpoint(environment).previous()
                assert (previous.digest if previous else None) == self.previous[environment]
                assert self.champion(environment) == sha256(f"{live.version} {live.digest}".encode())

    def look(self, environment: str) -> None:
        """See what a service would see; called after each write, too, in the middle of commands."""
        endpoint = self.endpoint(environment)
        state, live = endpoint.state(), endpoint.live()
        assert live
        assert live.digest in self.may_be_live[environment]
        assert sum(state["traffic"].values()) == 100
        assert state["traffic"][live.name] > 0
        for name in SLOTS:
            if held := state["slots"][name]:
                model_manifest(endpoint.folder / name, held["digest"])
                assert held["digest"] in self.may_be_in[environment]
            else:
                assert not state["traffic"][name]
                assert name not in state["mirror"]

    # how it is told ----------------------------------------------------------

    def a_run(self, data: st.DataObject) -> Run:
        """Choose a run, and often the first, which has evidence and was live before."""
        return self.runs[data.draw(st.sampled_from(["one", "one", *self.runs]), "run")]

    def digest(self, run: Run) -> str:
        return self.place.digests[run.model]

    def has_evidence(self, run: Run, environment: str) -> bool:
        """Tell whether a run has what it takes: a model, which staging kept, compared with what production runs now."""
        if not run.is_registered or (run.is_taken_back and environment != STAGING):
            return False
        went = [one for one in self.recorded(run)["releases"] if one["environment"] == environment]
        was_live = any(one["status"] == "succeeded" for one in went)
        was_live |= environment == STAGING and not run.is_taken_back
        return was_live or self.champion(PRODUCTION) in (run.champion, self.own(run))

    def own(self, run: Run) -> str:
        """Give what the registry says while the model of a run is champion."""
        version = self.recorded(run)["phases"]["register"]["scraps"]["model_version"]["value"]
        return sha256(f"{version} {self.digest(run)}".encode())

    def may_go(self, run: Run, environment: str) -> bool:
        """Tell the rules a second time: evidence, no standing rejection, and in production an approval that counts."""
        now, about = Clock.now(UTC), [one for one in run.decisions if one.environment == environment]
        counting = [
            one
            for one in about
            if one.kind == "approval"
            and one.by not in run.authors
            and one.service == self.service
            and now < one.at + timedelta(days=DAYS)
        ]
        rejections = [
            one
            for one in about
            if one.kind == "rejection" and not any(other.at > one.at and other.by != one.by for other in counting)
        ]
        return self.has_evidence(run, environment) and not rejections and (environment == STAGING or bool(counting))

    def allow(self, run: Run, environment: str) -> None:
        self.may_be_in[environment].add(self.digest(run))
        self.may_be_live[environment].add(self.digest(run))

    def approved(self, run: Run, environment: str, by: str, step: int | None = None) -> None:
        """Let somebody approve a run, or die while he does."""
        before = self.sign_offs
        words = ("approve", run.name, "--env", environment, "--comment", "read it", "--as", by)
        may = by not in run.authors and self.has_evidence(run, environment)
        if step is not None:
            self.killed(step, *words)
            assert may or self.sign_offs == before
        elif may:
            self.done(*words)
            assert self.sign_offs != before
        else:
            self.refused(*words)
        if self.sign_offs != before:
            self.decided(run, "approval", environment, by)

    def decided(self, run: Run, kind: str, environment: str, by: str) -> None:
        at = datetime.fromisoformat(self.sign_offs[run.name][-1]["at"])
        run.decisions.append(Decision(kind, environment, by, at, self.service))

    @property
    def sign_offs(self) -> dict[str, list[Any]]:
        """What stands in the records of all runs."""
        return {name: self.recorded(run).get("sign_offs", []) for name, run in self.runs.items()}  # type: ignore[misc]

    def recorded(self, run: Run) -> Record:
        return record.load(self.place.root / "runs" / run.name)

    def goes_to_staging(self, run: Run, words: Sequence[str], by: str, good: bool) -> None:
        """Execute a run as far as its evidence carries it."""
        passes = run.evidence == "sound" or (run.evidence == "little" and run.is_waived)
        Told.good = good
        if passes:
            self.allow(run, STAGING)
        run.champion = self.champion(PRODUCTION)
        self.done(*words, by=by)
        found = self.recorded(run)
        if not passes:
            assert found["status"] == "stopped"
            return
        run.authors |= {phase["by"] for phase in found["phases"].values()}  # those that were cached, too
        run.is_registered = True
        self.shifted(run, STAGING, good)
        run.is_taken_back = self.live[STAGING] != self.digest(run)
        assert (found["status"] == "stopped") == run.is_taken_back

    def shifted(self, run: Run, environment: str, good: bool) -> None:
        """Tell what a release that ended does: the candidate is live, or its slot is empty."""
        new, live = self.digest(run), self.live[environment]
        if new != live:
            self.previous[environment] = live if good else None
            self.live[environment] = new if good else live
        self.settled(environment)

    def settled(self, environment: str) -> None:
        self.is_torn[environment] = False
        self.may_be_live[environment] = {self.live[environment]}

    def done(self, *words: str, by: str = "eve") -> Result:
        done = typed(self.place.project, *words, by=by)
        assert done.exit_code == 0, f"{words}: {done.output}"
        return done

    def refused(self, *words: str, by: str = "eve") -> None:
        """Type what is not allowed: it ends with 2, and everything is as it was."""
        before = self.seen()
        done = typed(self.place.project, *words, by=by)
        assert done.exit_code == 2, f"{words}: {done.output}"
        assert self.seen() == before

    def dies(self, step: int, environment: str, *words: str) -> None:
        """Let a command die that changes an endpoint; `look` holds what is live then to what may be."""
        before = self.endpoint(environment).evidence()
        self.killed(step, *words)
        live, previous = self.endpoint(environment).live(), self.endpoint(environment).previous()
        assert live
        self.live[environment], self.previous[environment] = live.digest, previous.digest if previous else None
        self.may_be_live[environment] = {live.digest}
        self.is_torn[environment] |= self.endpoint(environment).evidence() != before

    def killed(self, step: int, *words: str) -> None:
        self.left = step
        with contextlib.suppress(Crash):
            typed(self.place.project, *words, by="eve")
        self.left, self.counts = None, "any"
        for where in list(Endpoint._claims):  # the system does so
            Endpoint._claims.pop(where).release()

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Give a step that dies when its time has come, and after which all endpoints are looked at."""

        def step(*arguments: Any, **words: Any) -> Any:
            is_state = bool(arguments) and getattr(arguments[0], "name", "") == delivery.host_folder.STATE
            if self.left is not None:
                self.left -= self.left < 0 or is_state or self.counts == "any"  # who is dead stays dead
                if self.left < 0:
                    raise Crash
            done = real(*arguments, **words)
            if is_state:
                self.look(arguments[0].parent.name)
            return done

        return step

    def endpoint(self, environment: str) -> Endpoint:
        return Endpoint(self.place.root / "endpoints", MODEL, environment)

    def champion(self, environment: str) -> str:
        return champion(self.place.root, environment)

    def is_shared(self, environment: str) -> bool:
        """Tell whether a deployment that died left the traffic shared."""
        state = self.endpoint(environment).state()
        return bool(state["mirror"]) or state["traffic"][state["live"] or ""] < 100

    def seen(self) -> list[Any]:
        places = [(self.endpoint(environment).evidence(), self.champion(environment)) for environment in ENVIRONMENTS]
        return [places, self.sign_offs]
