"""The address of an Azure ML workspace: azureml://subscriptions/ID/resourceGroups/GROUP/workspaces/NAME.

`azureml://workspace` is short for the one that TREY_AZURE_WORKSPACE names, or its parts do.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cloud.errors import BadWorkspace

SCHEME = "azureml://"
VARIABLE = "TREY_AZURE_WORKSPACE"
NAMED = f"{SCHEME}workspace"  # whichever workspace the environment names: one params file for all of them
PARTS = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ML_WORKSPACE")  # the same, in parts
EXAMPLE = f"{SCHEME}subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/GROUP/workspaces/NAME"
_STEP = f"give --workspace or set {VARIABLE}, such as {EXAMPLE}"
# Resource Manager writes the names of its parts in any case. What follows a workspace is another's to read.
_ADDRESS = re.compile(
    r"azureml://subscriptions/(?P<subscription>[^/]+)/resource[gG]roups/(?P<group>[^/]+)"
    r"(?:/providers/Microsoft\.MachineLearningServices)?/workspaces/(?P<name>[^/]+)(?P<rest>/.*)?"
)
_SUBSCRIPTION = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}")


@dataclass(frozen=True)
class Workspace:
    """An Azure ML workspace, named but not asked for."""

    subscription: str
    group: str
    name: str

    @property
    def address(self) -> str:
        """Its address, as parameters and options hold it."""
        return f"{SCHEME}subscriptions/{self.subscription}/resourceGroups/{self.group}/workspaces/{self.name}"

    @property
    def resource_id(self) -> str:
        """Its id in Azure Resource Manager."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"

    @property
    def az(self) -> str:
        """The options by which `az ml` finds it."""
        return f"--resource-group {self.group} --workspace-name {self.name}"

    def __str__(self) -> str:
        """Name it as people do."""
        return f"workspace {self.name} in resource group {self.group}"


def is_workspace(text: str) -> bool:
    """Tell whether a text is the address of a workspace, or of something in one."""
    return text == NAMED or bool(_ADDRESS.fullmatch(text))


def parse(address: str) -> Workspace:
    """Read the address of a workspace; of `azureml://workspace`, the environment says which that is.

    Raises:
        BadWorkspace: It is none, every part that is wrong is named; or the environment names none.
    """
    if address == NAMED:
        return find()
    found = _ADDRESS.fullmatch(address)
    if not found or found["rest"] not in (None, "/"):
        raise BadWorkspace(f"{address!r} is no address of a workspace", next_step=_STEP)
    return _checked(found["subscription"], found["group"], found["name"])


def find(given: str | None = None, environment: Mapping[str, str] | None = None) -> Workspace:
    """Give the workspace that was asked for, or else the one that the environment names.

    Args:
        given: Its address; None or empty for the environment's.
        environment: The variables to look at; this process's where it is None.

    Raises:
        BadWorkspace: None is named, or not in a form that can be one.
    """
    variables = os.environ if environment is None else environment
    named = next((text for text in (given, variables.get(VARIABLE)) if text and text != NAMED), None)
    if named:
        return parse(named)
    parts = {name: variables.get(name, "") for name in PARTS}
    if all(parts.values()):
        return _checked(*(parts[name] for name in PARTS))
    missing = [name for name, value in parts.items() if not value]
    raise BadWorkspace(
        f"no workspace is named: neither {VARIABLE} is set nor all of {', '.join(PARTS)} (missing: "
        f"{', '.join(missing)})",
        next_step=_STEP,
    )


def _checked(subscription: str, group: str, name: str) -> Workspace:
    faults = []
    if not _SUBSCRIPTION.fullmatch(subscription):
        faults.append(f"subscription {subscription!r} is no id of 32 hexadecimal digits in five groups")
    if not _GROUP.fullmatch(group):
        faults.append(
            f"resource group {group!r} is not 1 to 90 letters, digits and ()._-, without a full stop at its end"
        )
    if not _NAME.fullmatch(name):
        faults.append(f"workspace {name!r} is not 3 to 33 letters, digits, hyphens and underscores")
    if faults:
        raise BadWorkspace("; ".join(faults), next_step=_STEP)
    return Workspace(subscription, group, name)
