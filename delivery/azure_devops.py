"""Who approved a stage in Azure DevOps: asked of the service that enforced it, by the job that it let start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from delivery.errors import ApprovalUnknown

API = "7.1"
TIMEOUT = 30.0  # seconds for a request
TOKEN = "SYSTEM_ACCESSTOKEN"  # noqa: S105 - the variable, not the token; a step must map it: $(System.AccessToken)
PLACE = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID", "BUILD_BUILDID", "SYSTEM_STAGENAME")  # set by the agent
LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Approval:
    """One person's approval: who (the name that signs in, an e-mail address as a rule) and the comment given."""

    by: str
    comment: str


@dataclass(frozen=True)
class Stage:
    """A stage of a build that runs.

    Attributes:
        project: Address of the project, with a slash at its end.
        build: Number of the build.
        name: Name of the stage.
        token: What the job may sign in with; never shown.
    """

    project: str
    build: str
    name: str
    token: str = field(repr=False)

    @classmethod
    def here(cls, environment: Mapping[str, str]) -> Self:
        """Give the stage that this process runs in.

        Raises:
            ApprovalUnknown: A variable is missing, or the token would cross a network in clear.
        """
        missing = [name for name in (*PLACE, TOKEN) if not environment.get(name)]
        if missing:
            raise ApprovalUnknown(
                f"not set: {', '.join(missing)}. The agent of Azure Pipelines sets them, and the step maps "
                f"{TOKEN}: $(System.AccessToken)"
            )
        address, project, build, name = (environment[variable] for variable in PLACE)
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise ApprovalUnknown(f"SYSTEM_COLLECTIONURI is {address}; a token is sent over https only")
        return cls(f"{address.rstrip('/')}/{project}/", build, name, environment[TOKEN])


def requester(stage: Stage) -> str:
    """Name who requested the build as approvals name people, which is not their mail everywhere.

    Raises:
        ApprovalUnknown: The service does not tell.
    """
    with httpx.Client(base_url=stage.project, auth=("", stage.token), timeout=TIMEOUT) as client:
        found = _answer(client, f"_apis/build/builds/{stage.build}", {}).get("requestedFor") or {}
    if not isinstance(found.get("uniqueName"), str) or not found["uniqueName"]:
        raise ApprovalUnknown(f"Azure DevOps does not tell who requested build {stage.build}")
    return str(found["uniqueName"])


def approvals(stage: Stage) -> list[Approval]:
    """Give the approvals that let this stage start, in the order of the check.

    Raises:
        ApprovalUnknown: Nothing asked for an approval, somebody passed by the check, or the service does not tell.
    """
    with httpx.Client(base_url=stage.project, auth=("", stage.token), timeout=TIMEOUT) as client:
        records = _answer(client, f"_apis/build/builds/{stage.build}/timeline", {})["records"] or []
        asked = [record["id"] for record in _checks(records, stage.name)]
        if not asked:
            raise ApprovalUnknown(
                f"stage {stage.name} of build {stage.build} asks nobody for an approval: its environment has no "
                "approval check. Add one: Pipelines, Environments, Approvals and checks"
            )
        return [one for number in asked for one in _given(client, number)]


def _checks(records: list[dict[str, Any]], stage: str) -> list[dict[str, Any]]:
    """Give the approval checks of a stage from a build's timeline: they hang on its checkpoints."""
    stages = [record["id"] for record in records if (record["type"], record["identifier"]) == ("Stage", stage)]
    checkpoints = [one["id"] for one in records if one["type"] == "Checkpoint" and one["parentId"] in stages]
    return [one for one in records if one["type"] == "Checkpoint.Approval" and one["parentId"] in checkpoints]


def _given(client: httpx.Client, number: str) -> list[Approval]:
    found = _answer(client, f"_apis/pipelines/approvals/{number}", {"$expand": "steps"})
    if found["status"] != "approved":
        raise ApprovalUnknown(f"approval {number} is {found['status']!r}, not 'approved'")
    given = [
        Approval(step["actualApprover"]["uniqueName"], (step.get("comment") or "").strip())
        for step in found["steps"]
        if step["status"] == "approved"
    ]
    if not given:
        raise ApprovalUnknown(f"approval {number} names nobody who gave it")
    return given


def _answer(client: httpx.Client, path: str, query: dict[str, str]) -> Any:
    try:
        response = client.get(path, params={**query, "api-version": API})
        response.raise_for_status()
        return response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ApprovalUnknown(f"Azure DevOps does not tell who approved: {type(error).__name__}: {error}") from error
