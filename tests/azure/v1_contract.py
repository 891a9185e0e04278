"""What Microsoft publishes of the services behind SDK v1 (2019-09-30), as a check on each request and each answer."""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

SPECIFICATIONS = ("artifact", "datastore", "execution", "modelManagement", "runHistory")

# What azureml-core 1.61 sends otherwise than published in 2019, and Azure takes.
DEVIATIONS = ("MLModels_ListQuery: query has latestVersionOnly, which is not published",)
_ARTIFACT = re.compile(
    r"(?P<head>/artifact/v2\.0/.*/artifacts)/(?P<act>batch/metadata)"
    r"/(?P<origin>[^/]+)/(?P<container>[^/]+)"
)


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        name: Such as Models_List.
        specification: The file's content, for its definitions.
        content: What the file says of the method.
        parameters: Those of the path, too.
    """

    name: str
    specification: dict[str, Any]
    content: dict[str, Any]
    parameters: list[dict[str, Any]]


class Contract:
    """The published specifications."""

    def __init__(self, folder: Path):
        self._paths = _load(folder)

    def operation(self, method: str, path: str) -> Operation | None:
        """Find what is published about a request; the path that leaves the least open counts."""
        found = [
            (pattern.groups, methods[method.lower()])
            for pattern, methods in self._paths
            if method.lower() in methods and pattern.fullmatch(path)
        ]
        return min(found, key=lambda one: one[0])[1] if found else None

    def request_faults(self, operation: Operation, query: dict[str, str], body: Any) -> list[str]:
        """Say how a request departs from what is published: its query and its body."""
        faults = []
        named = {one["name"]: one for one in operation.parameters if one["in"] == "query"}
        for name in sorted(set(query) - set(named)):
            faults.append(f"{operation.name}: query has {name}, which is not published")
        for name, one in named.items():
            if one.get("required") and name not in query:
                faults.append(f"{operation.name}: query lacks {name}")
            if name in query and one.get("enum") and query[name] not in one["enum"]:
                faults.append(f"{operation.name}: query has {name} {query[name]!r}")
        wanted = [one for one in operation.parameters if one["in"] == "body"]
        if not wanted and body is not None:
            faults.append(f"{operation.name}: a body, where none is published")
        for one in wanted:
            if body is not None:
                faults += _departures(operation, one["schema"], body, closed=True)
            elif one.get("required"):
                faults.append(f"{operation.name}: no body")
        return [fault for fault in faults if fault not in DEVIATIONS]

    def answer_faults(self, operation: Operation, status: int, body: Any) -> list[str]:
        """Say how an answer of ours departs from what is published."""
        answers = operation.content["responses"]
        if str(status) not in answers and "default" not in answers:
            return [f"{operation.name}: answered {status}, published are {', '.join(answers)}"]
        schema = answers.get(str(status), answers.get("default")).get("schema")
        return _departures(operation, schema, body, closed=False) if schema else []


def as_published(path: str) -> str:
    """Give a path as it was published: azureml-core 1.61 puts the place of an artifact last."""
    found = _ARTIFACT.fullmatch(path)
    if not found:
        return path
    return f"{found['head']}/{found['origin']}/{found['container']}/{found['act']}"


@functools.cache
def _load(folder: Path) -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    found = []
    for name in SPECIFICATIONS:
        specification = json.loads((folder / f"{name}.json").read_text(encoding="utf-8-sig"))
        for path, methods in specification["paths"].items():
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(path)))
            shared = methods.get("parameters", [])
            found.append(
                (
                    pattern,
                    {
                        method: Operation(
                            content["operationId"],
                            specification,
                            content,
                            [_resolved(specification, one) for one in [*shared, *content.get("parameters", [])]],
                        )
                        for method, content in methods.items()
                        if method != "parameters"
                    },
                )
            )
    return found


def _resolved(specification: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: dict[str, Any] = specification["parameters"][node["$ref"].rpartition("/")[2]]
    return found


def _departures(operation: Operation, schema: dict[str, Any], body: Any, *, closed: bool) -> list[str]:
    definitions = {name: _strict(one, closed=closed) for name, one in operation.specification["definitions"].items()}
    validator = Draft4Validator({**_strict(schema, closed=closed), "definitions": definitions})
    return [
        f"{operation.name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in validator.iter_errors(body)
    ]


def _strict(node: Any, *, closed: bool) -> Any:
    """Make JSON schema of Swagger as Microsoft's generator reads it.

    What is not required may be null, an object of which nothing else is said may be any value, and what is closed has
    no properties but those that are named.
    """
    if isinstance(node, list):
        return [_strict(one, closed=closed) for one in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "object" and not {"properties", "additionalProperties"} & set(node):
        return {}
    result = {key: _strict(value, closed=closed) for key, value in node.items() if key != "properties"}
    if "properties" not in node:
        return result
    required = set(node.get("required", ()))
    result["properties"] = {
        name: one if name in required else {"anyOf": [{"type": "null"}, one]}
        for name, one in ((name, _strict(one, closed=closed)) for name, one in node["properties"].items())
    }
    return {"additionalProperties": False, **result} if closed and "allOf" not in node else result
