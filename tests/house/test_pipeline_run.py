"""The steps of azure-pipelines.yml, executed in order with the local engine, on a lifecycle of three tiny notebooks."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.endpoint import Endpoint

from ..delivery import lifecycle
from ..fixtures_model import MakeModel, digest_of, make_model, model_dir  # noqa: F401 - fixtures
from . import devops
from .agent import Agent

ROOT = Path(__file__).resolve().parents[2]
REASON = "8 % unknown words; $(System.AccessToken) ##vso[task.setvariable variable=run]x"
TOKEN = "the-token-of-the-job"
PARTS = ("azure-pipelines.yml", "Makefile", ".ci", "requirements/dev.txt", "pyproject.toml")

Push = Callable[..., Agent]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Path:  # noqa: F811
    """Give a checkout of the lifecycle with this project's pipeline, set up as `make .venv/ready` does."""
    root = lifecycle.write(tmp_path_factory.mktemp("checkout"), model_dir).root
    for part in PARTS:
        (root / part).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, root / part)  # type: ignore[operator]
    (root / "params" / "prod.yaml").write_text("evaluate: {recall_low: 0.95}\n")
    (root / "params" / "hard.yaml").write_text("evaluate: {recall_low: 0.5}\n")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "trey").symlink_to(Path(sys.executable).with_name("trey"))
    (root / ".venv" / "ready").touch()
    return root


@pytest.fixture
def push(checkout: Path, tmp_path: Path) -> Iterator[Push]:
    """Give a function that lets an agent execute the pipeline; validation is what runs this very test."""
    approved = devops.approval(("bea@example.org", "approved", "read the report"))
    with devops.serving(approved) as (address, _):

        def pushed(number: str, *, dies: Any = None, cancels: Any = None, **parameters: str) -> Agent:
            predefined = {
                "Build.SourceBranch": "refs/heads/main",
                "Build.BuildNumber": number,
                "Build.BuildId": str(devops.BUILD),
                "Build.RequestedForEmail": "ada@example.org",
                "System.JobAttempt": "1",
                "System.StageAttempt": "1",
                "System.CollectionUri": address,
                "System.TeamProjectId": "parts",
            }
            agent = Agent(
                root=checkout,
                artifacts=tmp_path / "artifacts",
                predefined=predefined | {"Build.Reason": parameters.pop("build_reason", "IndividualCI")},
                secrets={"System.AccessToken": TOKEN},
                parameters={"engine": "local"} | parameters,
                taken_as_done=frozenset({"validate"}),
                dies=dies,
                cancels=cancels,
            )
            agent.run(checkout / "azure-pipelines.yml")
            return agent

        yield pushed


def recorded(agent: Agent, artifact: str, run: str) -> Any:
    return json.loads((agent.artifacts / artifact / run / "run.json").read_text())


def live(checkout: Path, environment: str) -> Any:
    """Give what is live in an environment; None where nothing is."""
    return Endpoint(checkout / "endpoints", "parts", environment).live()


def test_a_good_model_reaches_production(push: Push, checkout: Path) -> None:
    agent = push("20261127-1", reason=REASON)
    assert agent.results == {
        "validate": "Succeeded", "small": "Skipped", "train": "Succeeded", "staging": "Succeeded",
        "production": "Succeeded",
    }, agent.log  # fmt: skip
    assert [words for words in agent.executed if words.startswith(("trey", "Smoke"))] == [
        "trey run", "trey decision",
        "trey release", "Smoke", "trey decision",
        "trey approve, as the environment's check was answered", "trey release", "Smoke", "trey decision",
    ]  # fmt: skip
    found = recorded(agent, "production-1", "20261127-1-1")
    assert found["authors"] == ["ada@example.org"]
    assert found["why"] == REASON.replace("$", "")
    assert [(one["by"], one["comment"]) for one in found["sign_offs"]] == [("bea@example.org", "read the report")]
    assert [(one["environment"], one["status"]) for one in found["releases"]] == [
        ("staging", "succeeded"), ("production", "succeeded"),
    ]  # fmt: skip
    assert found["phases"]["register"]["params"]["build_number"] == "20261127-1"
    assert live(checkout, "production").digest == live(checkout, "staging").digest
    assert "release to production: succeeded" in agent.summaries[-1]
    for path in filter(Path.is_file, agent.artifacts.rglob("*")):
        assert TOKEN.encode() not in path.read_bytes(), path
    assert TOKEN not in "".join(agent.log)


