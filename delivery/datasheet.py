"""The datasheet of a registered model: what its evaluation says of it, completed by what only its registration knows.

The model folder cannot hold these facts: its digest is its identity, and the same model may be registered anywhere.
They are read from the registry, so that the sheet of a version is the same whoever asks for it, and when.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delivery.files import canonical, model_manifest, write_atomic
from delivery.registry import BUILD_NUMBER, GIT_COMMIT, SOURCE_RUN, ModelVersion

SCHEMA = 1
MARKDOWN_FILE = "DATASHEET.md"
JSON_FILE = "datasheet.json"
CARD_FILE = "MODEL_CARD.md"
# Every field of the published lab's datasheet, in its order; those in FACTS are short, the others are prose.
FIELDS = {
    "title": "Title",
    "details": "Details",
    "date": "Date",
    "type": "Type",
    "version": "Version",
    "build_number": "Build number",
    "run_id": "Run id",
    "contact": "Contact",
    "primary_use": "Primary use",
    "secondary_use": "Secondary use",
    "out_of_scope_use": "Out-of-scope use",
    "data_description": "Data description",
    "motivation": "Motivation",
    "caveats": "Caveats",
}
FACTS = ("title", "version", "date", "build_number", "run_id", "type", "contact")
NOT_STATED = "not stated: this model was evaluated before there were datasheets; evaluate it again: trey run --fresh"
BY_HAND = {
    "build_number": "none: no build registered it; a pipeline gives register.build_number",
    "run_id": "none: a notebook registered it by hand",
    "date": "none: the registry tells no date",
}


def sheet(manifest: Mapping[str, Any], registered: ModelVersion) -> dict[str, Any]:
    """Give the datasheet of a registered version.

    Args:
        manifest: Its model.json.
        registered: What the registry says about it.

    Returns:
        `fields` with a text for each of FIELDS; `limits`, what was measured to bound the use; `not_stated`, the fields
        whose text says what to give.
    """
    said = manifest.get("datasheet", {})
    known = {field: text for field, text in _registration(registered).items() if text}
    fields = {field: known.get(field) or said.get(field) or BY_HAND.get(field, NOT_STATED) for field in FIELDS}
    unwritten = [field for field in FIELDS if fields[field] in (NOT_STATED, BY_HAND.get(field))]
    return {
        "schema": SCHEMA,
        "model": {"name": registered.name, "version": registered.version, "digest": registered.digest},
        "commit": registered.tags.get(GIT_COMMIT) or None,
        "fields": fields,
        "limits": list(said.get("limits", [])),
        "not_stated": sorted({*said.get("not_stated", []), *unwritten}),
    }


def markdown(described: Mapping[str, Any], card: str) -> str:
    """Give a datasheet as one page, the model card below it.

    Args:
        described: As `sheet` gives it.
        card: The model card, Markdown.
    """
    fields, model = described["fields"], described["model"]
    facts = {FIELDS[field]: fields[field] for field in FACTS} | {
        "Registered as": f"{model['name']}, version {model['version']}",
        "Digest": f"`{model['digest']}`",
        "Commit": f"`{described['commit']}`" if described["commit"] else "unknown: not registered from a checkout",
    }
    rows = "\n".join(f"| {name} | {_cell(text)} |" for name, text in facts.items())
    prose = [f"## {FIELDS[field]}\n\n{fields[field]}\n" for field in FIELDS if field not in FACTS]
    if described["limits"]:
        prose.append("\n".join(["What the evaluation adds:", "", *(f"- {line}" for line in described["limits"]), ""]))
    return "\n".join(
        [
            f"# Datasheet: {_cell(fields['title'])}, version {model['version']}\n",
            f"| field | value |\n| --- | --- |\n{rows}\n",
            *prose,
            f"## Model card\n\n`{CARD_FILE}`, as it is part of the model:\n",
            _below(card, 2),
        ]
    )


def write(output_dir: Path, model_dir: Path, registered: ModelVersion) -> tuple[Path, Path]:
    """Write DATASHEET.md and datasheet.json of a registered version, and give their paths.

    Args:
        output_dir: Where to write.
        model_dir: The model folder; it is verified first.
        registered: What the registry says about it.

    Raises:
        ModelChanged: The folder is not the model that was registered.
    """
    manifest, _ = model_manifest(model_dir, expected=registered.digest)
    described = sheet(manifest, registered)
    card = (model_dir / CARD_FILE).read_text(encoding="utf-8")
    contents = {MARKDOWN_FILE: markdown(described, card).encode(), JSON_FILE: canonical(described)}
    for name, content in contents.items():
        write_atomic(output_dir / name, content)
    return output_dir / MARKDOWN_FILE, output_dir / JSON_FILE


def _registration(registered: ModelVersion) -> dict[str, str]:
    """Give what was written down when the version was made, whoever asks for it again later."""
    return {
        "version": str(registered.version),
        "date": registered.created_at.strftime("%Y-%m-%d %H:%M:%S UTC") if registered.created_at else "",
        "build_number": registered.tags.get(BUILD_NUMBER, ""),
        "run_id": registered.tags.get(SOURCE_RUN, ""),
    }


def _cell(text: str) -> str:
    """Give a text that stays in its cell, or in its line."""
    return " ".join(text.split()).replace("|", r"\|")


def _below(text: str, levels: int) -> str:
    """Give Markdown whose headings stand as many levels lower."""
    return re.sub("^(#+) ", rf"{'#' * levels}\1 ", text, flags=re.MULTILINE)
