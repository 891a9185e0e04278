"""Asks a workspace, reading only: who is signed in, what that identity may do, and what is not as it should be."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.client import answering
from cloud.errors import CloudError, Refused
from cloud.workspace import Workspace
from provisioning import needs

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential

_PERMISSIONS = "2022-04-01"  # api-versions of Microsoft.Authorization
_ASSIGNMENTS = "2022-04-01"
_AUTHORIZATION = "providers/Microsoft.Authorization"


@dataclass(frozen=True)
class Check:
    """One look at the workspace.

    Attributes:
        name: What was looked at.
        passed: Whether it is as it should be.
        said: What was found, or what to do.
    """

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Right:
    """A task, and what the identity that asks lacks for it."""

    need: needs.Need
    lacking: list[str]


@dataclass(frozen=True)
class Findings:
    """What the workspace said.

    Attributes:
        checks: Each look, in order; it ends at the first that makes the next senseless.
        roles: The roles that were given to the identity that asks, with their scopes.
        rights: Each task, and which of its actions that identity lacks.
    """

    checks: list[Check]
    roles: list[str]
    rights: list[Right]


class _Manager:
    """Resource Manager, for the two questions that the SDK of Azure ML has no method for."""

    def __init__(self, credential: "TokenCredential"):
        # The SDK keeps to itself which cloud it speaks to; a guess would be wrong in every cloud but the public one.
        from azure.ai.ml._azure_environments import _get_base_url_from_metadata, _resource_to_scopes
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy

        base = _get_base_url_from_metadata()
        self.scopes = _resource_to_scopes(base)
        policies = [RetryPolicy(), BearerTokenCredentialPolicy(credential, *self.scopes)]
        self._base = base.rstrip("/")
        self._client: Any = PipelineClient(base, policies=policies)

    def listed(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Give the items of a collection, page after page."""
        found = self.one(path, query)
        yield from found["value"]
        while following := found.get("nextLink"):
            if not str(following).startswith(f"{self._base}/"):
                raise Refused(f"Azure names {following} as its next page", next_step="trey azure doctor --live")
            found = self.one(str(following).removeprefix(self._base), {})
            yield from found["value"]

    def one(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Give a resource."""
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        response = self._client.send_request(HttpRequest("GET", f"{self._base}{path}", params=query))
        if response.status_code != 200:  # noqa: PLR2004
            response.read()
            raise HttpResponseError(response=response)
        found: dict[str, Any] = response.json()
        return found


def ask(ml: "MLClient", credential: "TokenCredential", workspace: Workspace) -> Findings:
    """Look at a workspace and at what the identity that asks may do there. Nothing is written."""
    checks: list[Check] = []
    roles: list[str] = []
    rights: list[Right] = []
    try:
        with answering(workspace, "sign in"):
            manager = _Manager(credential)
            claims = _claims(credential.get_token(*manager.scopes).token)
        checks.append(Check("identity", True, _who(claims)))
        with answering(workspace, "look at the workspace"):
            found: Any = ml.workspaces.get(workspace.name)
        checks.append(Check("workspace", True, f"{workspace.name} answers, in {found.location}"))
        with answering(workspace, "look at the default datastore"):
            checks.append(_keys(ml.datastores.get_default(), workspace))
        with answering(workspace, "read what this identity may do"):
            there = list(manager.listed(*_of(workspace.resource_id, "permissions", _PERMISSIONS)))
            on_data = list(manager.listed(*_of(str(found.storage_account), "permissions", _PERMISSIONS)))
        rights = [Right(need, needs.lacking(need, there, on_data)) for need in needs.NEEDS]
        with answering(workspace, "read the roles of this identity"):
            roles = list(_roles(manager, workspace, str(claims.get("oid", ""))))
    except CloudError as error:
        checks.append(Check("azure", False, f"{error.message}; next: {error.next_step}"))
    return Findings(checks, roles, rights)


def _of(scope: str, what: str, api: str) -> tuple[str, dict[str, str]]:
    return f"{scope}/{_AUTHORIZATION}/{what}", {"api-version": api}


def _roles(manager: _Manager, workspace: Workspace, who: str) -> Iterator[str]:
    """Name the roles that count at the workspace, given to the identity itself or to a group of it."""
    path, query = _of(workspace.resource_id, "roleAssignments", _ASSIGNMENTS)
    for one in manager.listed(path, {**query, "$filter": f"assignedTo('{who}')"}):
        given = one["properties"]
        role = manager.one(given["roleDefinitionId"], {"api-version": _ASSIGNMENTS})["properties"]["roleName"]
        yield f"{role} on {given['scope']}"


def _keys(datastore: Any, workspace: Workspace) -> Check:
    """Look whether the workspace opens its storage with an identity, or with the account's key."""
    kind = str(getattr(datastore.credentials, "type", None) or "none").lower()
    if "key" in kind or "sas" in kind:
        where = f"--name {workspace.name} --resource-group {workspace.group}"
        step = f"az ml workspace update {where} --system-datastores-auth-mode identity"
        return Check("storage", False, f"datastore {datastore.name} holds a key ({kind}); next: {step}")
    return Check("storage", True, f"datastore {datastore.name} is opened with an identity")


def _who(claims: dict[str, Any]) -> str:
    """Name who is signed in, as the token has it."""
    names = ("upn", "preferred_username", "app_displayname", "appid")
    name = next((claims[key] for key in names if key in claims), "?")
    return f"{name}, object {claims.get('oid', '?')}, tenant {claims.get('tid', '?')}"


def _claims(token: str) -> dict[str, Any]:
    """Read what a token says of its owner; whether it is true is for Azure to check."""
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found
