"""Kills registrations, each after another call to MLflow, and looks what is left: STORE MODEL.

Prints how often it killed, and after how many of these a version existed; fails where one lacked its files.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.tracking import MlflowClient

from delivery import registry

CALLS = (
    "get_experiment_by_name",
    "create_experiment",
    "create_run",
    "log_batch",
    "log_artifact",
    "get_run",
    "set_terminated",
    "create_registered_model",
    "create_model_version",
    "get_model_version",
)


def killed_after(calls: int, store: str, model: Path, name: str) -> bool:
    """Register in a child that dies after so many calls to MLflow; tell whether it died."""
    child = os.fork()
    if child == 0:
        left = calls

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                answer = call(*arguments, **named)
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            return wrapped

        for call in CALLS:
            setattr(MlflowClient, call, counted(getattr(MlflowClient, call)))
        registry.register(model, name=name, store=store, tags={}, metrics={"accuracy": 0.9})
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def main(store: str, model: Path) -> None:
    behind_address = "://" in store
    registry.register(  # what MLflow does once, not in each
        model, name="warm", store=store if behind_address else f"{store}-warm", tags={}, metrics={}
    )
    kills = versions = 0
    while killed_after(kills, store, model, f"m{kills}"):
        kills += 1
    for name in (f"m{kill}" for kill in range(kills)):
        left = registry.versions_of(name, store)
        for entry in left:
            with TemporaryDirectory() as folder:
                registry.fetch(name, entry.version, store, Path(folder) / "model")
        again = registry.register(model, name=name, store=store, tags={}, metrics={"accuracy": 0.9})
        assert left in ([], [again]), name
        assert registry.versions_of(name, store) == [again], name
        assert again.metrics == {"accuracy": 0.9}, name
        versions += len(left)
    print(kills, versions)  # noqa: T201


main(sys.argv[1], Path(sys.argv[2]))
