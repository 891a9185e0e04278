"""`trey approve`, `reject`, `waive`, `release` and `rollback`, as people type them, over real registry and endpoint."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from delivery import locks, names, registry
from delivery.approvals import release_digest
from delivery.endpoint import Endpoint
from delivery.files import canonical, sha256
from runner import fingerprint, record
from runner.cli import main
from runner.cli.decision import OUTPUTS
from runner.pipeline import load_pipeline
from runner.record import Record

from ..drawn import drawn
from ..fixtures_model import MakeModel, digest_of
from ..house import devops
from ..project import ROOT
from ..runner.conftest import Project
from . import lifecycle
from .test_azure_devops import VARIABLES

Trey = Callable[..., Result]
TRUST = "is taken on trust here; where it must hold, an environment's approval enforces it (docs/RELEASE.md)"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"


def typed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Trey:
    """Give a function that types a command in a project, as ada."""
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("TREY_IDENTITY", "ada")

    def trey(*words: str, exit_code: int = 0) -> Result:
        done = CliRunner().invoke(main, words, prog_name="trey")
        assert done.exit_code == exit_code, done.output + done.stderr
        return done

    return trey


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Project:
    """Give a project in which a run by ada released to staging."""
    project = lifecycle.write(tmp_path_factory.mktemp("released"), model_dir)
    with pytest.MonkeyPatch.context() as patch:
        typed(project, patch)("run", "--run-id", "one")
    return project


@pytest.fixture
def run(made: Project) -> Iterator[Path]:
    """Give that run's folder, and put it back as it was."""
    folder = made.root / "runs" / "one"
    before = (folder / "run.json").read_bytes()
    yield folder
    (folder / "run.json").write_bytes(before)
    shutil.rmtree(folder / "releases", ignore_errors=True)
    shutil.rmtree(made.root / "endpoints" / "parts" / "production", ignore_errors=True)


@pytest.fixture
def trey(made: Project, run: Path, monkeypatch: pytest.MonkeyPatch) -> Trey:
    return typed(made, monkeypatch)


APPROVE = ("approve", "one", "--env", "production", "--comment", "read it", "--as", "bob")


def signed(run: Path) -> list[Any]:
    return list(record.load(run)["sign_offs"])


def test_a_run_names_its_author_and_who_resumed_it(run: Path) -> None:
    assert record.load(run)["authors"] == ["ada"]


