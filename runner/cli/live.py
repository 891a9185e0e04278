"""Which model is live where, for the commands that use it."""

from pathlib import Path
from typing import Any

from runner.errors import BadRequest
from runner.record import Record


def project(pipeline: Path | None) -> Path:
    """Give the project's folder: the one that holds the folder of pipeline.yaml."""
    from runner.pipeline import locate

    return locate(pipeline, Path.cwd()).parent.parent


def endpoints(given: str | None, pipeline: Path | None) -> str:
    """Give where the endpoints are: as given, or the folder of the project."""
    return given or str(project(pipeline) / "endpoints")


def endpoint_folder(given: str | None, pipeline: Path | None, *, instead: str) -> Path:
    """Give the folder of the endpoints, for a command that needs their models on this machine.

    Args:
        given: Where they are, where the caller says it.
        pipeline: The pipeline.yaml, where the caller names it.
        instead: What to type where they are not on this machine.

    Raises:
        BadRequest: They are not.
    """
    store = endpoints(given, pipeline)
    if "://" in store:
        raise BadRequest(f"{store} answers by itself; its models are not on this machine", next_step=instead)
    return Path(store)


def model_in(store: str, environment: str, model_name: str | None, command: str) -> str:
    """Give the model that shall answer; without a name, the only one that is live in the environment.

    Args:
        store: Where the endpoints are.
        environment: Name of the environment.
        model_name: The model that is asked for, if any.
        command: The command that asks, for the message.

    Raises:
        BadRequest: None or several are live there, or this one is not.
    """
    from delivery.endpoint import live_models
    from delivery.errors import BadName, DeliveryError
    from delivery.names import SCRATCH, STAGING

    deploy = {SCRATCH: f"trey run --set deploy.environment={SCRATCH}", STAGING: "trey run"}
    deploy = {} if "://" in store else deploy  # a run on this machine would release to this machine
    step = deploy.get(environment, f"trey release RUN --to {environment}")
    try:
        found = live_models(store, environment)
    except BadName as error:
        raise BadRequest(str(error), next_step=f"{command} --help") from error
    except DeliveryError as error:
        raise BadRequest(str(error), next_step=step) from error
    if model_name in found:
        return model_name
    if model_name is None and len(found) == 1:
        return found[0]
    if not found:
        raise BadRequest(f"no model is live in {environment}, says {store}", next_step=step)
    fault = (
        f"{model_name} is not live in {environment}" if model_name else f"{len(found)} models are live in {environment}"
    )
    raise BadRequest(
        f"{fault}; live are {', '.join(found)}", next_step=f"{command} --env {environment} --model {found[0]}"
    )


def digest(store: str, model_name: str, environment: str) -> str:
    """Give the digest of a model that is live in an environment; empty where none of that name is.

    Raises:
        BadRequest: The endpoint does not tell.
    """
    from delivery.endpoint import Endpoint
    from delivery.errors import DeliveryError

    try:
        slot = Endpoint(store, model_name, environment).live()
    except DeliveryError as error:
        step = f"trey smoke --env {environment} --endpoint-store {store}"
        raise BadRequest(str(error), next_step=step) from error
    return slot.digest if slot else ""


def parameters_of(found: Record | None) -> dict[str, Any]:
    """Give what a run's phases were given, such as stores, of one name what the first was given; none without a run."""
    phases = found["phases"].values() if found else ()
    return {key: value for entry in reversed(phases) for key, value in entry["params"].items()}


def near(path: Path) -> str:
    """Name a path from here where that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
