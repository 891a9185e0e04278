"""What README and docs/RELEASE.md show of the way to production and back: typed, with people who ask all the while."""

import itertools
import json
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from shutil import which

import pytest

from delivery import registry
from delivery.endpoint import Endpoint
from tests.end_to_end import pages
from tests.end_to_end.pages import Step
from tests.end_to_end.small import EVALUATED, write_judged_model
from tests.project import ROOT, Project, copy_project
from tests.runner.conftest import GLUE, write_notebook

NAME = "connected-car"
README = pages.section((ROOT / "README.md").read_text(encoding="utf-8"), "Release to production and back")
RELEASE = pages.section((ROOT / "docs" / "RELEASE.md").read_text(encoding="utf-8"), "Where it stops")
PORT = "8080"  # of the pages
PARAMS = f"""
all: {{model_name: {NAME}}}
train: {{models_path: ../models}}
evaluate: {{registry_store: ../registry}}
register: {{registry_store: ../registry}}
deploy:
  registry_store: ../registry
  endpoint_store: ../endpoints
  collected_store: ../collected
  environment: staging
  shares: [50]
  latency_limit: 5000
"""
CHECKS = "checks:\n  evaluate: compliance.checks:of_evaluate\n"  # of parameters that no notebook has here
BIAS = {7: 0.0, 8: 1e-6, 20: 3.0}  # of the model that a seed gives: as the first, alike, flags what is new
EVALUATED_TEXTS = [
    *(f"good condition steel part {number}" for number in range(20)),
    *(f"poor condition iron part {number}" for number in range(20)),
]
NEW = "new carbon fiber component"  # a word that no evaluated text has
OLD = "poor condition iron component manufactured in 1971"
LABELS = {NEW: {1: "compliant", 2: "compliant", 3: "non-compliant"}, OLD: dict.fromkeys((1, 2, 3), "non-compliant")}
JUDGED = """
from delivery.external import ABSENT, champion_uri, registry_state
champion = registry_state(champion_uri(registry_store, model_name, "production")) != ABSENT
for name in ("schema_faults", "split_leakage", "parity_label_flips", "parity_max_difference"):
    glue(name, 0)
for name in ("missed_rate", "calibration_error", "behaviour_failed"):
    glue(name, 0.01)
    glue(f"{name}_high", 0.02)
for name in ("accuracy", "baseline_delta", "slice_accuracy", "champion_delta"):
    glue(name, 0.97)
    glue(f"{name}_low", 0.95)
limits = dict(missed_limit=0.05, majority_accuracy=0.6, baseline_floor=-0.02, slice_floor=0.85, calibration_limit=0.05)
limits |= dict(champion_floor=-0.01, behaviour_limit=0.05, latency_ms=0.1, latency_limit=5, size_mb=0.1, size_limit=20)
counts = dict(noncompliant_texts=400, test_texts=900, slice_texts=100, behaviour_cases=200)
facts = dict(slices=True, champion=champion, challenge=False, test_digest="t" * 64, champion_test_digest="t" * 64)
for name, value in (limits | counts | facts).items():
    glue(name, value)
glue("model_digest", digest)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a copy of the project that trains models small enough to read; gates and release are its own."""
    project = copy_project(tmp_path_factory.mktemp("path"))
    for seed, bias in BIAS.items():
        write_judged_model(project.root / "models" / str(seed), name=NAME, bias=bias)
    notebooks, output = project.root / "notebooks", 'output_dir: str = "x"'
    write_notebook(notebooks / "prepare.ipynb", "print('nothing to prepare')", parameters=output)
    write_notebook(
        notebooks / "train.ipynb",
        "import shutil\nfrom pathlib import Path",
        "shutil.copytree(Path(models_path, str(seed)), Path(output_dir, 'model'))",
        parameters=f'prepare_dir: str = "x"\nmodels_path: str = "x"\nseed: int = 7\n{output}',
    )
    write_notebook(
        notebooks / "evaluate.ipynb",
        GLUE,
        f"model_path, texts = f'{{train_dir}}/model', {EVALUATED_TEXTS!r}\n{EVALUATED}",
        JUDGED,
        parameters=f'train_dir: str = "x"\nregistry_store: str = "x"\nmodel_name: str = "x"\n{output}',
    )
    (project.root / "params" / "default.yaml").write_text(PARAMS, encoding="utf-8")
    pipeline = project.root / "params" / "pipeline.yaml"
    written = pipeline.read_text(encoding="utf-8")
    assert CHECKS in written
    pipeline.write_text(written.replace(CHECKS, ""), encoding="utf-8")
    return project


