"""This repository's own lifecycle on Azure ML, as docs/AZURE.md types it: its notebooks, its parameters, its releases.

What git tracks is copied into a repository of its own, and `trey` runs there, so nothing depends on this checkout.
Microsoft's SDK submits to Azure on loopback; the compute has nothing but blobs; deployments are started from what was
uploaded for them. It takes minutes: `make nightly`. The tests go on from each other, in order.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.azure import guard, tokens
from tests.azure.executor import Compute
from tests.azure.fixtures import at_work, azure_server, azurite, mlflow_server  # noqa: F401 - fixtures
from tests.azure.lifecycle import commit, git
from tests.azure.server import SCORING, Azure, Server
from tests.delivery.azure_containers import Containers
from tests.project import ROOT
from tests.service.azurite import Azurite

pytestmark = pytest.mark.nightly
PHASES = ["prepare", "train", "evaluate", "register", "deploy"]
SMALL = ["--params", "params/prod.yaml", "--params", "params/ci.yaml"]
PATIENCE = ["deploy.stage_seconds=240", "deploy.latency_limit=5000", "deploy.shares=[50]"]  # of a busy machine
BAD = "poor condition iron component manufactured in 1971"
GOOD = "new condition steel component manufactured in 2015"
LIMIT = 900.0  # seconds that a command, or a node, may take


@dataclass
class Estate:
    """A workspace with its compute and its containers, and the repository that is taken there."""

    azure: Azure
    compute: Compute
    root: Path

    def trey(self, *words: str, exit_code: int = 0) -> str:
        """Type a command in the repository, with its code alone, and give what it says; fail where it ends amiss."""
        done = subprocess.run(
            [sys.executable, "-m", "runner", *words],
            cwd=self.root,
            env=os.environ | {guard.ALONE: "1", "PYTHONPATH": f"{self.root}{os.pathsep}{guard.SITE}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == exit_code, f"trey {' '.join(words)}: {done.returncode}\n{done.stdout[-6000:]}"
        self.compute.wait()
        return done.stdout

    def run(self, run_id: str, *words: str) -> dict[str, Any]:
        """Run the lifecycle on Azure ML, small, and give its record."""
        self.compute.ran.clear()
        sets = [word for value in PATIENCE for word in ("--set", value)]
        self.trey("run", "--engine", "azureml", "--run-id", run_id, *SMALL, *sets, *words)
        return self.record(run_id)

    def record(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "runs" / run_id / "run.json").read_text(encoding="utf-8"))
        return found

    @property
    def ran(self) -> list[tuple[str, int]]:
        """What ran on the compute since, and how it ended."""
        return [(phase, ended) for phase, _, ended in self.compute.ran]

    def models(self) -> dict[int, list[str]]:
        """Give of which environments each registered version is champion."""
        said = json.loads(self.trey("models", "--registry-store", "azureml://workspace", "--json"))
        return {one["version"]: one["champion_of"] for one in said}

    def endpoint(self, environment: str) -> dict[str, Any]:
        """Give the endpoint of an environment, as Resource Manager has it."""
        [found] = [
            one
            for one in self.azure.manager.resources.values()
            if one["type"].lower().endswith("/onlineendpoints") and one["tags"]["trey-environment"] == environment
        ]
        return found

    def ask(self, environment: str, *texts: str) -> dict[str, Any]:
        """Ask an environment's endpoint as a client does: its address, and a token of Entra ID."""
        address = self.endpoint(environment)["properties"]["scoringUri"]
        headers = {"authorization": f"Bearer {tokens.issue(SCORING)}", "content-type": "application/json"}
        with urlopen(Request(address, json.dumps(texts).encode(), headers), timeout=60) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())
        return found


