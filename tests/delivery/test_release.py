"""Who may go where: only what gates let in, and only the model they judged."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import BadName, ReleaseRefused
from delivery.release import git_commit, manifest, permit, read_gates, service_digest

DIGEST = "d" * 64
COMPARISON = {
    "phase": "deploy",
    "scrap": "register.model_digest",
    "rule": {"equals": "evaluate.model_digest"},
    "value": DIGEST,
    "bound": DIGEST,
    "verdict": "pass",
    "reason": "equal",
}
RECALL = {
    "phase": "register",
    "scrap": "evaluate.noncompliant_recall_low",
    "rule": {"min": 0.95},
    "value": 0.97,
    "bound": 0.95,
    "verdict": "pass",
    "reason": "0.97 ≥ 0.95",
}
CHAMPION = RECALL | {"scrap": "evaluate.champion_delta_low", "verdict": "not-applicable", "reason": "no champion"}


def record(folder: Path, *gates: dict[str, Any]) -> str:
    path = folder / "deploy.json"
    path.write_text(json.dumps({"schema": 1, "phase": "deploy", "gates": gates}), encoding="utf-8")
    return str(path)


def check_gates(gates_path: str, digest: str, environment: str) -> list[dict[str, Any]]:
    return permit(gates_path=gates_path, sign_offs_path="", digest=digest, environment=environment).gates


def test_gates_that_passed_let_a_model_into_staging(tmp_path: Path) -> None:
    gates = check_gates(record(tmp_path, RECALL, CHAMPION, COMPARISON), DIGEST, "staging")
    assert gates == [RECALL, CHAMPION, COMPARISON]


def test_scratch_asks_for_nothing_and_keeps_what_there_is(tmp_path: Path) -> None:
    assert check_gates("", DIGEST, "scratch") == []
    assert check_gates(record(tmp_path, RECALL), DIGEST, "scratch") == [RECALL]


@pytest.mark.parametrize(
    ("gates", "says"),
    [
        ([], "holds no gate"),
        ([RECALL], "no gate compared the digest"),
        ([COMPARISON | {"value": "e" * 64}], "no gate compared the digest"),
        ([COMPARISON | {"rule": {"min": 0}}], "no gate compared the digest"),
        ([COMPARISON | {"rule": None}], "no gate compared the digest"),
        ([COMPARISON | {"scrap": "register.model_version"}], "no gate compared the digest"),
        ([COMPARISON | {"verdict": "not-applicable"}], "no gate compared the digest"),
        ([COMPARISON | {"verdict": "fail"}], "register.model_digest: fail"),
        ([COMPARISON, RECALL | {"verdict": "fail"}], "noncompliant_recall_low: fail"),
        ([COMPARISON, RECALL | {"verdict": "inconclusive"}], "noncompliant_recall_low: inconclusive"),
        ([COMPARISON, RECALL | {"verdict": "Pass"}], "noncompliant_recall_low: Pass"),
    ],
)
@pytest.mark.parametrize("environment", ["staging", "scratch2", "stagin"])
def test_anything_else_is_refused(tmp_path: Path, gates: list[dict[str, Any]], says: str, environment: str) -> None:
    with pytest.raises(ReleaseRefused, match=environment) as refused:
        check_gates(record(tmp_path, *gates), DIGEST, environment)
    assert says in str(refused.value)
    assert str(refused.value).endswith("trey run")


def test_no_record_is_refused() -> None:
    with pytest.raises(ReleaseRefused, match="no gates were judged"):
        check_gates("", DIGEST, "staging")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"gates": 3}', '{"gates": [3]}', '{"gates": [{"scrap": "x.y"}]}'])
def test_a_record_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "deploy.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReleaseRefused, match="cannot be read"):
        read_gates(str(path))
    with pytest.raises(ReleaseRefused, match="cannot be read"):
        read_gates(str(tmp_path / "missing.json"))


def test_production_waits_for_a_sign_off(tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefused, match="trey approve"):
        check_gates(record(tmp_path, COMPARISON), DIGEST, "production")


def test_an_environment_has_a_sound_name() -> None:
    with pytest.raises(BadName):
        check_gates("", DIGEST, "../scratch")


def test_the_manifest_names_everything() -> None:
    released = manifest(model_name="parts", model_version=3, digest=DIGEST, commit="", gates=[RECALL])
    service = released.pop("service")
    assert service.keys() == {"version", "digest"}
    assert service["digest"] == service_digest()
    assert released == {
        "schema": 1,
        "model": {"name": "parts", "version": 3, "digest": DIGEST},
        "commit": None,
        "gates": [RECALL],
        "approvals": [],
        "waivers": [],
    }


def test_the_commit_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TREY_COMMIT", raising=False)
    assert git_commit(tmp_path) == ""
    monkeypatch.setenv("TREY_COMMIT", "c" * 40)  # as a phase on a cluster is told
    assert git_commit(tmp_path) == "c" * 40
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "Start"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert len(git_commit(tmp_path)) == 40
    assert git_commit(tmp_path) != "c" * 40


@pytest.mark.parametrize("environment", ["prod", "stagin", "production"])
def test_every_environment_but_staging_asks_for_an_approval(tmp_path: Path, environment: str) -> None:
    with pytest.raises(ReleaseRefused, match="nobody approved this release"):
        check_gates(record(tmp_path, RECALL, COMPARISON), DIGEST, environment)


@pytest.mark.parametrize("environment", ["Production", "STAGING"])
def test_names_of_environments_are_in_lower_case(tmp_path: Path, environment: str) -> None:
    with pytest.raises(BadName, match=f"give {environment.lower()}"):
        check_gates(record(tmp_path, RECALL, COMPARISON), DIGEST, environment)
