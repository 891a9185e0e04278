"""A candidate that does not answer as judged leaves its slot, and what was live stays."""

from pathlib import Path

import pytest

from delivery.deployment import confirm, rehearse
from delivery.endpoint import Endpoint
from delivery.errors import DeploymentFailed
from delivery.smoke import Example

from ..fixtures_model import MakeModel, digest_of


@pytest.fixture
def endpoint(endpoint_store: Path, model_dir: Path) -> Endpoint:
    """Give an endpoint with version 1 live."""
    endpoint = Endpoint(endpoint_store, "parts", "staging", wait=0)
    endpoint.finish(endpoint.place(model_dir, 1, digest_of(model_dir)).name)
    return endpoint


def is_as_before(endpoint: Endpoint) -> bool:
    live = endpoint.live()
    return live is not None and live.version == 1 and endpoint.standby() is None


def test_wrong_answers_keep_it_from_going_live(endpoint: Endpoint, make_model: MakeModel) -> None:
    model = make_model(bias=1.0)
    candidate = endpoint.place(model, 2, digest_of(model))
    report = rehearse(endpoint, candidate, [Example("steel", "compliant", 0.25), Example("iron", "compliant", 0.1)])
    with pytest.raises(DeploymentFailed, match=r"3 of 13 checks failed") as failed:
        confirm(endpoint, candidate, report)
    assert "what was live still is" in str(failed.value)
    assert is_as_before(endpoint)


def test_a_process_that_does_not_start_keeps_it_from_going_live(endpoint: Endpoint, make_model: MakeModel) -> None:
    model = make_model(bias=1.0)
    candidate = endpoint.place(model, 2, digest_of(model))
    (candidate.folder / "model.onnx").unlink()
    with pytest.raises(DeploymentFailed, match=r"model\.onnx is missing"):
        rehearse(endpoint, candidate, [])
    assert is_as_before(endpoint)


def test_right_answers_let_it_go_on(endpoint: Endpoint, make_model: MakeModel) -> None:
    model = make_model(bias=1.0)
    candidate = endpoint.place(model, 2, digest_of(model))
    report = rehearse(endpoint, candidate, [Example("", "non-compliant", 0.7310586)])
    confirm(endpoint, candidate, report)
    assert endpoint.finish(candidate.name).version == 2
