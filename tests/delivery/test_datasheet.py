"""Every field of the published lab's datasheet has a text, and a version has one datasheet, whoever asks for it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from delivery import datasheet, registry
from delivery.errors import ModelChanged
from delivery.registry import ModelVersion

from ..fixtures_model import MakeModel, digest_of

SAID: dict[str, Any] = {
    "title": "Parts of plant 7",
    "details": "Reads what inspectors write.",
    "type": "word-cnn",
    "contact": "quality@plant-7.example | night shift",
    "primary_use": "To flag parts.",
    "secondary_use": "To sort an inventory.",
    "out_of_scope_use": "Deciding alone.",
    "data_description": "- Source: `parts.csv`.",
    "motivation": "Reading takes hours.",
    "caveats": "not stated: give `caveats` in evaluate.datasheet",
    "limits": ["Up to 2 % may slip through."],
    "not_stated": ["caveats"],
}
REGISTERED = ModelVersion(
    name="parts",
    version=3,
    digest="d" * 64,
    tags={"source_run": "20261126-1", "build_number": "20261126.4", "git_commit": "c" * 40},
    created_at=datetime(2026, 11, 26, 23, 5, 9, 250_000, UTC),
)
LAB = {
    "title", "details", "date", "type", "version", "build_number", "run_id", "contact", "primary_use", "secondary_use",
    "out_of_scope_use", "data_description", "motivation", "caveats",
}  # fmt: skip


def test_every_field_of_the_lab_is_there_and_holds_a_text() -> None:
    described = datasheet.sheet({"datasheet": SAID}, REGISTERED)
    assert described["fields"].keys() == LAB
    assert all(described["fields"].values())
    assert described["fields"]["date"] == "2026-11-26 23:05:09 UTC"
    assert described["fields"]["version"] == "3"
    assert described["fields"]["build_number"] == "20261126.4"
    assert described["fields"]["run_id"] == "20261126-1"
    assert described["commit"] == "c" * 40
    assert described["not_stated"] == ["caveats"]


def test_what_is_missing_says_what_to_give() -> None:
    by_hand = ModelVersion(name="parts", version=1, digest="d" * 64)
    described = datasheet.sheet({}, by_hand)
    assert described["fields"].keys() == LAB
    assert described["fields"]["contact"].startswith("not stated: this model was evaluated before")
    assert described["fields"]["build_number"] == "none: no build registered it; a pipeline gives register.build_number"
    assert described["fields"]["run_id"] == "none: a notebook registered it by hand"
    assert set(described["not_stated"]) == LAB - {"version"}
    assert "unknown: not registered from a checkout" in datasheet.markdown(described, "# A card\n")


def test_the_page_shows_every_field_and_the_card_below() -> None:
    described = datasheet.sheet({"datasheet": SAID}, REGISTERED)
    page = datasheet.markdown(described, "# Parts\n\n## Limits\n\n- One\n")
    assert page.startswith("# Datasheet: Parts of plant 7, version 3\n")
    assert "| Contact | quality@plant-7.example \\| night shift |" in page
    assert "\n## Out-of-scope use\n\nDeciding alone.\n" in page
    assert "What the evaluation adds:\n\n- Up to 2 % may slip through.\n" in page
    assert "\n### Parts\n\n#### Limits\n\n- One\n" in page
    for field, name in datasheet.FIELDS.items():
        assert f"| {name} |" in page if field in datasheet.FACTS else f"\n## {name}\n" in page


def test_a_version_has_one_datasheet_whoever_registers_the_model_again(
    make_model: MakeModel, registry_store: str, tmp_path: Path
) -> None:
    model = make_model(name="told", bias=0.31, datasheet=SAID)

    def register(folder: str, run: str, build: str) -> tuple[ModelVersion, dict[str, bytes], list[str]]:
        tags = {registry.SOURCE_RUN: run, registry.BUILD_NUMBER: build}
        registered = registry.register(model, name="told", store=registry_store, tags=tags, metrics={})
        (tmp_path / folder).mkdir()
        written = datasheet.write(tmp_path / folder, model, registered)
        kept = registry.keep(registered, written, registry_store)
        return registered, {path.name: path.read_bytes() for path in written}, kept

    first, files, kept = register("first", "run-1", "20261126.4")
    again, files_again, kept_again = register("again", "run-2", "20261126.5")
    assert again == first
    assert files_again == files
    assert (kept, kept_again) == (["DATASHEET.md", "datasheet.json"], [])
    fields = json.loads(files["datasheet.json"])["fields"]
    assert (fields["run_id"], fields["build_number"], fields["version"]) == ("run-1", "20261126.4", "1")
    assert first.created_at is not None
    assert fields["date"] == f"{first.created_at:%Y-%m-%d %H:%M:%S} UTC"
    client = registry._client(registry.tracking_uri(registry_store))
    there = client.download_artifacts(first.mlflow_run, "evidence/datasheet.json", str(tmp_path))
    assert Path(there).read_bytes() == files["datasheet.json"]


def test_another_model_gets_no_datasheet(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(bias=0.32)
    other = ModelVersion(name="parts", version=1, digest="0" * 64)
    with pytest.raises(ModelChanged, match=digest_of(model)):
        datasheet.write(tmp_path, model, other)
    assert list(tmp_path.iterdir()) == []
