"""Who approved a stage, as Azure DevOps tells it."""

import base64
from typing import Any

import pytest

from delivery.azure_devops import Approval, Stage, approvals, requester
from delivery.errors import ApprovalUnknown

from ..house import devops

BEA, CARL = ("bea@example.org", "approved", "read the report"), ("carl@example.org", "approved", "")
VARIABLES = {
    "SYSTEM_COLLECTIONURI": "https://dev.example.org/org/",
    "SYSTEM_TEAMPROJECTID": "parts",
    "BUILD_BUILDID": str(devops.BUILD),
    "SYSTEM_STAGENAME": "production",
    "SYSTEM_ACCESSTOKEN": "the-token",
}


def asked(address: str, stage: str = "production") -> list[Approval]:
    return approvals(Stage.here(VARIABLES | {"SYSTEM_COLLECTIONURI": address, "SYSTEM_STAGENAME": stage}))


def test_everybody_who_approved_is_named_with_the_comment() -> None:
    with devops.serving(devops.approval(BEA, CARL, ("dan@example.org", "pending", ""))) as (address, arrived):
        assert asked(address) == [Approval("bea@example.org", "read the report"), Approval("carl@example.org", "")]
    basic = base64.b64encode(b":the-token").decode()
    assert arrived == [f"Basic {basic}"] * 2


def test_who_requested_the_build_is_named_as_they_sign_in() -> None:
    with devops.serving(devops.approval(BEA), requester="ada-01@example.onmicrosoft.com") as (address, _):
        stage = Stage.here(VARIABLES | {"SYSTEM_COLLECTIONURI": address})
        assert requester(stage) == "ada-01@example.onmicrosoft.com"
    with devops.serving(devops.approval(BEA), requester="") as (address, _):
        stage = Stage.here(VARIABLES | {"SYSTEM_COLLECTIONURI": address})
        with pytest.raises(ApprovalUnknown, match="does not tell who requested build 7"):
            requester(stage)


@pytest.mark.parametrize(
    ("given", "stage", "says"),
    [
        (devops.approval(BEA), "staging", "stage staging of build 7 asks nobody for an approval"),
        (devops.approval(BEA), "other", "stage other of build 7 asks nobody"),
        (devops.approval(BEA, status="skipped"), "production", "approval a2 is 'skipped', not 'approved'"),
        (devops.approval(), "production", "approval a2 names nobody who gave it"),
        ({}, "production", "Azure DevOps does not tell who approved: HTTPStatusError"),
    ],
)
def test_an_approval_that_nobody_gave_is_none(given: dict[str, Any], stage: str, says: str) -> None:
    with devops.serving(given) as (address, _), pytest.raises(ApprovalUnknown, match=says):
        asked(address, stage)


def test_outside_of_a_job_nobody_is_asked() -> None:
    with pytest.raises(ApprovalUnknown, match=r"not set: SYSTEM_STAGENAME, SYSTEM_ACCESSTOKEN\. The agent"):
        Stage.here({name: VARIABLES[name] for name in list(VARIABLES)[:3]})


def test_the_token_does_not_cross_a_network_in_clear() -> None:
    with pytest.raises(ApprovalUnknown, match="a token is sent over https only"):
        Stage.here(VARIABLES | {"SYSTEM_COLLECTIONURI": "http://dev.example.org/"})


def test_the_token_is_not_shown() -> None:
    assert "the-token" not in repr(Stage.here(VARIABLES))