@pytest.fixture(scope="module")
def estate(
    azurite: Azurite,  # noqa: F811
    azure_server: Server,  # noqa: F811
    mlflow_server: Callable[[], str],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Estate]:
    """Give a workspace, and a repository that holds what this one's git tracks, as it lies in the working tree."""
    folder = tmp_path_factory.mktemp("estate")
    root = folder / "checkout"
    for name in subprocess.check_output(["git", "-C", ROOT, "ls-files", "-z"], text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    git(root, "init", "--quiet")
    commit(root)
    with (
        pytest.MonkeyPatch.context() as patch,
        at_work(azurite, azure_server, mlflow_server, folder, patch) as azure,
    ):
        compute, containers = Compute(azure, folder / "machines", limit=LIMIT), Containers(azure, folder / "containers")
        azure.manager.on_job, azure.containers = compute.take, containers.address
        yield Estate(azure, compute, root)
        containers.close()


def test_a_run_ends_registered_and_deployed(estate: Estate) -> None:
    found = estate.run("first")
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert {name: entry["status"] for name, entry in found["phases"].items()} == dict.fromkeys(PHASES, "succeeded")
    assert estate.ran == [(phase, 0) for phase in PHASES]
    assert estate.models() == {1: ["staging"]}
    scraps = {phase: entry["scraps"] for phase, entry in found["phases"].items()}
    digest = scraps["evaluate"]["model_digest"]["value"]
    assert scraps["register"]["model_digest"]["value"] == scraps["deploy"]["model_digest"]["value"] == digest
    described = json.loads((estate.root / "runs" / "first" / "register" / "datasheet.json").read_text(encoding="utf-8"))
    commit_here = subprocess.check_output(["git", "-C", estate.root, "rev-parse", "HEAD"], text=True).strip()
    assert (described["fields"]["run_id"], described["commit"]) == ("first", commit_here)
    assert digest in (estate.root / "runs" / "first" / "report.html").read_text(encoding="utf-8")


def test_what_was_deployed_answers(estate: Estate) -> None:
    answer = estate.ask("staging", BAD, GOOD)
    digest = estate.record("first")["phases"]["evaluate"]["scraps"]["model_digest"]["value"]
    assert answer["model"] == {"name": "connected-car", "version": 1, "digest": digest}
    assert [one["label"] for one in answer["results"]] == ["non-compliant", "compliant"]
    assert estate.trey("smoke", "--env", "staging", "--of", "first").endswith("checks passed\n")


def test_nothing_changed_is_nothing_done(estate: Estate) -> None:
    """What stands in the workspace, registry and endpoint, is as the phases left it."""
    found = estate.run("again")
    assert {name: entry["status"] for name, entry in found["phases"].items()} == dict.fromkeys(PHASES, "cached")
    assert estate.ran == []


def test_production_wants_an_approval_and_then_answers(estate: Estate) -> None:
    refused = estate.trey("release", "first", "--to", "production", exit_code=2)
    assert "nobody approved this release\nnext: trey approve first --env production --comment WHY" in refused
    estate.trey("approve", "first", "--env", "production", "--comment", "read the report", "--as", "ada@example.org")
    estate.trey("release", "first", "--to", "production")
    assert estate.models() == {1: ["production", "staging"]}
    assert estate.ask("production", BAD)["results"][0]["label"] == "non-compliant"
    said = estate.trey("rollback", "--env", "production", "--of", "first", exit_code=1)
    assert "stays live in production: nothing was live before it; nothing was switched" in said


def test_a_gate_that_stops_the_run_keeps_it_from_the_registry(estate: Estate) -> None:
    """The evaluation runs on the compute beside the champion, which it fetches from the workspace's registry."""
    found = estate.run("stopped", "--set", "evaluate.size_limit=0.01")
    assert (found["status"], found["phases"]["evaluate"]["scraps"]["champion"]["value"]) == ("stopped", True)
    assert found["decision"]["reason"].startswith("the gates of register stopped the run: evaluate.size_mb: ")
    assert ("evaluate", 0) in estate.ran
    assert not {phase for phase, ended in estate.ran if ended == 0} & {"register", "deploy"}
    assert {found["phases"][phase]["status"] for phase in ("register", "deploy")} == {"skipped"}
    assert estate.models() == {1: ["production", "staging"]}
    assert estate.trey("decision", "stopped", "--to", "staging").startswith("staging does not take stopped: ")
    assert estate.ask("staging", BAD)["model"]["version"] == 1


def test_a_second_model_takes_over_and_is_taken_back(estate: Estate) -> None:
    """As docs/PIPELINE.md does it: the compute registers; the release, with its canary, is a step of its own."""
    found = estate.run("second", "--to", "register", "--set", "train.seed=8")
    assert found["decision"]["verdict"] == "incomplete", found["decision"]  # as asked, without deploy
    assert estate.ran == [(phase, 0) for phase in PHASES[1:-1]]
    assert estate.trey("decision", "second", "--to", "staging").startswith("staging takes second: ")
    released = estate.trey("release", "second", "--to", "staging")
    assert "staging: released: connected-car version 2" in released
    assert {deployment for _, deployment, _ in estate.azure.mirrored} == {"green"}
    assert estate.ask("staging", BAD)["model"]["version"] == 2
    assert estate.models() == {1: ["production"], 2: ["staging"]}
    estate.trey("smoke", "--env", "staging", "--of", "second")

    said = estate.trey("rollback", "--env", "staging", "--of", "second")
    assert "staging answers with connected-car version 1" in said
    assert "champion of staging: version 1\n" in said
    assert estate.ask("staging", BAD)["model"]["version"] == 1
    assert estate.models() == {1: ["production", "staging"], 2: []}
    estate.trey("smoke", "--env", "staging", "--of", "first")