def test_who_made_what_a_run_took_over_is_an_author_too(
    trey: Trey, made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREY_IDENTITY", "bob")
    trey("run", "--run-id", "again")
    again = made.root / "runs" / "again"
    try:
        found = record.load(again)
        assert {entry["status"] for entry in found["phases"].values()} == {"cached"}
        assert sorted(found["authors"]) == ["ada", "bob"]
        done = trey("approve", "again", "--env", "production", "--comment", "my own", "--as", "ada", exit_code=2)
        assert "ada is an author of again, and its authors (bob, ada) do not approve it" in done.stderr
    finally:
        shutil.rmtree(again)


def test_a_verdict_against_an_earlier_champion_counts_no_longer(
    tmp_path: Path, model_dir: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of this run was compared with what production runs now; what was live there may come back."""
    project, store = lifecycle.write(tmp_path, model_dir), str(tmp_path / "registry")
    trey = typed(project, monkeypatch)
    other = registry.register(make_model(bias=4.0), name="parts", store=store, tags={}, metrics={})
    trey("run", "--run-id", "one")
    registry.set_champion("parts", other.version, "production", store)
    for words in (APPROVE, ("release", "one", "--to", "production")):
        refused, step = trey(*words, exit_code=2).stderr.splitlines()
        assert refused == "trey: one: registry:parts/champion/production changed since evaluate"
        assert step.startswith("next: trey")  # the command that the run began with
    assert "production does not take one: one: registry:parts" in trey("decision", "one", "--to", "production").stdout
    assert "staging takes one" in trey("decision", "one", "--to", "staging").stdout  # it was there
    trey("run", "--run-id", "again", "--to", "register")
    again = tmp_path / "runs" / "again"
    assert record.load(again)["phases"]["evaluate"]["why"] == "registry:parts/champion/production changed"
    trey("approve", "again", "--env", "production", "--comment", "read it", "--as", "bob")
    for champion in (other.version, record.load(again)["phases"]["register"]["scraps"]["model_version"]["value"]):
        registry.set_champion("parts", champion, "production", store)  # as it was, and as a release would leave it
        assert "production takes again" in trey("decision", "again", "--to", "production").stdout


def test_an_approval_is_bound_to_model_and_release(trey: Trey, run: Path, model_dir: Path) -> None:
    said = trey(*APPROVE).stdout
    candidate = json.loads((run / "releases" / "candidate.json").read_bytes())
    sha = release_digest(candidate)
    assert re.fullmatch(
        rf"approved for production: parts version 1, digest {digest_of(model_dir)[:12]}…, release {sha[:12]}…\n"
        rf"by bob \({TIME}\), until {TIME}: read it\nthe name bob {re.escape(TRUST)}\n"
        r"release: runs/one/releases/candidate.json\nnext: trey release one --to production\n",
        said,
    )
    [entry] = signed(run)
    assert (entry["kind"], entry["subject"], entry["by"], entry["comment"]) == (
        "approval", "production", "bob", "read it"
    )  # fmt: skip
    assert (entry["digest"], entry["release_sha256"]) == (digest_of(model_dir), sha)
    assert sha == sha256((run / "releases" / "candidate.json").read_bytes())
    html = (run / "report.html").read_text(encoding="utf-8")
    assert '<span class="pill good">approval</span>' in html
    assert sha in html
    assert "approval of production by bob" in trey("show", "one").stdout


def test_production_is_refused_until_somebody_else_approves(trey: Trey, run: Path) -> None:
    before = (run / "run.json").read_bytes()
    done = trey("release", "one", "--to", "production", exit_code=2)
    assert (done.stdout, done.stderr) == (
        "",
        "trey: production refuses one\nnobody approved this release\n"
        "next: trey approve one --env production --comment WHY\n",
    )
    done = trey("approve", "one", "--env", "production", "--comment", "mine", exit_code=2)
    assert done.stderr == (
        "trey: ada is an author of one, and its authors (ada) do not approve it; a team of one allows it in "
        "pipeline.yaml: release: {allow_self_approval: true}\n"
        "next: somebody else types: trey approve one --env production --comment WHY\n"
    )
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("engine", drawn(["azureml", "azureml-v1"], 1))
def test_a_run_of_azure_ml_is_released_from_here(trey: Trey, run: Path, engine: str) -> None:
    found = record.load(run)
    record.save(run, found | {"engine": engine})
    trey(*APPROVE)
    assert json.loads(trey("release", "one", "--to", "production", "--json").stdout)["status"] == "succeeded"
    assert json.loads((run / "releases" / "production-1" / "_phase" / "phase.json").read_bytes())["engine"] == "local"


def test_a_release_keeps_its_record_and_says_what_to_type(
    trey: Trey, run: Path, made: Project, model_dir: Path
) -> None:
    trey(*APPROVE)
    done = trey("release", "one", "--to", "production", "--as", "eve")
    assert done.stdout == (
        f"production: released: parts version 1, digest {digest_of(model_dir)[:12]}…\n"
        "release: runs/one/releases/production-1\nreport: runs/one/report.html\n"
        "next: trey serve --env production\n"
    )
    assert done.stderr.splitlines()[:2] == [
        f"gate of deploy: pass: register.model_digest: {digest_of(model_dir)[:12]}… = {digest_of(model_dir)[:12]}…",
        "deploy: runs (release to production by eve)",
    ]
    live = Endpoint(made.root / "endpoints", "parts", "production").live()
    assert live and live.digest == digest_of(model_dir)
    champion = registry.champion("parts", "production", str(made.root / "registry"))
    assert champion and champion.version == 1
    [entry] = record.load(run)["releases"]
    assert (entry["environment"], entry["status"], entry["by"]) == ("production", "succeeded", "eve")
    released = json.loads((run / entry["folder"] / "release.json").read_bytes())
    assert released["approvals"] == signed(run)
    assert release_digest(released) == entry["release_sha256"] == signed(run)[0]["release_sha256"]
    page = "releases/production-1/_phase/notebook.html"
    assert f'<a href="{page}">production</a>' in (run / "report.html").read_text(encoding="utf-8")
    assert (run / page).is_file()
    assert "release to production by eve" in trey("show", "one").stdout

    trey("release", "one", "--to", "production")
    assert [entry["folder"] for entry in record.load(run)["releases"]] == [
        "releases/production-1", "releases/production-2"
    ]  # fmt: skip


def test_a_rejection_stands_until_somebody_else_approves(trey: Trey, run: Path, model_dir: Path) -> None:
    trey(*APPROVE)
    said = trey("reject", "one", "--env", "production", "--comment", "misses 1996", "--as", "eve").stdout
    assert re.fullmatch(
        rf"rejected for production: digest {digest_of(model_dir)[:12]}…\nby eve \({TIME}\): misses 1996\n"
        rf"the name eve {re.escape(TRUST)}\nnext: trey report one\n",
        said,
    )
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "<strong>Rejected for production by eve:</strong> misses 1996" in html.split("</header>")[0]
    refused = trey("release", "one", "--to", "production", exit_code=2).stderr
    assert re.fullmatch(
        rf"trey: production refuses one\neve \({TIME}\) rejected it: misses 1996\n"
        r"next: trey approve one --env production --comment WHY\n",
        refused,
    )
    trey("approve", "one", "--env", "production", "--comment", "I insist", "--as", "eve")
    trey("release", "one", "--to", "production", exit_code=2)
    trey(*APPROVE)
    trey("release", "one", "--to", "production")


def test_one_changed_byte_makes_an_approval_void(trey: Trey, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trey(*APPROVE)
    with monkeypatch.context() as patch:
        patch.setattr("delivery.release.service_digest", lambda: "f" * 64)
        refused = trey("release", "one", "--to", "production", exit_code=2).stderr
    assert re.search(r"the approval by bob .* is void: since then service of the release changed\n", refused)
    onnx = run / "evaluate" / "model" / "model.onnx"
    before = onnx.read_bytes()
    onnx.write_bytes(before + b" ")
    try:
        assert trey("release", "one", "--to", "production", exit_code=2).stderr.startswith("trey: one: fail: ")
    finally:
        onnx.write_bytes(before)
    trey("release", "one", "--to", "production")


def test_a_release_that_took_itself_back_is_a_planned_end(trey: Trey, run: Path, made: Project) -> None:
    asked_to(run, gives_up="errors rose to 4 %")
    done = trey("release", "one", "--to", "staging")
    assert done.stdout.startswith("staging: rolled back by itself: parts version 1, digest ")
    assert done.stdout.endswith(
        ": errors rose to 4 %\nrelease: runs/one/releases/staging-1\nreport: runs/one/report.html\n"
        "next: trey show one\n"
    )
    trey("release", "one", "--to", "staging", "--fail-on-stop", exit_code=3)
    assert [entry["status"] for entry in record.load(run)["releases"]] == ["rolled-back", "rolled-back"]


def test_a_release_that_fails_ends_with_1_and_keeps_what_it_did(trey: Trey, run: Path) -> None:
    asked_to(run, fails=True)
    done = trey("release", "one", "--to", "staging", exit_code=1)
    assert "staging: failed: parts version 1" in done.stdout
    assert "it was asked to fail" in done.stdout
    [entry] = record.load(run)["releases"]
    assert entry["status"] == "failed"
    assert (run / entry["folder"] / "_phase" / "notebook.html").is_file()


def test_a_release_whose_runner_was_killed_is_told_as_interrupted(trey: Trey, run: Path) -> None:
    trey("release", "one", "--to", "staging")
    found = record.load(run)
    found["releases"][0]["status"] = "running"
    record.save(run, found)
    assert "release to staging by ada" in trey("show", "one").stdout
    reason = "the runner ended without finishing its record"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["releases"][0]["reason"] == reason
    assert reason in (run / "report.html").read_text(encoding="utf-8")
    record.save(run, found)
    assert record.load(run)["releases"][0]["status"] == "interrupted"
    with record.hold(run):
        assert record.load(run)["releases"][0]["status"] == "running"
        refused = trey("release", "one", "--to", "staging", exit_code=2).stderr
        assert re.search(
            rf"another runner is at work in .*: it is released to staging for ada, since {TIME}\n", refused
        )


def asked_to(run: Path, **values: Any) -> None:
    """Let the run's deploy phase have had other parameters."""
    found = json.loads((run / "run.json").read_text(encoding="utf-8"))
    found["phases"]["deploy"]["params"] |= values
    (run / "run.json").write_text(json.dumps(found), encoding="utf-8")


def test_what_stopped_a_run_after_its_release_keeps_it_from_other_environments(trey: Trey, run: Path) -> None:
    """Such as a canary in staging that was taken back: staging may be tried again, production waits."""
    found = record.load(run)
    taken_back: Any = found["gates"][-1] | {"phase": "outcome", "scrap": "deploy.outcome"}
    found["gates"].append(taken_back | {"verdict": "fail", "reason": "'rolled back' ≠ 'live'"})
    found["status"] = "stopped"
    record.save(run, found)
    for words in (APPROVE, ("release", "one", "--to", "production")):
        assert trey(*words, exit_code=2).stderr == (
            "trey: one: fail: deploy.outcome: 'rolled back' ≠ 'live'\nnext: trey resume one\n"
        )
    trey("release", "one", "--to", "staging")


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_did_not_end_as_planned_goes_nowhere(trey: Trey, run: Path, status: Any) -> None:
    """Its model stands in the registry, and nobody knows what it would have done in staging."""
    found = record.load(run)
    found["status"] = status
    found["decision"] = {"verdict": status, "reason": "deploy failed: it was asked to\nby a test"}
    record.save(run, found)
    for words in (APPROVE, ("release", "one", "--to", "staging"), ("release", "one", "--to", "production")):
        assert trey(*words, exit_code=2).stderr == (
            f"trey: one: {status}: deploy failed: it was asked to …\nnext: trey resume one\n"
        )
    assert not list(run.glob("releases/*"))
    told = json.loads(trey("decision", "one", "--to", "staging", "--json").stdout)
    assert (told["releasable"], told["status"], told["reason"].partition("\n")[0]) == (
        False, status, "deploy failed: it was asked to",
    )  # fmt: skip


def test_a_run_that_was_told_to_go_to_production_does_not(trey: Trey, made: Project) -> None:
    """The only door is `trey release`: sign-offs cannot be handed in by a parameter."""
    before = sorted(made.root.glob("runs/*"))
    for command in ("run", "plan"):
        done = trey(command, "--set", "deploy.environment=production", exit_code=2)
        assert (done.stdout, done.stderr) == (
            "",
            "trey: deploy.environment is 'production'; a run goes to scratch or staging alone "
            "(pipeline.yaml: release: {trial: …})\n"
            "next: trey run, and then trey release RUN --to production\n",
        )
    assert "deploy.sign_offs_path is filled by the runner" in (
        trey("run", "--set", "deploy.sign_offs_path=x", exit_code=2).stderr
    )
    assert sorted(made.root.glob("runs/*")) == before


def test_a_run_that_was_told_so_before_does_not_go_on(trey: Trey, run: Path) -> None:
    """As older versions let it begin."""
    found: Any = json.loads((run / "run.json").read_text(encoding="utf-8"))
    params = yaml.safe_load((run / "params.yaml").read_text(encoding="utf-8"))
    params["deploy"]["environment"] = "production"
    before = (run / "params.yaml").read_bytes()
    (run / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    found |= {"status": "failed", "params_sha256": fingerprint.digest_of(params)}
    (run / "run.json").write_text(json.dumps(found), encoding="utf-8")
    try:
        assert "deploy.environment is 'production'" in trey("resume", "one", exit_code=2).stderr
    finally:
        (run / "params.yaml").write_bytes(before)


def test_the_pipeline_names_the_environments_that_ask_nobody() -> None:
    assert load_pipeline(ROOT / "params" / "pipeline.yaml").release.trial == names.TRIAL


@pytest.mark.parametrize(
    ("words", "says", "next_step"),
    [
        (("approve", "one", "--env", "../x", "--comment", "w"), "the environment is '../x'", "trey approve --help"),
        (("approve", "one", "--env", "scratch", "--comment", "w"), "scratch takes anything", "trey approve RUN --env"),
        (("approve", "one", "--env", "production", "--comment", " "), "a decision needs a reason", "say why"),
        (("approve", "none", "--env", "production", "--comment", "w"), "there is no run 'none'", "trey runs"),
        (("reject", "one", "--env", "", "--comment", "w"), "the environment is ''", "trey reject --help"),
        (
            ("waive", "one", "--gate", "evaluate.recall", "--reason", "w"),
            "did you mean evaluate.recall_low?",
            "trey show",
        ),
        (("waive", "one", "--gate", "evaluate.recall_low", "--reason", "w"), "never a failure or missing", "trey show"),
        (("release", "one", "--to", "../x"), "the environment is '../x'", "trey release --help"),
        (("release", "one", "--to", "scratch"), "scratch is for notebooks by hand", "trey release one --to staging"),
        (("rollback", "--env", "production"), "no model is live in prod", "trey release RUN --to production"),
        (("rollback", "--env", "scratch"), "no model is live in scratch", "trey run --set deploy."),
        (("rollback", "--env", "staging"), "has no earlier version to go back to", "trey release RUN --to staging"),
    ],
)
def test_a_wrong_request_ends_with_2(trey: Trey, words: tuple[str, ...], says: str, next_step: str) -> None:
    lines = trey(*words, exit_code=2).stderr.splitlines()
    assert says in "\n".join(lines[:-1])
    assert lines[-1].startswith(f"next: {next_step}")


def test_a_misspelt_environment_is_no_new_one_where_all_are_named(trey: Trey, made: Project) -> None:
    pipeline = made.root / "params" / "pipeline.yaml"
    before = pipeline.read_text(encoding="utf-8")
    pipeline.write_text(before.replace("trial: [", "environments: [production], trial: ["), encoding="utf-8")
    try:
        for words in (
            ("approve", "one", "--env", "prodution", "--comment", "w", "--as", "bob"),
            ("reject", "one", "--env", "prodution", "--comment", "w"),
            ("release", "one", "--to", "prodution"),
            ("decision", "one", "--to", "prodution"),
        ):
            assert trey(*words, exit_code=2).stderr == (
                "trey: there is no environment 'prodution'; did you mean production?\n"
                "next: give one of them, or name it in pipeline.yaml: release: {environments: …}\n"
            )
        trey(*APPROVE)
    finally:
        pipeline.write_text(before, encoding="utf-8")


def test_a_run_that_registered_nothing_has_nothing_to_release(trey: Trey, made: Project) -> None:
    trey("run", "--to", "evaluate", "--run-id", "early")
    for words in (
        ("approve", "early", "--env", "production", "--comment", "w"),
        ("release", "early", "--to", "staging"),
    ):
        lines = trey(*words, exit_code=2).stderr.splitlines()
        assert lines[0].startswith("trey: early: fail: register.model_digest: ")
    trey("reject", "early", "--env", "production", "--comment", "w")
    shutil.rmtree(made.root / "runs" / "early")


def test_a_waived_rule_lets_a_stopped_run_go_on(trey: Trey, made: Project, model_dir: Path) -> None:
    words = ("run", "--set", "evaluate.recall_low=0.85", "--run-id", "little")
    stopped = trey(*words).stdout
    assert stopped.startswith("stopped: the gates of register stopped the run: evaluate.recall_low: too little")
    assert stopped.endswith("next: trey waive little --gate evaluate.recall_low --reason WHY\n")
    folder = made.root / "runs" / "little"
    words_of_ada = ("waive", "little", "--gate", "evaluate.recall_low", "--reason", "mine")
    assert trey(*words_of_ada, exit_code=2).stderr == (
        "trey: ada is an author of little, and its authors (ada) waive nothing of it; a team of one allows it in "
        "pipeline.yaml: release: {allow_self_approval: true}\n"
        "next: somebody else types: trey waive little --gate evaluate.recall_low --reason WHY\n"
    )
    pipeline = made.root / "params" / "pipeline.yaml"
    before = pipeline.read_text(encoding="utf-8")
    pipeline.write_text(before.replace("{trial:", "{allow_self_approval: true, trial:"), encoding="utf-8")
    try:
        assert "by ada" in trey(*words_of_ada).stdout
    finally:
        pipeline.write_text(before, encoding="utf-8")
    with record.amend(folder) as found_now:
        del found_now["sign_offs"]
    said = trey("waive", "little", "--gate", "evaluate.recall_low", "--reason", "checked by hand", "--as", "bob").stdout
    assert re.fullmatch(
        r"waived: evaluate.recall_low: too little data to tell: 0.85 < 0.9, but the estimate 0.97 ≥ 0.9 \(n 40\)\n"
        rf"by bob \({TIME}\), for digest {digest_of(model_dir)[:12]}…: checked by hand\n"
        rf"the name bob {re.escape(TRUST)}\nnext: trey resume little\n",
        said,
    )
    done = trey("resume", "little", "--as", "x", exit_code=2)
    assert "No such option" in done.stderr
    done = trey("resume", "little")
    assert "gate of register: waived: evaluate.recall_low: waived by bob: checked by hand; too little" in done.stderr
    assert done.stdout.startswith("release: 1 of 2 gates passed; 1 waived: evaluate.recall_low\n")
    found: Record = record.load(folder)
    assert [gate["verdict"] for gate in found["gates"]] == ["waived", "pass"]
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "<strong>Waived by bob:</strong> evaluate.recall_low: checked by hand" in html.split("</header>")[0]
    assert '<span class="pill warn">! waived</span>' in html
    assert "gate of register: waived: evaluate.recall_low" in trey("show", "little").stdout
    assert "waived" in trey("waive", "little", "--gate", "evaluate.recall_low", "--reason", "w", exit_code=2).stderr

    trey("approve", "little", "--env", "production", "--comment", "read it", "--as", "bob")
    trey("release", "little", "--to", "production")
    released = json.loads((folder / "releases" / "production-1" / "release.json").read_bytes())
    assert [entry["subject"] for entry in released["waivers"]] == ["evaluate.recall_low"]
    assert trey(*words[:-1], "again").stdout.startswith("stopped: ")
    for name in ("little", "again"):
        shutil.rmtree(made.root / "runs" / name)


def test_a_rollback_during_a_deployment_is_to_be_tried_again(
    tmp_path: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not followed by another deployment."""
    endpoint = Endpoint(tmp_path, "parts", "production")
    endpoint.switch(endpoint.place(model_dir, 1, digest_of(model_dir)).name)
    endpoint.release()
    monkeypatch.setitem(Endpoint.__init__.__kwdefaults__ or {}, "wait", 0.1)
    held = locks.acquire(endpoint.folder / "deployment.lock", 0)
    try:
        trey = typed(Project(tmp_path), monkeypatch)
        words = ("rollback", "--env", "production", "--endpoint-store", str(tmp_path), "--registry-store", "none")
        told = trey(*words, exit_code=2).stderr
    finally:
        locks.release(held)
    assert told == (
        f"trey: process {os.getpid()} is deploying to {endpoint.folder}; 0.1 seconds passed. "
        "Wait until it ends, and try again\n"
        f"next: trey rollback --env production --model parts --endpoint-store {tmp_path} "
        "--registry-store none\n"
    )


def test_a_rollback_is_one_step_back_with_the_champion(
    tmp_path: Path, model_dir: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, endpoints = str(tmp_path / "registry"), tmp_path / "endpoints"
    endpoint = Endpoint(endpoints, "parts", "production")
    for folder in (model_dir, make_model(bias=1.0)):
        new = registry.register(folder, name="parts", store=store, tags={}, metrics={})
        endpoint.switch(endpoint.place(folder, new.version, new.digest).name)
        registry.set_champion("parts", new.version, "production", store)
    endpoint.release()
    trey = typed(Project(tmp_path), monkeypatch)
    words = ("rollback", "--env", "production", "--endpoint-store", str(endpoints), "--registry-store", store)
    assert re.fullmatch(
        rf"production answers with parts version 1, digest {digest_of(model_dir)[:12]}…, from slot blue; "
        r"switched in \d+\.\d\d s\nchampion of production: version 1\n"
        r"next: trey serve --env production, where no service runs that follows it\n",
        trey(*words).stdout,
    )
    live = endpoint.live()
    assert live and live.version == 1
    champion = registry.champion("parts", "production", store)
    assert champion and champion.version == 1
    found = json.loads(trey(*words, "--champion-only", "--json").stdout)
    assert (found["version"], found["slot"], found["digest"]) == (1, "blue", digest_of(model_dir))

    endpoint.shift("green", 10)
    endpoint.release()  # as a deployment that is killed
    told = trey(*words).stdout.splitlines()
    assert told[0] == "a deployment was interrupted; traffic is back on blue, version 1"
    assert told[1].startswith("production answers with parts version 1")

    endpoint.switch("green")
    endpoint.release()
    broken = tmp_path / "broken"
    broken.write_text("", encoding="utf-8")
    done = trey(*words[:-1], str(broken), exit_code=1)
    assert "production answers with parts version 1 again, but the registry does not say so" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"next: trey rollback --env production --model parts --endpoint-store {endpoints} --champion-only "
        f"--registry-store {broken}"
    )
    assert "nothing was switched" in trey(*words, "--champion-only").stdout
    champion = registry.champion("parts", "production", store)
    assert champion and champion.version == 1


def test_the_manifest_has_one_form(trey: Trey, run: Path) -> None:
    trey(*APPROVE)
    content = (run / "releases" / "candidate.json").read_bytes()
    assert canonical(json.loads(content)) == content


def test_a_decision_tells_whether_a_run_may_go_there(trey: Trey, run: Path, model_dir: Path, tmp_path: Path) -> None:
    told = json.loads(trey("decision", "one", "--to", "production", "--json").stdout)
    assert told == {
        "run_id": "one", "status": "succeeded", "environment": "production", "releasable": False,
        "reason": "nobody approved this release", "model": "parts", "version": 1, "digest": digest_of(model_dir),
        "released": "none",
    }  # fmt: skip
    trey(*APPROVE)
    page = tmp_path / "summary.md"
    words = ("decision", "one", "--to", "production", "--variables", "--summary", str(page))
    lines = trey(*words).stdout.splitlines()
    assert "##vso[task.setvariable variable=releasable;isOutput=true]true" in lines
    assert "##vso[task.setvariable variable=run_id;isOutput=true]one" in lines
    assert {line.partition("variable=")[2].partition(";")[0] for line in lines} == set(OUTPUTS) == set(told)
    assert "**production takes one: parts version 1, digest" in page.read_text(encoding="utf-8")
    trey("release", "one", "--to", "production")
    assert trey("decision", "one", "--to", "production").stdout.splitlines()[1:] == [
        "released to production: succeeded", "next: trey release one --to production",
    ]  # fmt: skip


def test_a_run_that_a_gate_stopped_is_an_answer_and_no_error(trey: Trey, made: Project) -> None:
    trey("run", "--run-id", "weak", "--set", "evaluate.recall_low=0.5")
    told = json.loads(trey("decision", "weak", "--to", "staging", "--json").stdout)
    assert (told["releasable"], told["released"]) == (False, "none")
    assert told["reason"].startswith("the gates of register stopped the run: evaluate.recall_low")
    shutil.rmtree(made.root / "runs" / "weak")


def test_a_registry_that_does_not_answer_is_an_error_and_no_answer(trey: Trey, run: Path, tmp_path: Path) -> None:
    with record.amend(run) as found:
        found["phases"]["deploy"]["params"]["registry_store"] = str(tmp_path / "none")
    assert "next: trey models --registry-store" in trey("decision", "one", "--to", "staging", exit_code=2).stderr


def test_the_way_back_of_a_run_is_no_step_where_another_model_is_live(
    trey: Trey, run: Path, made: Project, make_model: MakeModel
) -> None:
    endpoint = Endpoint(made.root / "endpoints", "parts", "production")
    other = make_model(bias=0.5)
    endpoint.finish(endpoint.place(other, 8, digest_of(other)).name)
    endpoint.release()
    words = ("rollback", "--env", "production", "--of", "one")
    said = "nothing that a release of one brought is live in production; nothing was switched\n"
    said += "next: trey show one\n"
    assert trey(*words).stdout == said
    assert json.loads(trey(*words, "--json").stdout)["switched"] is False
    trey(*APPROVE)
    trey("release", "one", "--to", "production")
    before = (run / "run.json").read_bytes()
    assert endpoint.live().digest != digest_of(other)
    with record.amend(run) as found:  # the same model is live, by the release of another run
        found["releases"][-1] |= {"status": "failed", "switched": False}
    assert trey(*words).stdout == said
    with record.amend(run) as found:  # and so where it was live already when this release went through
        found["releases"][-1] |= {"status": "succeeded", "before": endpoint.live().digest}
    assert trey(*words).stdout == said
    (run / "run.json").write_bytes(before)
    registry.set_champion("parts", 1, "production", str(made.root / "registry"))
    assert "production answers with parts version 8" in trey(*words, exit_code=1).stderr  # which no registry knows
    assert endpoint.live().digest == digest_of(other)
    assert trey(*words).stdout == said


def test_a_release_that_fails_behind_the_switch_is_taken_back(
    trey: Trey, run: Path, made: Project, make_model: MakeModel
) -> None:
    """As where the registry does not answer: the release failed, and the model is live all the same; so again."""
    endpoint = Endpoint(made.root / "endpoints", "parts", "production")
    other = make_model(bias=0.5)
    before = endpoint.finish(endpoint.place(other, 8, digest_of(other)).name)
    endpoint.release()
    asked_to(run, fails_behind=True)
    trey(*APPROVE)
    done = trey("release", "one", "--to", "production", exit_code=1)
    told = "; production answered with its model all the same\n"
    way_back = "next: trey rollback --env production --of one\n"
    assert told in done.stdout
    assert done.stdout.endswith(way_back)
    assert trey("decision", "one", "--to", "production").stdout.endswith(way_back)
    shown = trey("show", "one").stdout
    assert told in shown
    assert shown.endswith(way_back)
    assert told.strip() in (run / "report.html").read_text(encoding="utf-8")
    assert endpoint.live() != before
    trey("release", "one", "--to", "production", exit_code=1)
    assert [entry["switched"] for entry in record.load(run)["releases"]] == [True, False]
    assert trey("decision", "one", "--to", "production").stdout.endswith(way_back)  # the second brought nothing
    back = trey("rollback", "--env", "production", "--of", "one", exit_code=1).stderr
    assert "production answers with parts version 8 again" in back  # which no registry knows
    assert endpoint.live() == before
    shown = trey("show", "one").stdout
    assert re.search(rf"; taken back {TIME}\n", shown)
    assert "next: " not in shown


def test_the_first_release_that_fails_behind_the_switch_is_tried_again(trey: Trey, run: Path) -> None:
    asked_to(run, fails_behind=True)
    trey(*APPROVE)
    done = trey("release", "one", "--to", "production", exit_code=1)
    assert done.stdout.endswith("next: trey release one --to production\n")
    assert trey("rollback", "--env", "production", "--of", "one", exit_code=1).stderr == (
        "trey: parts version 1, which one released, stays live in production: nothing was live before it; nothing was "
        "switched\nnext: trey release one --to production\n"
    )


def test_what_is_live_by_a_step_back_is_not_taken_back_once_more(
    trey: Trey, run: Path, made: Project, make_model: MakeModel
) -> None:
    """A second step leads forth again, to what was taken back: no way back of a run goes there."""
    endpoint = Endpoint(made.root / "endpoints", "parts", "production")
    trey(*APPROVE)
    trey("release", "one", "--to", "production")
    first = endpoint.live()
    other = make_model(bias=0.5)
    endpoint.finish(endpoint.place(other, 8, digest_of(other)).name)
    assert endpoint.roll_back() == first
    endpoint.release()
    for _ in range(2):
        assert trey("rollback", "--env", "production", "--of", "one").stdout == (
            "parts version 1 is live in production by a step back, and a second one would lead forth again; nothing "
            "was switched\nnext: trey show one\n"
        )
        assert endpoint.live() == first
        trey("release", "one", "--to", "production")  # finds it live, and brings nothing


def test_a_candidate_that_was_killed_with_a_share_loses_it_and_that_is_told(
    trey: Trey, run: Path, made: Project, make_model: MakeModel
) -> None:
    """Its slot held what was live before: there is nothing to go back to from what is live."""
    endpoint, models = Endpoint(made.root / "endpoints", "parts", "production"), [make_model(bias=b) for b in (0.5, 1)]
    endpoint.finish(endpoint.place(models[0], 8, digest_of(models[0])).name)
    endpoint.release()
    trey(*APPROVE)
    trey("release", "one", "--to", "production")
    live = endpoint.live()
    told = f"a deployment was interrupted; traffic is back on {live.name}, version 1"
    words = ("rollback", "--env", "production", "--of", "one")

    endpoint.shift(endpoint.place(models[1], 9, digest_of(models[1])).name, 10)
    endpoint.release()  # as the system does when the process dies
    assert trey(*words, exit_code=1).stderr == (
        f"trey: {told}\n"
        "parts version 1, which one released, stays live in production: what was live before it is there no more; "
        "nothing was switched\nnext: trey release RUN --to production\n"
    )
    assert endpoint.state()["traffic"][live.name] == 100

    endpoint.finish(endpoint.place(models[1], 9, digest_of(models[1])).name)
    endpoint.shift(live.name, 10)  # now what one released is the candidate
    endpoint.release()
    back = json.loads(trey(*words, "--json").stdout)
    assert (back["switched"], back["undone"]) == (False, told.replace(f"{live.name}, version 1", "blue, version 9"))
    assert endpoint.live().version == 9


def test_the_champion_alone_is_nothing_of_a_run(trey: Trey) -> None:
    done = trey("rollback", "--env", "production", "--of", "one", "--champion-only", exit_code=2)
    assert done.stderr.endswith("next: trey rollback --env production --champion-only\n")


def test_the_way_back_asks_a_person_where_no_record_tells_who_released(trey: Trey, run: Path, made: Project) -> None:
    """As where an agent died behind a release: its record died with it."""
    trey(*APPROVE)
    trey("release", "one", "--to", "production")
    with record.amend(run) as found:
        found["releases"] = []
    live = Endpoint(made.root / "endpoints", "parts", "production").live()
    refused = trey("rollback", "--env", "production", "--of", "one", exit_code=1).stderr
    assert "parts version 1, which one has judged, is live in production, and no record here says who" in refused
    assert refused.endswith("next: trey smoke --env production, or trey rollback --env production\n")
    assert Endpoint(made.root / "endpoints", "parts", "production").live() == live


def test_azure_pipelines_names_who_approved(trey: Trey, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    author, other = ("ada-01@example.org", "approved", "mine"), ("bea@example.org", "approved", "")
    words = ("approve", "one", "--env", "production", "--from-azure-pipelines")
    for given, exit_code in ((devops.approval(author), 2), (devops.approval(author, other), 0)):
        with devops.serving(given, requester="ada-01@example.org") as (address, _):  # another name than their mail
            for name, value in (VARIABLES | {"SYSTEM_COLLECTIONURI": address}).items():
                monkeypatch.setenv(name, value)
            done = trey(*words, exit_code=exit_code)
    assert "Azure DevOps let them approve production\n" in done.stdout
    [entry] = signed(run)
    assert (entry["by"], entry["comment"]) == ("bea@example.org", "approved in build 7, without a comment")
    assert "give it without --comment and --as" in trey(*words, "--as", "eve", exit_code=2).stderr


def test_smoke_asks_what_is_live(trey: Trey, run: Path, made: Project, tmp_path: Path) -> None:
    said = trey("smoke", "--env", "staging", "--of", "one").stdout
    with record.amend(run) as found:
        found["phases"]["evaluate"]["scraps"]["model_digest"]["value"] = "0" * 64
        found["phases"]["register"]["scraps"]["model_digest"]["value"] = "0" * 64
    done = trey("smoke", "--env", "staging", "--of", "one", exit_code=1)
    assert "one has the model of digest 000000000000…, and another is live in staging" in done.stderr
    assert re.fullmatch(r"staging: parts version 1, digest [0-9a-f]{12}…: (\d+) of \1 checks passed\n", said)
    damaged = tmp_path / "endpoints"
    shutil.copytree(made.root / "endpoints", damaged)
    slot = Endpoint(damaged, "parts", "staging").live()
    assert slot and slot.folder
    (slot.folder / "model.onnx").write_bytes(b"no model")
    done = trey("smoke", "--env", "staging", "--endpoint-store", str(damaged), exit_code=1)
    assert done.stderr.endswith("next: trey rollback --env staging\n")
    assert "no model is live in production" in trey("smoke", "--env", "production", exit_code=2).stderr
