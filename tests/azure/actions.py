"""Tells which actions of Azure's roles the requests to Resource Manager ask for, by their verbs and paths."""

import re
from collections.abc import Iterable

from provisioning.needs import NEEDS

from .server import Asked

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_OF_MANAGER = re.compile(r"/subscriptions/.+/providers/(Microsoft\.MachineLearningServices)/(.+)$")
_UPLOAD = "startPendingUpload"  # asks where a version may be written: Microsoft lists no action for it


def asked_for(requests: Iterable[Asked]) -> set[str]:
    """Give the actions on a workspace and what is in it.

    A path alternates between kinds and names; what a POST asks for is its last word. What is asked of the services
    behind a workspace, such as the history of its runs, has other addresses and is left out.
    """
    found = set()
    for one in requests:
        if not (match := _OF_MANAGER.match(one.path.partition("?")[0])):
            continue
        kinds = match[2].strip("/").split("/")[::2]
        if kinds[-1] == _UPLOAD:
            kinds[-1] = "write"
        else:
            kinds.append(_VERBS.get(one.method, "action"))
        found.add("/".join([match[1], *kinds]))
    return found


def unlisted(requests: Iterable[Asked], *tasks: str) -> list[str]:
    """Give the actions that were asked for and that no task of these has, as `trey azure doctor --actions` lists them.

    Args:
        requests: What Azure was asked.
        tasks: The first words of the tasks that asked.
    """
    listed = {action for need in NEEDS if need.task.partition(":")[0] in tasks for action in need.actions}
    return sorted(asked_for(requests) - listed)
