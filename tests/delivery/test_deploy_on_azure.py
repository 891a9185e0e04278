"""The same deploy notebook where the endpoint is Azure's: what was uploaded answers, by traffic and copies."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery import registry

from ..azure.server import Azure
from ..fixtures_model import TEXTS, MakeModel
from .azure_containers import Containers
from .test_deploy_notebook import Deployments

EASY = {"error_margin": 0.1, "slow_margin": 0.2, "disagreement_limit": 0.2}  # shown by few requests


@pytest.fixture
def containers(azure: Azure, tmp_path: Path) -> Iterator[Containers]:
    """Let deployments answer."""
    new = Containers(azure, tmp_path / "containers")
    azure.containers = new.address
    yield new
    new.close()


def test_a_version_takes_over_from_another(
    azure: Azure, containers: Containers, tmp_path: Path, model_dir: Path, make_model: MakeModel
) -> None:
    deployments = Deployments(tmp_path)
    deployments.endpoints = azure.address
    first = registry.register(model_dir, name="parts", store=deployments.store, tags={}, metrics={})
    endpoint = deployments.endpoint()
    endpoint.finish(endpoint.place(model_dir, first.version, first.digest).name)
    endpoint.release()

    like = deployments.deploy(make_model(bias=1e-6), "like", shares=[50], **EASY)
    assert (like["outcome"], like["rolled_back"], like["slot"]) == ("live", "", "green")
    assert (like["smoke_requests"], like["smoke_failures"], like["canary_stages"]) == (10 + len(TEXTS) + 1, 0, 2)
    told = json.loads((tmp_path / "like" / "deploy" / "deployment.json").read_text())
    assert (told["version"], told["previous"]["version"]) == (2, 1)
    assert {row["stage"] for row in told["canary"]} == {"mirror 50 %", "traffic 50 %"}
    assert {name for _, name, _ in azure.mirrored} == {"green"}
    champion = registry.champion("parts", "scratch", deployments.store)
    assert champion is not None
    assert champion.version == 2
