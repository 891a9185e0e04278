"""What Microsoft publishes of Azure Resource Manager's requests, as a check on each body that is sent.

The schemas describe templates. A request has the same shape, without template expressions; and where a resource
inherits from another, only the whole may be closed to unknown properties.
"""

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

PROVIDER = "Microsoft.MachineLearningServices"
_EXPRESSION = "https://schema.management.azure.com/schemas/common/definitions.json#/definitions/expression"
_SYSTEM = {"id", "systemData"}  # what an answer has and a request may repeat
# What azure-ai-ml 1.35 sends otherwise than published, and Azure takes: where in the body, and what the schema says.
DEVIATIONS = (
    ("hash_version", "is not of type 'string'"),
    ("dataCollectionMode", "is not one of"),
)


class Contract:
    """The published schemas, by api-version."""

    def __init__(self, folder: Path):
        self.folder = folder

    def faults(self, path: str, version: str, body: Any) -> list[str]:
        """Say how the body of a PUT departs from what is published; a version that is not there is a fault.

        Args:
            path: The resource's path in Resource Manager.
            version: The api-version that was asked with.
            body: What was sent.
        """
        parts = path.partition(f"/providers/{PROVIDER}/")[2].strip("/").split("/")
        kind = "_".join([parts[0], *parts[2::2]])
        try:
            schema, kinds = _load(self.folder / version / f"{PROVIDER}.json")
        except FileNotFoundError:
            return [f"api-version {version} is not among the published"]
        if kind.lower() not in kinds:
            return [f"{kind} is no resource of api-version {version}"]
        if not isinstance(body, dict):
            return [f"the body is {type(body).__name__}"]
        named = kinds[kind.lower()]
        instance = {key: value for key, value in body.items() if key not in _SYSTEM}
        instance |= {"name": parts[-1], "apiVersion": version, "type": f"{PROVIDER}/{named.replace('_', '/')}"}
        validator = Draft202012Validator({"$ref": f"#/resourceDefinitions/{named}", **schema})
        errors = [leaf for error in validator.iter_errors(instance) for leaf in _leaves(error)]
        # An object that fails for another reason also has properties that nothing evaluated: that tells nothing new.
        telling = [error for error in errors if error.validator != "unevaluatedProperties"] or errors
        said = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in telling]
        return [fault for fault in said if not _is_known(fault)]


@functools.cache
def _load(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    schema = _live(json.loads(path.read_text("utf-8-sig")))
    return schema, {name.lower(): name for name in schema["resourceDefinitions"]}


def _live(node: Any) -> Any:
    """Turn the schema of a template into that of a request."""
    if isinstance(node, list):
        return [_live(item) for item in node]
    if not isinstance(node, dict):
        return node
    if any(option.get("$ref") == _EXPRESSION for option in node.get("oneOf", ())):
        rest = [option for option in node["oneOf"] if option.get("$ref") != _EXPRESSION]
        node = rest[0] if len(rest) == 1 else {"anyOf": rest}
    node = {key: _live(value) for key, value in node.items()}
    if any(base.get("additionalProperties") is False for base in node.get("allOf", ())):
        bases = [{key: value for key, value in base.items() if key != "additionalProperties"} for base in node["allOf"]]
        node |= {"allOf": bases, "unevaluatedProperties": False}
    return node


def _leaves(error: Any) -> list[Any]:
    """Give the errors of the alternative that came nearest: of the same kind, if there is one, and with fewest."""
    if not error.context:
        return [error]
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    nearest = min(branches.values(), key=lambda errors: (any(map(_is_other_kind, errors)), len(errors)))
    return [leaf for inner in nearest for leaf in _leaves(inner)]


def _is_other_kind(error: Any) -> bool:
    """Tell whether an alternative is for another kind of thing, such as another jobType."""
    return error.validator in {"enum", "const"} and len(error.path) == 1


def _is_known(fault: str) -> bool:
    return any(place in fault.partition(":")[0] and said in fault for place, said in DEVIATIONS)