def test_a_rejected_model_is_a_green_pipeline_that_does_not_release(push: Push) -> None:
    agent = push("20261127-2", params="params/hard.yaml")
    assert agent.results == {
        "validate": "Succeeded", "small": "Skipped", "train": "Succeeded", "staging": "Skipped",
        "production": "Skipped",
    }, agent.log  # fmt: skip
    outputs = agent.jobs["train"]["collect"].outputs
    assert outputs["decision.releasable"] == "false"
    assert "the gates of register stopped the run: evaluate.recall_low" in outputs["decision.reason"]
    [summary] = agent.summaries
    assert summary.startswith("# Stopped: not released\n")
    assert (agent.artifacts / "trained-1" / "20261127-2-1" / "report.html").is_file()


def test_a_release_that_fails_is_red_and_goes_no_further(push: Push, checkout: Path) -> None:
    """What was live before stays live: the way back does nothing where the candidate never went live."""
    (checkout / "params" / "ci.yaml").write_text("deploy: {fails: true}\n")
    before = live(checkout, "staging")
    agent = push("20261127-4", params="params/ci.yaml")
    assert (agent.results["train"], agent.results["staging"], agent.results["production"]) == (
        "Succeeded", "Failed", "Skipped",
    )  # fmt: skip
    assert agent.executed[-1] == "trey rollback"
    assert "it was asked to fail" in "".join(agent.log)
    assert "nothing that a release of 20261127-4-1 brought is live in staging; nothing was switched" in agent.log[-1]
    assert live(checkout, "staging") == before
    assert "release to staging: failed" in agent.summaries[-1]


def test_a_pull_request_runs_the_small_form_alone(push: Push, checkout: Path) -> None:
    (checkout / "params" / "ci.yaml").write_text("evaluate: {recall_low: 0.96}\n")
    agent = push("20261127-5", build_reason="PullRequest")
    assert agent.results == {
        "validate": "Succeeded", "small": "Succeeded", "train": "Skipped", "staging": "Skipped",
        "production": "Skipped",
    }, agent.log  # fmt: skip
    assert recorded(agent, "small-1", "20261127-5-1")["decision"]["verdict"] == "release"


def test_an_agent_that_dies_in_a_canary_leaves_the_candidate_no_share(
    push: Push,
    checkout: Path,
    make_model: MakeModel,  # noqa: F811
) -> None:
    """Nothing of the release was published then: the way back begins with the run as it was before."""
    other = make_model(bias=3.0)
    (checkout / "params" / "ci.yaml").write_text(f"evaluate: {{model_path: {other}}}\n")
    endpoint = Endpoint(checkout / "endpoints", "parts", "staging")
    before = endpoint.live()

    def dies() -> None:
        endpoint.claim()
        endpoint.shift(endpoint.place(other, before.version + 1, digest_of(other)).name, 10)
        Endpoint._claims.popitem()[1].release()  # the system does so, and the share stays
        assert endpoint.state()["traffic"][before.name] == 90

    agent = push("20261127-6", params="params/ci.yaml", dies=("staging", "trey release", dies))
    assert (agent.results["staging"], agent.results["production"]) == ("Failed", "Skipped"), agent.log
    assert agent.executed[-1] == "trey rollback"
    assert not (agent.artifacts / "staging-1").exists()
    assert (endpoint.live(), endpoint.state()["traffic"][before.name]) == (before, 100)


def test_a_build_that_is_cancelled_behind_its_release_takes_it_back(
    push: Push,
    checkout: Path,
    make_model: MakeModel,  # noqa: F811
) -> None:
    (checkout / "params" / "ci.yaml").write_text(f"evaluate: {{model_path: {make_model(bias=3.5)}}}\n")
    before = live(checkout, "staging")

    def cancels() -> None:
        assert live(checkout, "staging") != before

    agent = push("20261127-7", params="params/ci.yaml", cancels=("staging", "Smoke", cancels))
    assert (agent.results["staging"], agent.results["production"]) == ("Canceled", "Skipped"), agent.log
    assert agent.executed[-1] == "trey rollback, where somebody cancels the build"
    assert recorded(agent, "staging-1", "20261127-7-1")["releases"][0]["switched"] is True
    assert live(checkout, "staging") == before
