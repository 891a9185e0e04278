"""What Azure's errors mean, in few words and with the next command to type.

The SDK raises errors of azure-core for what Resource Manager answers, its own for what it finds wrong before it asks,
and wraps either at times. They are told apart by status and code, which are stable, not by their long texts.
"""

import re
from typing import Any

from cloud.errors import CloudError, Forbidden, NoIdentity, NotFound, Refused, Unavailable
from cloud.workspace import Workspace

SIGN_IN = "az login, then the same command again"
_AGAIN = "the same command again, in a minute"
_UNAVAILABLE = {408, 429, 500, 502, 503, 504}
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_ACTION = re.compile(r"perform action '([^']+)'")
_SCOPE = re.compile(r"over scope '([^']+)'")
_LONGEST = 300  # characters of what Azure says
# The narrowest built-in role that allows an action, first match counts.
# https://learn.microsoft.com/azure/machine-learning/how-to-assign-roles
_ROLES = (
    (r"Microsoft\.MachineLearningServices/workspaces/(write|delete)$", "Contributor"),
    (r"Microsoft\.MachineLearningServices/workspaces/computes/(write|delete)$", "AzureML Compute Operator"),
    (r"Microsoft\.MachineLearningServices/.*read$", "AzureML Data Scientist"),
    (r"Microsoft\.MachineLearningServices/", "AzureML Data Scientist"),
    (r"Microsoft\.Storage/.*/read$", "Storage Blob Data Reader"),
    (r"Microsoft\.Storage/", "Storage Blob Data Contributor"),
    (r"Microsoft\.Authorization/", "User Access Administrator"),
)


def translate(error: BaseException, workspace: Workspace, doing: str) -> CloudError | None:
    """Say what an error means; None where it is not Azure's.

    Args:
        error: What was raised.
        workspace: Which workspace was spoken to.
        doing: What was attempted, as it follows "cannot".
    """
    if isinstance(error, CloudError):
        return error
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    found = _cause(error, HttpResponseError) or error
    if isinstance(found, HttpResponseError) and found.status_code:
        return _answered(found, workspace, doing)
    if isinstance(found, ClientAuthenticationError):
        return NoIdentity(f"cannot {doing}: nobody is signed in to Azure: {_first_line(found)}", next_step=SIGN_IN)
    if isinstance(found, AzureError):
        return Unavailable(f"cannot {doing}: {workspace} does not answer: {_first_line(found)}", next_step=_AGAIN)
    if isinstance(found, MlException):
        return Refused(f"cannot {doing}: {_first_line(found)}", next_step="mend what is named, then the same command")
    return None


def _answered(error: Any, workspace: Workspace, doing: str) -> CloudError:
    """Say what an answer of Resource Manager or of storage means."""
    status, code, said = error.status_code, _code(error), _said(error)
    if status == _UNAUTHORIZED:
        return NoIdentity(f"cannot {doing}: the token was not accepted ({code}): {said}", next_step=SIGN_IN)
    if status == _FORBIDDEN:
        return _forbidden(workspace, doing, code, said)
    if status == _NOT_FOUND:
        return _not_found(workspace, doing, code, said)
    if status in _UNAVAILABLE:
        return Unavailable(f"cannot {doing}: {workspace} answers {status} ({code}): {said}", next_step=_AGAIN)
    return Refused(f"cannot {doing}: {workspace} answers {status} ({code}): {said}", next_step="trey azure doctor")


def _forbidden(workspace: Workspace, doing: str, code: str, said: str) -> Forbidden:
    action, scope = _ACTION.search(said), _SCOPE.search(said)
    if not action:
        if code in {"AuthorizationPermissionMismatch", "AuthorizationFailure"}:  # storage names no action
            step = "az role assignment create --role 'Storage Blob Data Contributor' --assignee WHO --scope STORAGE"
            return Forbidden(f"cannot {doing}: the storage of {workspace} refuses it ({code})", next_step=step)
        return Forbidden(f"cannot {doing}: {workspace} refuses it ({code}): {said}", next_step="trey azure doctor")
    role = next(role for pattern, role in (*_ROLES, (".*", "Contributor")) if re.match(pattern, action[1]))
    where = scope[1] if scope else workspace.resource_id
    return Forbidden(
        f"cannot {doing}: who is signed in may not {action[1]}; the role {role} on {workspace} allows it",
        next_step=f"az role assignment create --role '{role}' --assignee WHO --scope {where}",
    )


def _not_found(workspace: Workspace, doing: str, code: str, said: str) -> NotFound:
    lacking = {
        "SubscriptionNotFound": f"subscription {workspace.subscription} does not exist, or belongs to another tenant",
        "InvalidSubscriptionId": f"subscription {workspace.subscription} does not exist",
        "ResourceGroupNotFound": f"resource group {workspace.group} does not exist",
    }
    named = (
        workspace.name.lower() in said.lower() and "workspaces/" in said and not re.search(r"workspaces/[^/']+/", said)
    )
    if code in lacking:
        return NotFound(f"cannot {doing}: {lacking[code]}", next_step="az account show")
    if named:
        step = f"az ml workspace list --resource-group {workspace.group}"
        return NotFound(f"cannot {doing}: there is no {workspace}", next_step=step)
    return NotFound(f"cannot {doing}: {said} ({code})", next_step="trey azure doctor")


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Give the first error of this kind among an error and what led to it."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, kind):
            return at
        seen.add(id(at))
        at = getattr(at, "inner_exception", None) or at.__cause__ or at.__context__
    return None


def _code(error: Any) -> str:
    """Give the code of an answer: Resource Manager's, or that of blob storage."""
    inner = getattr(error, "error", None)
    code = getattr(inner, "code", None) or getattr(error, "error_code", None) or error.reason
    return str(getattr(code, "value", code) or "no code")


def _said(error: Any) -> str:
    inner = getattr(error, "error", None)
    return _shortened(str(getattr(inner, "message", None) or _first_line(error)))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _shortened(lines[0] if lines else type(error).__name__)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
