"""The description of the service: an OpenAPI 3.1 document, with the limits that hold."""

from service.inference import LENGTH_HEADER
from service.schemas import IDENTITY_PATTERN, Schema, reference, schemas
from service.settings import Settings

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
LATER = ("429", "503")  # these say when to ask again
SEEN = ("400", "401", "404", "405")  # by whoever asks for something by GET
ANSWERING = tuple(status for status in REFUSALS if status != "501")  # of what scores


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
            "description": "Labels descriptions of components as compliant or non-compliant. Every answer has the "
            "header `x-correlation-id`; a refusal is a problem document (RFC 9457). docs/API.md says more.",
        },
        "paths": _scoring(settings) | _feedback() | _inference() | _health() | _descriptions(),
        "security": protected,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}} if protected else {},
            "schemas": schemas(settings, maximum_length),
            "responses": {f"Problem{status}": _problem(status, says) for status, says in REFUSALS.items()},
        },
    }


def _scoring(settings: Settings) -> Schema:
    explain = {
        "name": "explain",
        "in": "query",
        "description": "`true` adds to each result what its words did to it, as `words`; "
        f"for up to {settings.explained_texts:,} texts.",
        "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
    }
    slot = {
        "name": "azureml-model-deployment",
        "in": "header",
        "description": "Slot that is to answer, whatever its share of the traffic; one of those that hold a model.",
        "schema": {"type": "string", "examples": ["blue"]},
    }
    operation = {
        "summary": "Label texts",
        "operationId": "score",
        "parameters": [explain, _identity(), slot],
        "requestBody": {"required": True, "content": {JSON: {"schema": reference("Texts")}}},
        "responses": _responses("Scored", ANSWERING),
    }
    return {"/score": {"post": operation}}


def _feedback() -> Schema:
    operation = {
        "summary": "Keep a technician's decision on an answer",
        "operationId": "feedback",
        "parameters": [_identity()],
        "requestBody": {"required": True, "content": {JSON: {"schema": reference("Decision")}}},
        "responses": {"201": {"description": "It is stored.", "content": {JSON: {"schema": reference("Stored")}}}}
        | _refusals((*SEEN, "408", "413", "415", "422", "500", "501", "503")),
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
        "requestBody": {"required": True, "content": {JSON: {"schema": reference("InferenceRequest")}}},
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


def _get(summary: str, name: str, schema: str, *more: str) -> Schema:
    return {"summary": summary, "operationId": name, "responses": _responses(schema, (*SEEN, *more))}


def _responses(schema: str, statuses: tuple[str, ...]) -> Schema:
    content = {JSON: {"schema": reference(schema)}}
    if schema == "InferenceAnswer":
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"200": {"description": "", "content": content}} | _refusals(statuses)


def _refusals(statuses: tuple[str, ...]) -> Schema:
    known = (status for status in statuses if status in REFUSALS)
    return {status: {"$ref": f"#/components/responses/Problem{status}"} for status in known}


def _problem(status: str, says: str) -> Schema:
    problem: Schema = {"description": says, "content": {PROBLEM: {"schema": reference("Problem")}}}
    if status in LATER:
        seconds = {"type": "integer", "minimum": 1}
        problem["headers"] = {"retry-after": {"description": "Seconds.", "required": True, "schema": seconds}}
    return problem


def _identity() -> Schema:
    return {
        "name": "x-correlation-id",
        "in": "header",
        "description": "Id that ties the request to its answer; without it, the service makes one.",
        "schema": {"type": "string", "pattern": IDENTITY_PATTERN},
    }


def _path(name: str) -> Schema:
    says = {"name": "The model's name, as every answer has it.", "version": "One of those that the slots hold."}[name]
    kind = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": says, "schema": kind}
