"""Which actions each task needs, the narrowest built-in roles that allow them, and whether somebody has them.

Azure answers what an identity may do at a place (Microsoft.Authorization/permissions); nothing is tried out to see.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_ML = "Microsoft.MachineLearningServices/workspaces"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


@dataclass(frozen=True)
class Need:
    """What a task needs.

    Attributes:
        task: What is done.
        who: Whose identity does it.
        roles: The narrowest built-in roles that allow it, each with its scope.
        actions: What it does to the workspace, as roles allow it.
        data: What it does to the workspace's storage.
    """

    task: str
    who: str
    roles: tuple[str, ...]
    actions: tuple[str, ...]
    data: tuple[str, ...] = ()


SCIENTIST, WRITES = (
    "AzureML Data Scientist on the workspace",
    "Storage Blob Data Contributor on its storage",
)
NEEDS = (
    Need(
        "provision: clusters, environment, data, endpoints",
        "whoever sets the workspace up, once",
        (SCIENTIST, "AzureML Compute Operator on the workspace", WRITES),
        tuple(f"{_ML}/{one}" for one in (
            "read", "computes/read", "computes/write", "datastores/read",
            "environments/versions/read", "environments/versions/write", "data/versions/read", "data/versions/write",
            "onlineEndpoints/read", "onlineEndpoints/write", "onlineEndpoints/deployments/read",
        )),
        (f"{_BLOBS}/write",),
    ),
    Need(
        "train: submit, follow and collect a run",
        "people, and the service connection trey-train",
        (SCIENTIST, WRITES),
        tuple(f"{_ML}/{one}" for one in (
            "read", "jobs/read", "jobs/write", "jobs/cancel/action", "experiments/runs/read", "experiments/runs/write",
            "experiments/runs/submit/action", "computes/read", "datastores/read",
            "codes/versions/read", "codes/versions/write", "components/versions/read", "components/versions/write",
            "environments/build/action", "environments/versions/read", "environments/versions/write",
            "data/versions/read", "data/versions/write",
        )),
        (f"{_BLOBS}/read", f"{_BLOBS}/write"),
    ),
    Need(
        "phases: prepare, train, evaluate, register, on a cluster",
        "the system-assigned identity of each cluster",
        (SCIENTIST, WRITES),
        tuple(f"{_ML}/{one}" for one in (
            "read", "datastores/read", "experiments/runs/read", "experiments/runs/write",
            "models/read", "models/write", "models/versions/read", "models/versions/write",
        )),
        (f"{_BLOBS}/read", f"{_BLOBS}/write"),
    ),
    Need(
        "deploy: release to an environment, and the way back",
        "people and trey-train for staging; the service connection trey-production alone for production",
        (SCIENTIST, WRITES),
        tuple(f"{_ML}/{one}" for one in (
            "read", "datastores/read", "environments/versions/read", "environments/versions/write", "models/read",
            "models/write", "models/versions/read", "models/versions/write",
            "data/versions/read", "data/versions/write", "onlineEndpoints/read", "onlineEndpoints/write",
            "onlineEndpoints/deployments/read", "onlineEndpoints/deployments/write",
            "onlineEndpoints/deployments/delete", "onlineEndpoints/score/action",
        )),
        (f"{_BLOBS}/read", f"{_BLOBS}/write"),
    ),
    Need(
        "answer: the endpoint reads its model and image, and collects",
        "the system-assigned identity of each endpoint",
        (WRITES, "AcrPull on the container registry", "AzureML Metrics Writer on the workspace"),
        (f"{_ML}/metrics/*/write",),
        (f"{_BLOBS}/read", f"{_BLOBS}/write"),
    ),
)  # fmt: skip


def lacking(need: Need, there: Iterable[Mapping[str, Any]], on_storage: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the actions of a task that nobody allowed.

    Args:
        need: The task.
        there: What is allowed at the workspace, as Azure gives it: what each role allows and takes out of it.
        on_storage: The same, at its storage account.
    """
    given, given_there = list(there), list(on_storage)
    missing = [one for one in need.actions if not _allowed(one, given, "actions", "notActions")]
    return missing + [one for one in need.data if not _allowed(one, given_there, "dataActions", "notDataActions")]


def _allowed(action: str, permissions: Iterable[Mapping[str, Any]], yes: str, no: str) -> bool:
    """Tell whether one of the permissions allows an action; what a role takes out, another may still allow."""
    return any(_matches(action, one.get(yes) or ()) and not _matches(action, one.get(no) or ()) for one in permissions)


def _matches(action: str, patterns: Iterable[str]) -> bool:
    """Tell whether a pattern of a role covers an action; `*` stands for any text, and case is of no account."""
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), action, re.IGNORECASE) for one in patterns)
