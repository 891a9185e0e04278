"""azure-pipelines.yml: Microsoft's published schema accepts it, and its steps are commands that exist here."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[2]
# Every scalar of a pipeline is a string, so YAML is read with strings only.
PIPELINE = yaml.load((ROOT / "azure-pipelines.yml").read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506


def as_strings(schema: Any) -> Any:
    """Rewrite a schema so that its scalar types are patterns over strings, honouring `ignoreCase`."""
    if isinstance(schema, list):
        return [as_strings(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = dict(schema)
    if schema.get("type") in ("boolean", "integer", "number"):
        literal = "(?i:true|false)" if schema["type"] == "boolean" else r"-?\d+(\.\d+)?"
        schema |= {"type": "string", "pattern": rf"^(\$[({{\[].*|{literal})$"}
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        schema["pattern"] = rf"^(\$[({{\[].*|{'|'.join(map(re.escape, schema.pop('enum')))})$"
    if schema.get("ignoreCase") in ("value", "all") and "pattern" in schema:
        schema["pattern"] = f"(?i){schema['pattern']}"
    return {key: part if key in ("pattern", "description") else as_strings(part) for key, part in schema.items()}


@pytest.fixture(scope="module")
def validator(shared_dir: Path) -> Draft7Validator:
    published = (shared_dir / "contracts" / "azure-pipelines-service-schema.json").read_text(encoding="utf-8")
    return Draft7Validator(as_strings(json.loads(published)))


def steps() -> list[dict[str, Any]]:
    return [step for stage in PIPELINE["stages"] for job in stage["jobs"] for step in job["steps"]]


@pytest.mark.needs_shared
def test_microsofts_schema_accepts_it(validator: Draft7Validator) -> None:
    assert [f"{list(fault.absolute_path)}: {fault.message[:200]}" for fault in validator.iter_errors(PIPELINE)] == []


@pytest.mark.needs_shared
def test_the_schema_refuses_a_misspelt_key(validator: Draft7Validator) -> None:
    assert list(validator.iter_errors(PIPELINE | {"stagez": PIPELINE["stages"]}))


def test_stages_depend_on_stages_that_exist() -> None:
    names = [stage["stage"] for stage in PIPELINE["stages"]]
    assert [stage["dependsOn"] for stage in PIPELINE["stages"] if stage.get("dependsOn", names[0]) not in names] == []


def test_every_step_works_at_home() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in (step["bash"] for step in steps() if "bash" in step):
        words = shlex.split(command)
        known = words[1] in targets if words[0] == "make" else (ROOT / words[1]).is_file()
        assert known, command
