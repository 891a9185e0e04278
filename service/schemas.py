"""The schemas of the description: what each field means, what it may be, and an example of each content."""

from typing import Any

from compliance.scorer import LABELS
from service.inference import INPUT, OUTPUTS
from service.settings import Settings

Schema = dict[str, Any]
IDENTITY_PATTERN = "^[A-Za-z0-9._:-]{1,128}$"
_DIGEST = "5ab1f0c2" * 8
_IDENTITY = "part-7:2026.11"
_MODEL = {"name": "connected-car", "version": 3, "digest": _DIGEST}
_TEXTS = ["good condition steel component", "poor condition iron component"]


def schemas(settings: Settings, maximum_length: int) -> Schema:
    """Give the schemas by name.

    Args:
        settings: The limits of a request.
        maximum_length: Characters that a text may have.
    """
    return _scores(settings, maximum_length) | _decisions() | _states() | _protocol(settings, maximum_length)


def reference(name: str) -> Schema:
    """Refer to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _scores(settings: Settings, maximum_length: int) -> Schema:
    texts: Schema = {
        "type": "array",
        "minItems": 1,
        "maxItems": settings.maximum_texts,
        "items": {"type": "string", "maxLength": maximum_length},
        "examples": [_TEXTS],
    }
    noncompliant = {"label": LABELS[1], "probability": 0.97}
    word = {
        "word": "iron",
        "start": 15,
        "end": 19,
        "without": 0.03,
        "log_odds": 6.9,
        "alone": 0.98,
        "log_odds_alone": 3.9,
        "decisive": True,
    }
    return {
        "Texts": {
            "description": "A list of texts, or an object that holds it under `data`.",
            "oneOf": [texts, _object({"data": texts}) | {"additionalProperties": False}],
        },
        "Scored": _object(
            {
                "model": _says("The model that answered.", reference("Model")),
                "slot": _says("The slot that answered; `null` where the model is in none.", _type("string", "null")),
                "results": _says("One for each text, in their order.", {"type": "array", "items": reference("Result")}),
                "correlation_id": _says("Id of the request; feedback names it.", _type("string")),
            },
            examples=[
                {
                    "model": _MODEL,
                    "slot": "blue",
                    "results": [{"label": LABELS[0], "probability": 0.02}, noncompliant],
                    "correlation_id": _IDENTITY,
                }
            ],
        ),
        "Model": _object(
            {
                "name": _type("string"),
                "version": _says("In the registry; `null` where a folder is served by hand.", _type("integer", "null")),
                "digest": _says("sha256 of the model's `model.json`.", _type("string")),
            },
            examples=[_MODEL],
        ),
        "Result": _object(
            {
                "label": {"type": "string", "enum": list(LABELS)},
                "probability": _says("Of non-compliance.", {"type": "number", "minimum": 0, "maximum": 1}),
                "words": _says(
                    "Only with `explain=true`: the first 200 words, in the order of the text.",
                    {"type": "array", "items": reference("Word")},
                ),
            },
            required=["label", "probability"],
            examples=[noncompliant | {"words": [word]}],
        ),
        "Word": _object(_word(), examples=[word]),
    }


def _word() -> Schema:
    return {
        "word": _says("As it stands in the text.", _type("string")),
        "start": _says("Its first character, from 0.", _type("integer")),
        "end": _says("The character behind its last.", _type("integer")),
        "without": _says("Probability of the text without this word.", _type("number")),
        "log_odds": _says(
            "By how much the word raised the log-odds of non-compliance beside the others; near 0 for any word where "
            "several suffice and the answer is near 0 or 1. No sum of these is the answer.",
            _type("number"),
        ),
        "alone": _says("Probability of this word without any other.", _type("number")),
        "log_odds_alone": _says("By how much it raises the log-odds of a text without words.", _type("number")),
        "decisive": _says(
            "One of a few words without which, all left out together, the label is the other one. `false` for all "
            "where none such were found.",
            _type("boolean"),
        ),
    }


def _decisions() -> Schema:
    decision: Schema = {
        "correlation_id": _says("That of the answer.", {"type": "string", "pattern": IDENTITY_PATTERN}),
        "item": _says("The text's place in its request.", {"type": "integer", "minimum": 0, "default": 0}),
        "label": _says("What the technician decided.", {"type": "string", "enum": list(LABELS)}),
        "comment": _says("At most 1,000 characters.", _type("string")),
    }
    example = {"correlation_id": _IDENTITY, "item": 1, "label": LABELS[0], "comment": "it is steel"}
    problem = {
        "type": "urn:trey:problem:unfit-content",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "the list is empty; give at least one text",
        "error": "the list is empty; give at least one text",
        "correlation_id": _IDENTITY,
    }
    return {
        "Decision": _object(decision, required=["correlation_id", "label"], examples=[example])
        | {"additionalProperties": False},
        "Stored": _object(
            {
                "stored": _says("The decision, as it was understood.", reference("Decision")),
                "correlation_id": _says("Id of this request, not that of the answer.", _type("string")),
            }
        ),
        "Problem": _object(
            {
                "type": _says("What went wrong, for programs: `urn:trey:problem:` and a stable name.", _type("string")),
                "title": _says("The status in words.", _type("string")),
                "status": _type("integer"),
                "detail": _says("What arrived and what is allowed, for people.", _type("string")),
                "error": _says("The detail again, for clients of the Open Inference Protocol.", _type("string")),
                "correlation_id": _says("The service's log names it.", _type("string")),
            },
            examples=[problem],
        ),
    }


def _states() -> Schema:
    return {
        "Health": _object({"status": {"type": "string", "enum": ["live", "ready"]}}),
        "ServerLive": _object({"live": _type("boolean")}),
        "ServerReady": _object({"ready": _type("boolean")}),
        "ServerMetadata": _object(
            {
                "name": _type("string"),
                "version": _type("string"),
                "extensions": {"type": "array", "items": _type("string")},
            }
        ),
        "ModelReady": _object({"name": _type("string"), "ready": _type("boolean")}),
        "Anything": _type("object"),
    }


def _protocol(settings: Settings, maximum_length: int) -> Schema:
    tensors = {"type": "array", "items": reference("TensorMetadata")}
    return {
        "ModelMetadata": _object(
            {
                "name": _type("string"),
                "versions": _says("Those that the slots hold.", {"type": "array", "items": _type("string")}),
                "platform": _type("string"),
                "inputs": tensors,
                "outputs": tensors,
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
                "id": _says("That of the request, where it has one.", _type("string")),
                "parameters": _says("`digest`, `slot` and `correlation_id`.", _type("object")),
                "outputs": {"type": "array", "items": _type("object")},
            },
            required=["model_name", "outputs"],
        ),
    }


def _request(settings: Settings, maximum_length: int) -> Schema:
    tensor = _object(
        {
            "name": {"type": "string", "const": INPUT},
            "datatype": {"type": "string", "const": "BYTES"},
            "shape": _says(
                "[N] or [N, 1].",
                {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer", "minimum": 1}},
            ),
            "parameters": _type("object"),
            "data": {
                "type": "array",
                "maxItems": settings.maximum_texts,
                "items": {"type": "string", "maxLength": maximum_length},
            },
        },
        required=["name", "datatype", "shape"],
    )
    output = _object(
        {"name": {"type": "string", "enum": list(OUTPUTS)}, "parameters": _type("object")}, required=["name"]
    )
    return _object(
        {
            "id": _says("Given back in the answer.", _type("string")),
            "parameters": _type("object"),
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor},
            "outputs": _says("Those wanted; both where none is named.", {"type": "array", "items": output}),
        },
        required=["inputs"],
        examples=[{"inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [2], "data": _TEXTS}]}],
    )


def _says(description: str, schema: Schema) -> Schema:
    return {"description": description} | schema


def _type(*names: str) -> Schema:
    return {"type": names[0] if len(names) == 1 else list(names)}


def _object(properties: Schema, required: list[str] | None = None, examples: list[Schema] | None = None) -> Schema:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return schema | ({"examples": examples} if examples else {})
