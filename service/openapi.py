"""The description of the service: an OpenAPI 3.1 document, with the limits that hold."""

from typing import Any

from compliance.scorer import LABELS
from service.inference import INPUT, LENGTH_HEADER, OUTPUTS
from service.settings import Settings

Schema = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"
REFUSALS = {
    "400": "The request is malformed.",
    "401": "A token is needed.",
    "404": "There is no such model, version or slot.",
    "405": "The path is served, the method is not.",
    "408": "The request did not arrive in time.",
    "413": "The body is too long.",
    "415": "The body is of another kind.",
    "422": "The content is of another form, or over a limit.",
    "429": "Too many texts wait; `retry-after` says when to ask again.",
    "500": "The service failed; its log has the reason.",
    "501": "The service stores no decisions.",
    "503": "The service has too much to do, or is about to end; `retry-after` says when to ask again.",
}
SEEN = ("400", "401", "404", "405")  # by whoever asks for something by GET
ANSWERING = tuple(status for status in REFUSALS if status != "501")  # of what scores
IDENTITY_PATTERN = "^[A-Za-z0-9._:-]{1,128}$"


def document(settings: Settings, version: str, *, maximum_length: int) -> Schema:
    """Give the document.

    Args:
        settings: The limits of a request.
        version: Of the service.
        maximum_length: Characters that a text may have.
    """
    protected: list[dict] = [{"token": []}] if settings.token_sha256 else []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Scoring service",
            "version": version,
            "description": "Labels descriptions of components as compliant or non-compliant.",
        },
        "paths": _scoring() | _feedback() | _inference() | _health() | _descriptions(),
        "security": protected,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}} if protected else {},
            "schemas": _schemas(settings, maximum_length),
            "responses": {f"Problem{status}": _problem(says) for status, says in REFUSALS.items()},
        },
    }


def _scoring() -> Schema:
    explain = {"name": "explain", "in": "query", "description": "Add the contributions of words.", "schema": _enum()}
    slot = {
        "name": "azureml-model-deployment",
        "in": "header",
        "description": "Slot that is to answer, whatever its share of the traffic.",
        "schema": {"type": "string", "examples": ["blue"]},
    }
    operation = {
        "summary": "Label texts",
        "operationId": "score",
        "parameters": [explain, _identity(), slot],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("Texts")}}},
        "responses": _responses("Scored", ANSWERING),
    }
    return {"/score": {"post": operation}}


def _feedback() -> Schema:
    operation = {
        "summary": "Keep a technician's decision on an answer",
        "operationId": "feedback",
        "parameters": [_identity()],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("Decision")}}},
        "responses": {"201": {"description": "It is stored.", "content": {JSON: {"schema": _ref("Anything")}}}}
        | _refusals((*SEEN, "413", "415", "422", "500", "501", "503")),
    }
    return {"/feedback": {"post": operation}}


def _inference() -> Schema:
    infer = {
        "summary": "Label texts (Open Inference Protocol)",
        "parameters": [
            _identity(),
            {
                "name": LENGTH_HEADER,
                "in": "header",
                "description": "Length of the JSON, where binary tensors follow it.",
                "schema": {"type": "integer", "minimum": 0},
            },
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("InferenceRequest")}}},
        "responses": _responses("InferenceAnswer", ANSWERING),
    }
    found: Schema = {"/v2": {"get": _get("Metadata of the server", "serverMetadata", "ServerMetadata")}}
    for versioned in (False, True):
        path = "/v2/models/{name}" + ("/versions/{version}" if versioned else "")
        parameters = [_path("name")] + ([_path("version")] if versioned else [])
        suffix = "Version" if versioned else ""
        metadata = _get("Metadata of the model", f"modelMetadata{suffix}", "ModelMetadata")
        ready = _get("Is the model ready?", f"modelReady{suffix}", "ModelReady", "503")
        found[path] = {"parameters": parameters, "get": metadata}
        found[f"{path}/ready"] = {"parameters": parameters, "get": ready}
        found[f"{path}/infer"] = {"parameters": parameters, "post": infer | {"operationId": f"modelInfer{suffix}"}}
    return found


def _health() -> Schema:
    states = {
        "/health/live": ("Does the process run?", "live", "Health", ()),
        "/health/ready": ("Is a verified model loaded, and which?", "ready", "Health", ("503",)),
        "/v2/health/live": ("Does the server run?", "serverLive", "ServerLive", ()),
        "/v2/health/ready": ("Is the server ready?", "serverReady", "ServerReady", ("503",)),
    }
    return {
        path: {"get": _get(summary, name, schema, *more) | {"security": []}}
        for path, (summary, name, schema, more) in states.items()
    }


def _descriptions() -> Schema:
    def text(summary: str, name: str, media_type: str) -> Schema:
        content = {media_type: {"schema": {"type": "string"}}}
        answers = {"200": {"description": summary, "content": content}} | _refusals(SEEN)
        return {"get": {"summary": summary, "operationId": name, "responses": answers}}

    return {
        "/metrics": text("Metrics as Prometheus reads them", "metrics", "text/plain"),
        "/docs": text("This description as a page", "docs", "text/html"),
        "/openapi.json": {"get": _get("This description", "openapi", "Anything")},
    }


