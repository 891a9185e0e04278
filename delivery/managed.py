"""What is asked of Azure ML for an endpoint: its body, a deployment's, the model's and that of the service's image.

Nothing here holds a key: people and the release sign in with Entra ID, the endpoint with an identity of its own.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.files import canonical, sha256
from delivery.hosts import Machines
from delivery.state import Held

if TYPE_CHECKING:
    from azure.ai.ml.entities import Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model

MODEL, ENVIRONMENT = "trey-model", "trey-environment"  # tags of an endpoint
LIVE, PREVIOUS, STEPPED_BACK = "trey-live", "trey-previous", "trey-stepped-back"  # the same
VERSION, DIGEST = "trey-version", "trey-digest"  # tags of a deployment, and of a model
COLLECTION = "scoring"  # of the data collector
IMAGE = "trey-scoring"
PORT = 5001
ROOT = Path(__file__).resolve().parents[1]
HASHED = 16  # hexadecimal digits of a digest that name a version
SERVICE = ("service", "compliance/__init__.py", "compliance/scorer.py")  # the code that answers
REQUIREMENTS, DOCKERFILE = "requirements/serve.txt", "service/azure/Dockerfile"
TIMEOUT_MS = 30_000  # for an answer: the service's own deadline
CONCURRENT = 64  # requests of one machine; the service batches them
START_SECONDS = 10  # until the first look whether it is there
LOOK_SECONDS = 10  # between two looks
LOOK_TIMEOUT = 2  # seconds of a look
FAILURES = 30  # looks in a row until it is given up


def model_asset(model_name: str) -> str:
    """Name the asset of what is served; that of the registry has versions of its own."""
    return f"{model_name}-served"


def model_version(digest: str) -> str:
    """Give the version of what is served: the digest, shortened; so the same bytes are registered once."""
    return digest[:HASHED]


def endpoint(name: str, model_name: str, environment: str) -> "ManagedOnlineEndpoint":
    """Give an endpoint without deployments."""
    from azure.ai.ml.entities import IdentityConfiguration, ManagedOnlineEndpoint

    return ManagedOnlineEndpoint(
        name=name,
        auth_mode="aad_token",
        identity=IdentityConfiguration(type="system_assigned"),
        description=f"{model_name} in {environment}",
        tags={MODEL: model_name, ENVIRONMENT: environment, LIVE: "", PREVIOUS: "", STEPPED_BACK: ""},
    )


def deployment(  # noqa: PLR0913 - all by name
    endpoint_name: str, slot: str, held: Held, *, model: str, image: str, machines: Machines
) -> "ManagedOnlineDeployment":
    """Give a deployment that serves a model.

    Args:
        endpoint_name: The endpoint.
        slot: The deployment's name.
        held: Version and digest of the model.
        model: The model's address.
        image: The address of the service's image.
        machines: What it runs on.
    """
    from azure.ai.ml.entities import (
        DataCollector,
        DeploymentCollection,
        ManagedOnlineDeployment,
        OnlineRequestSettings,
        ProbeSettings,
    )

    probe = {"period": LOOK_SECONDS, "timeout": LOOK_TIMEOUT, "success_threshold": 1, "failure_threshold": FAILURES}
    return ManagedOnlineDeployment(
        name=slot,
        endpoint_name=endpoint_name,
        model=model,
        environment=image,
        instance_type=machines.kind,
        instance_count=machines.count,
        tags={VERSION: str(held["version"]), DIGEST: held["digest"]},
        environment_variables={
            "SCORING_COLLECT_AZUREML": COLLECTION,
            "SCORING_MODEL_VERSION": str(held["version"]),
            "SCORING_SLOT": slot,
        },
        request_settings=OnlineRequestSettings(
            request_timeout_ms=TIMEOUT_MS, max_concurrent_requests_per_instance=CONCURRENT
        ),
        liveness_probe=ProbeSettings(initial_delay=START_SECONDS, **probe),
        readiness_probe=ProbeSettings(initial_delay=START_SECONDS, **probe),
        data_collector=DataCollector(collections={COLLECTION: DeploymentCollection(enabled="true")}),
        app_insights_enabled=True,
    )


def model(name: str, version: str, model_dir: Path, held: Held) -> "Model":
    """Give the asset of a model folder."""
    from azure.ai.ml.entities import Model

    tags = {VERSION: str(held["version"]), DIGEST: held["digest"]}
    return Model(name=name, version=version, path=str(model_dir), type="custom_model", tags=tags)


def image(version: str, folder: Path) -> "Environment":
    """Give the environment whose image Azure builds from a folder, with the paths at which it is looked at."""
    from azure.ai.ml.entities import BuildContext, Environment

    return Environment(
        name=IMAGE,
        version=version,
        build=BuildContext(path=str(folder), dockerfile_path="Dockerfile"),
        inference_config={
            "liveness_route": {"path": "/health/live", "port": PORT},
            "readiness_route": {"path": "/health/ready", "port": PORT},
            "scoring_route": {"path": "/score", "port": PORT},
        },
        description="the scoring service",
    )


def write_context(folder: Path) -> str:
    """Write what the image of the service is built from, and give its version: a digest of all of it."""
    for name in SERVICE:
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    shutil.copy(ROOT / REQUIREMENTS, folder / "requirements.txt")
    shutil.copy(ROOT / DOCKERFILE, folder / "Dockerfile")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): sha256(path.read_bytes()) for path in files}
    return sha256(canonical(found))[:HASHED]
