"""Sign-offs: what counts, for how long, and that nothing else gets a model into production."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery import approvals
from delivery.approvals import SignedRelease, release_digest
from delivery.errors import ReleaseRefused
from delivery.release import Permission, manifest, permit

from .test_release import CHAMPION, COMPARISON, DIGEST, RECALL, record

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
GATES = [RECALL, CHAMPION, COMPARISON]
CANDIDATE = manifest(model_name="parts", model_version=3, digest=DIGEST, commit="c" * 40, gates=GATES)
INCONCLUSIVE = RECALL | {"verdict": "inconclusive", "value": 0.94, "reason": "too little data to tell"}


def approval(by: str = "bob", at: datetime = NOW - DAY, environment: str = "production", **changed: Any) -> Any:
    decided = approvals.approval(
        environment=environment, by=by, comment="read it", release=CANDIDATE, days=7, now=at,
    )  # fmt: skip
    return decided | changed


def rejection(by: str = "bob", at: datetime = NOW - DAY, environment: str = "production", **changed: Any) -> Any:
    return approvals.rejection(environment=environment, by=by, comment="misses 1996", digest=DIGEST, now=at) | changed


def signed(*sign_offs: Any, authors: tuple[str, ...] = ("ada",), allow: bool = False, **changed: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(SignedRelease(authors, allow, 7.0, CANDIDATE, sign_offs).content())
    return content | changed


def asked(
    folder: Path, content: Any, environment: str = "production", gates: Any = GATES, digest: str = DIGEST
) -> Permission:
    path = folder / "sign_offs.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return permit(
        gates_path=record(folder, *gates), sign_offs_path=str(path), digest=digest, environment=environment, now=NOW
    )


def refusal(folder: Path, content: Any, **given: Any) -> str:
    with pytest.raises(ReleaseRefused) as refused:
        asked(folder, content, **given)
    return str(refused.value)


def test_an_approval_by_somebody_else_lets_it_into_production(tmp_path: Path) -> None:
    given = approval()
    assert asked(tmp_path, signed(given)) == Permission(GATES, [given], [])
    written = manifest(
        model_name="parts", model_version=3, digest=DIGEST, commit="c" * 40, gates=GATES, approvals=[given]
    )
    assert written["approvals"] == [given]
    assert release_digest(written) == given["release_sha256"]


@pytest.mark.parametrize(
    ("sign_offs", "says"),
    [
        ([], "nobody approved this release"),
        ([approval(environment="staging")], "nobody approved this release"),
        ([approval(by="ada")], "the approval by ada (2026-11-25 12:00 UTC) is by an author of the run"),
        ([approval(by="Ada")], "the approval by Ada (2026-11-25 12:00 UTC) is by an author of the run"),
        ([approval(at=NOW - 8 * DAY)], "expired; it held until 2026-11-25T12:00:00.000Z"),
        ([approval(at=NOW - 7 * DAY)], "expired"),
        ([approval(at=NOW - 8 * DAY, expires_at="2030-01-01T00:00:00Z")], "expired"),
        ([approval(at=NOW + timedelta(seconds=1))], "is of the future"),
        ([approval(digest="e" * 64)], "is for another model"),
        ([approval(release_sha256="e" * 64)], "is void: it was given for release eeeeeeeeeeee…"),
        ([approval(release_sha256="e" * 64, release_parts="x")], "is void: it was given for release eeeeeeeeeeee…"),
        ([approval(), rejection(at=NOW)], "bob (2026-11-26 12:00 UTC) rejected it: misses 1996"),
        ([rejection(), approval(at=NOW)], "bob (2026-11-25 12:00 UTC) rejected it"),
        ([rejection(), approval(by="eve")], "rejected it"),
        ([approval(by="eve", at=NOW), rejection(at=NOW)], "rejected it"),
        ([rejection(), approval(by="ada", at=NOW)], "rejected it"),
        ([approval(), rejection(by="ada", at=NOW + DAY)], "rejected it"),
        ([approval(), approval() | {"kind": "blessing"}], "kind is 'blessing'"),
        ([approval(), approval() | {"comment": " "}], "comment is missing"),
        ([approval(), approval() | {"by": 7}], "by is missing"),
        ([approval(), approval() | {"at": "yesterday"}], "at: Invalid isoformat string"),
        ([approval(), approval() | {"at": "2026-11-25T12:00:00"}], "has no time zone"),
        ([approval(), 7], "it is 7"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, sign_offs: list[Any], says: str) -> None:
    said = refusal(tmp_path, signed() | {"sign_offs": sign_offs})
    assert says in said
    assert said.splitlines()[-1].startswith(
        ("Let somebody decide: trey approve", "Let them be written again: trey release")
    )


@pytest.mark.parametrize(
    "sign_offs",
    [
        [rejection(), approval(by="eve", at=NOW)],
        [rejection(at=NOW - 2 * DAY), rejection(by="mia"), approval(by="eve", at=NOW)],
        [rejection(environment="staging"), approval()],
        [rejection(digest="e" * 64), approval()],
        [approval(at=NOW - 20 * DAY), approval()],
        [approval(), rejection(by="eve", at=NOW - 2 * DAY)],
    ],
)
def test_a_rejection_stands_until_somebody_else_approves_later(tmp_path: Path, sign_offs: list[Any]) -> None:
    assert asked(tmp_path, signed(*sign_offs)).approvals


def test_a_team_of_one_may_allow_its_own_approval(tmp_path: Path) -> None:
    assert asked(tmp_path, signed(approval(by="ada"), allow=True)).approvals


def test_staging_needs_no_approval_but_heeds_a_rejection(tmp_path: Path) -> None:
    assert asked(tmp_path, signed(), environment="staging") == Permission(GATES, [], [])
    assert "rejected it" in refusal(tmp_path, signed(rejection(environment="staging")), environment="staging")


def test_scratch_asks_for_nothing(tmp_path: Path) -> None:
    assert asked(tmp_path, "no JSON", environment="scratch").gates == GATES


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "7", "null", '{"schema": 1}', "[" * 100_000,
        signed(approval(), schema=2), signed(approval(), schema=True), signed(approval(), authors=[]),
        signed(approval(), authors=[7]), signed(approval(), sign_offs=7), signed(approval(), release={}),
        signed(approval(), release=None),
        signed(approval(), policy={"allow_self_approval": 1, "approval_days": 7}),
        signed(approval(), policy={"allow_self_approval": False, "approval_days": float("inf")}),
        signed(approval(), policy={"allow_self_approval": False, "approval_days": True}),
    ],
)  # fmt: skip
def test_what_is_not_as_agreed_is_refused(tmp_path: Path, content: Any) -> None:
    assert "cannot be read" in refusal(tmp_path, content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "gone.json"), str(tmp_path)):
        with pytest.raises(ReleaseRefused):
            permit(gates_path=record(tmp_path, *GATES), sign_offs_path=path, digest=DIGEST, environment="production")


@pytest.mark.parametrize("given", [{"model_name": "other"}, {"model_version": 4}, {"digest": "e" * 64}])
def test_the_approval_of_another_release_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    path = tmp_path / "sign_offs.json"
    path.write_text(json.dumps(signed(approval())), encoding="utf-8")
    gates = [RECALL, COMPARISON | {"value": given.get("digest", DIGEST)}]
    for judged in (GATES, gates):
        with pytest.raises(ReleaseRefused):
            permit(
                **{"digest": DIGEST, "environment": "production", "now": NOW} | given,  # type: ignore[arg-type]
                gates_path=record(tmp_path, *judged), sign_offs_path=str(path),
            )  # fmt: skip


def test_other_gates_or_another_service_make_an_approval_void(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [RECALL | {"value": 0.98}, CHAMPION, COMPARISON]
    assert "its gates differs" in refusal(tmp_path, signed(approval()), gates=changed)
    monkeypatch.setattr("delivery.release.service_digest", lambda: "f" * 64)
    assert "its service differs" in refusal(tmp_path, signed(approval()))


def waived(**changed: Any) -> dict[str, Any]:
    entry = approvals.waiver(gate=INCONCLUSIVE, by="bob", comment="checked by hand", digest=DIGEST, now=NOW - DAY)
    return INCONCLUSIVE | {"verdict": "waived", "waiver": entry | changed}


def test_a_waived_gate_passes_as_waived(tmp_path: Path) -> None:
    gates = [waived(), COMPARISON]
    given = permit(
        gates_path=record(tmp_path, *gates), sign_offs_path="", digest=DIGEST, environment="staging", now=NOW
    )
    assert given == Permission(gates, [], [gates[0]["waiver"]])
    written = manifest(model_name="parts", model_version=3, digest=DIGEST, commit="", gates=gates)
    assert written["waivers"] == [gates[0]["waiver"]]


@pytest.mark.parametrize(
    "gate",
    [
        INCONCLUSIVE,
        INCONCLUSIVE | {"waiver": waived()["waiver"]},
        INCONCLUSIVE | {"verdict": "waived"},
        waived() | {"waiver": "bob"},
        waived() | {"value": 0.93},
        waived() | {"rule": {"min": 0.9}},
        waived(digest="e" * 64),
        waived(kind="approval"),
        waived(subject="evaluate.other"),
        waived(comment=""),
        waived(at="2026-11-27T00:00:00Z"),
    ],
)
def test_a_gate_that_only_calls_itself_waived_stops(tmp_path: Path, gate: dict[str, Any]) -> None:
    with pytest.raises(ReleaseRefused, match="noncompliant_recall_low: "):
        permit(
            gates_path=record(tmp_path, gate, COMPARISON),
            sign_offs_path="",
            digest=DIGEST,
            environment="staging",
            now=NOW,
        )


PLACES = [
    ("schema",), ("authors",), ("policy", "allow_self_approval"), ("policy", "approval_days"),
    ("release", "model", "name"), ("release", "model", "version"), ("release", "model", "digest"),
    ("release", "service", "digest"),
    ("release", "service", "version"), ("release", "commit"), ("release", "gates"), ("release", "gates", 0, "value"),
    ("release", "approvals"), ("release", "waivers"), ("release", "schema"), ("sign_offs",), ("sign_offs", 0, "kind"),
    ("sign_offs", 0, "subject"), ("sign_offs", 0, "at"), ("sign_offs", 0, "digest"), ("sign_offs", 0, "release_sha256"),
    ("sign_offs", 0, "expires_at"), ("sign_offs", 0, "by"), ("sign_offs", 0, "comment"),
]  # fmt: skip
JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.text(max_size=4)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)
HARMLESS = {  # what may change without another meaning: who and why are not bound, a shorter or equal time is no more
    ("policy", "approval_days"), ("policy", "allow_self_approval"), ("authors",),
    ("sign_offs", 0, "by"), ("sign_offs", 0, "comment"),
}  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(place=st.sampled_from(PLACES), value=JUNK, gone=st.booleans())
def test_an_edited_or_missing_part_of_an_approval_lets_nothing_through(
    tmp_path: Path, place: tuple[Any, ...], value: Any, gone: bool
) -> None:
    content = copy.deepcopy(signed(approval()))
    holder: Any = content
    for key in place[:-1]:
        holder = holder[key]
    before = holder[place[-1]]
    if gone:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    try:
        asked(tmp_path, content)
    except ReleaseRefused:
        return
    assert not gone
    assert place in HARMLESS or (type(value), value) == (type(before), before)
    if place == ("authors",):
        assert value and all(value) and "bob" not in value
    elif place == ("policy", "approval_days"):
        assert 1 < value <= 7
    elif place[-1] in ("by", "comment"):
        assert value.strip()


@settings(deadline=None, max_examples=200)
@given(
    days=st.floats(-40, 40),
    decisions=st.lists(
        st.tuples(
            st.sampled_from(["approval", "rejection"]), st.sampled_from(["ada", "bob", "eve"]), st.floats(-30, 5)
        ),
        max_size=6,
    ),
)
def test_production_needs_a_living_approval_by_another_that_no_rejection_follows(
    days: float, decisions: list[tuple[str, str, float]]
) -> None:
    """Against a second telling of the same rules, over any order of decisions and any time."""
    now = NOW + timedelta(days=days)
    made = [
        (approval if kind == "approval" else rejection)(by=by, at=NOW + timedelta(days=at))
        for kind, by, at in decisions
    ]
    found = approvals.decisions(SignedRelease(("ada",), False, 7.0, CANDIDATE, tuple(made)), "production", now)
    at = [approvals.moment(entry["at"]) for entry in made]
    living = [
        number
        for number, (kind, by, _) in enumerate(decisions)
        if kind == "approval" and by != "ada" and at[number] <= now < at[number] + 7 * DAY
    ]
    standing = [
        number
        for number, (kind, by, _) in enumerate(decisions)
        if kind == "rejection" and not any(at[other] > at[number] and decisions[other][1] != by for other in living)
    ]
    assert found.rejections == [made[number] for number in standing]
    assert found.approvals == ([] if standing else [made[number] for number in living])