def _schemas(settings: Settings, maximum_length: int) -> Schema:
    texts: Schema = {
        "type": "array",
        "minItems": 1,
        "maxItems": settings.maximum_texts,
        "items": {"type": "string", "maxLength": maximum_length},
        "examples": [["good condition steel component", "poor condition iron component"]],
    }
    wrapped = _closed({"data": texts})
    return {
        "Texts": {"oneOf": [texts, wrapped]},
        "Word": _open(word="string", start="integer", end="integer", without="number", log_odds="number"),
        "Result": _object(
            {
                "label": {"type": "string"},
                "probability": {"type": "number", "minimum": 0, "maximum": 1},
                "words": {"type": "array", "items": _ref("Word")},
            },
            required=["label", "probability"],
        ),
        "Model": _object({"name": _type("string"), "version": _type("integer", "null"), "digest": _type("string")}),
        "Scored": _object(
            {
                "model": _ref("Model"),
                "slot": _type("string", "null"),
                "results": {"type": "array", "items": _ref("Result")},
                "correlation_id": _type("string"),
            }
        ),
        "Decision": _object(
            {
                "correlation_id": {"type": "string", "pattern": IDENTITY_PATTERN},
                "item": {"type": "integer", "minimum": 0},
                "label": {"enum": list(LABELS)},
                "comment": _type("string"),
            },
            required=["correlation_id", "label"],
        ),
        "Problem": _open(
            type="string", title="string", status="integer", detail="string", error="string", correlation_id="string"
        ),
        "Health": _object({"status": {"enum": ["live", "ready"]}}),
        "ServerLive": _open(live="boolean"),
        "ServerReady": _open(ready="boolean"),
        "ServerMetadata": _object(
            {"name": _type("string"), "version": _type("string"), "extensions": {"type": "array"}}
        ),
        "ModelReady": _open(name="string", ready="boolean"),
        "ModelMetadata": _object(
            {
                "name": _type("string"),
                "versions": {"type": "array", "items": _type("string")},
                "platform": _type("string"),
                "inputs": {"type": "array", "items": _ref("TensorMetadata")},
                "outputs": {"type": "array", "items": _ref("TensorMetadata")},
            }
        ),
        "TensorMetadata": _object(
            {
                "name": _type("string"),
                "datatype": _type("string"),
                "shape": {"type": "array", "items": _type("integer")},
            }
        ),
        "InferenceRequest": _request(settings, maximum_length),
        "InferenceAnswer": _object(
            {
                "model_name": _type("string"),
                "model_version": _type("string"),
                "id": _type("string"),
                "parameters": _type("object"),
                "outputs": {"type": "array", "items": _type("object")},
            },
            required=["model_name", "outputs"],
        ),
        "Anything": _type("object"),
    }


def _request(settings: Settings, maximum_length: int) -> Schema:
    tensor = _object(
        {
            "name": {"const": INPUT},
            "datatype": {"const": "BYTES"},
            "shape": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer", "minimum": 1}},
            "parameters": _type("object"),
            "data": {
                "type": "array",
                "maxItems": settings.maximum_texts,
                "items": {"type": "string", "maxLength": maximum_length},
            },
        },
        required=["name", "datatype", "shape"],
    )
    output = _object({"name": {"enum": list(OUTPUTS)}, "parameters": _type("object")}, required=["name"])
    return _object(
        {
            "id": _type("string"),
            "parameters": _type("object"),
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor},
            "outputs": {"type": "array", "items": output},
        },
        required=["inputs"],
    ) | {"examples": [{"inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [1], "data": ["new steel"]}]}]}


def _get(summary: str, name: str, schema: str, *more: str) -> Schema:
    return {"summary": summary, "operationId": name, "responses": _responses(schema, (*SEEN, *more))}


def _responses(schema: str, statuses: tuple[str, ...]) -> Schema:
    content = {JSON: {"schema": _ref(schema)}}
    if schema == "InferenceAnswer":
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"200": {"description": "The answer.", "content": content}} | _refusals(statuses)


def _refusals(statuses: tuple[str, ...]) -> Schema:
    known = (status for status in statuses if status in REFUSALS)
    return {status: {"$ref": f"#/components/responses/Problem{status}"} for status in known}


def _problem(says: str) -> Schema:
    return {"description": says, "content": {PROBLEM: {"schema": _ref("Problem")}}}


def _identity() -> Schema:
    return {
        "name": "x-correlation-id",
        "in": "header",
        "description": "Id that ties the request to its answer; without it, the service makes one.",
        "schema": {"type": "string", "pattern": IDENTITY_PATTERN},
    }


def _path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _enum() -> Schema:
    return {"type": "string", "enum": ["true", "false"], "default": "false"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _type(*names: str) -> Schema:
    return {"type": names[0] if len(names) == 1 else list(names)}


def _open(**types: str) -> Schema:
    return _object({name: _type(kind) for name, kind in types.items()})


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


def _closed(properties: Schema) -> Schema:
    return _object(properties) | {"additionalProperties": False}
