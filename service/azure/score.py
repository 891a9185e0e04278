"""Azure ML's entry script: `init` loads the deployment's model, `run` answers a request, over the same scorer.

The server puts the model into the folder AZUREML_MODEL_DIR, in a folder of its own name or of its version. Answers are
those of `POST /score` of the service, and what cannot be scored is answered with a problem document and its status.
"""

import os
from pathlib import Path
from typing import Any

import orjson
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

from service import problems
from service.azure.mount import MODEL_DIR, VERSION, model_folder
from service.model import ServedModel, from_folder
from service.problems import Problem
from service.settings import Settings
from service.texts import read_texts

IDENTITY = "x-ms-client-request-id"  # Azure's correlation id; the server gives it back
_loaded: dict[str, Any] = {}


def init() -> None:
    """Verify and load the model, once for a process.

    Raises:
        ModelCorrupt: There is no intact model.
    """
    folder = model_folder(Path(os.environ[MODEL_DIR]))
    version = os.environ.get(VERSION, "")
    _loaded["model"] = from_folder(folder, int(version) if version.isdecimal() else None)
    _loaded["settings"] = Settings.from_environment(os.environ)


@rawhttp
def run(request: AMLRequest) -> AMLResponse:
    """Label the texts of a request."""
    identity = request.headers.get(IDENTITY, "")
    try:
        if request.method != "POST":
            raise Problem(405, "method-not-allowed", f"{request.method} is not served here; POST texts")
        content = _answer(request.get_data(), identity)
    except Problem as problem:
        return _refusal(problem, identity)
    except Exception as error:  # noqa: BLE001 - it is logged, and the client hears of it
        return _refusal(problems.defect(error, identity), identity)
    return _response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), 200, "application/json")


def _answer(body: bytes, identity: str) -> dict[str, Any]:
    model: ServedModel = _loaded["model"]
    settings: Settings = _loaded["settings"]
    if len(body) > settings.maximum_body:
        detail = f"the body is longer than the {settings.maximum_body:,} bytes that are allowed"
        raise Problem(413, "too-large", detail)
    texts = read_texts(body, settings, model.scorer.maximum_length)
    probabilities = model.scorer.score(texts)
    results = [
        {"label": label, "probability": probability}
        for label, probability in zip(model.labels(probabilities), probabilities, strict=True)
    ]
    return {"model": model.identity, "slot": model.slot, "results": results, "correlation_id": identity}


def _refusal(problem: Problem, identity: str) -> AMLResponse:
    return _response(problems.document(problem, identity), problem.status, problems.MEDIA_TYPE)


def _response(body: bytes, status: int, media_type: str) -> AMLResponse:
    response = AMLResponse(body, status)
    response.headers["content-type"] = media_type
    return response