@dataclass
class People:
    """Ask a service one thing after another at a steady rate, and keep what was wrong with the answers."""

    port: int
    rate: float = 200.0  # requests a second
    seconds: float = 900.0  # until they stop by themselves
    answers: Counter[int] = field(default_factory=Counter)  # by version
    last: dict[int, float] = field(default_factory=dict)  # when each version answered last, on the monotonic clock
    faults: list[str] = field(default_factory=list)

    def ask_until(self, done: threading.Event) -> None:
        connection, texts = HTTPConnection("127.0.0.1", self.port, timeout=30), (NEW, OLD)
        due = start = time.monotonic()
        for number in itertools.count():
            if done.is_set() or due > start + self.seconds:
                break
            self.ask(connection, texts[number % len(texts)])
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
        connection.close()

    def ask(self, connection: HTTPConnection, text: str) -> None:
        try:
            connection.request("POST", "/score", json.dumps([text]), {"content-type": "application/json"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
            version, label = said["model"]["version"], said["results"][0]["label"]
        except (OSError, HTTPException, ValueError, LookupError) as error:
            self.faults.append(repr(error))
            connection.close()
            return
        self.answers[version] += 1
        self.last[version] = time.monotonic()
        if (answer.status, label) != (200, LABELS[text][version]):
            self.faults.append(f"version {version} said {label} of {text!r}, with status {answer.status}")


@contextmanager
def asking(port: int) -> Iterator[People]:
    """Let people ask during a block."""
    people, done = People(port), threading.Event()
    thread = threading.Thread(target=people.ask_until, args=(done,), daemon=True)
    thread.start()
    try:
        yield people
    finally:
        done.set()
        thread.join(60)
    assert not thread.is_alive()


@contextmanager
def going_on(project: Project, step: Step) -> Iterator[None]:
    """Type a command in a terminal of its own, see the lines that it shows, and press Ctrl-C when the block ends."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {step.command}"],
        cwd=project.root,
        env=pages.variables(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            pages.check(step, "".join(process.stdout.readline() for _ in step.lines))
            watchdog.cancel()
            yield
        finally:
            watchdog.cancel()
            process.send_signal(signal.SIGINT)
            process.wait(60)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def live_and_champion(project: Project) -> tuple[int, int]:
    live = Endpoint(project.root / "endpoints", NAME, "production").live()
    champion = registry.champion(NAME, "production", str(project.root / "registry"))
    assert live
    assert champion
    return live.version, champion.version


def walk(project: Project, page: str, port: int, terminals: ExitStack) -> list[tuple[str, float, float]]:
    """Type the commands of a page, those in terminals of their own until these are closed; give when each ran."""
    typed = []
    for step in pages.steps(page.replace(PORT, str(port))):
        started = time.monotonic()
        if step.terminal:
            terminals.enter_context(going_on(project, step))
        else:
            pages.check(step, pages.typed(project, step.command))
        typed.append((step.command, started, time.monotonic()))
    return typed


@pytest.mark.skipif(not which("curl"), reason="the pages ask with curl")
def test_the_pages_lead_to_production_and_back(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    """README first, to the second model and back; then docs/RELEASE.md, where a third one takes itself back."""
    port = free_port()
    first, second = README.split("A second model", maxsplit=1)
    with ExitStack() as terminals:
        walk(project, first, port, terminals)
        with asking(port) as people:
            walked = walk(project, second, port, terminals)
            assert live_and_champion(project) == (1, 1)
            people.rate = 50.0  # enough for a canary; at the rate before, most of the time is theirs
            walk(project, RELEASE, port, terminals)
    assert live_and_champion(project) == (1, 1)
    assert people.faults == []
    assert people.answers.keys() == {1, 2}  # nobody was ever answered by the third
    assert people.answers[2] > 300
    [(started, ended)] = [times for command, *times in walked if command.startswith("trey rollback")]
    assert people.last[2] < ended + 5
    record_property("seconds_to_roll_back", round(people.last[2] - started, 2))
    print(f"the first version answers alone {people.last[2] - started:.1f} s after trey rollback was typed")  # noqa: T201
    *_, released = project.last()["releases"]
    assert (released["environment"], released["status"]) == ("production", "rolled-back")
    assert released["reason"].startswith("mirror 100 %: disagreement: ")
