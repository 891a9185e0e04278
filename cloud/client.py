"""The client of a workspace, and a place where what it raises becomes a message that helps."""

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional

from cloud.errors import NotInstalled
from cloud.faults import translate
from cloud.identity import credential
from cloud.workspace import Workspace

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential


def client(workspace: Workspace, identity: Optional["TokenCredential"] = None) -> "MLClient":
    """Give the client of a workspace; nothing is asked of Azure yet.

    Args:
        workspace: Which one.
        identity: Who asks; what `credential` finds where it is None.

    Raises:
        NotInstalled: azure-ai-ml is not installed.
    """
    try:
        from azure.ai.ml import MLClient
    except ModuleNotFoundError as error:
        raise NotInstalled(error.name) from None
    logging.getLogger("azure.ai.ml").setLevel(logging.ERROR)  # it warns of classes that are experimental
    return MLClient(
        identity or credential(),
        workspace.subscription,
        workspace.group,
        workspace.name,
        enable_telemetry=False,  # or it reports each call to Microsoft
        show_progress=True,  # without, azure-ai-ml 1.35 drops what goes wrong in an upload, and waits for it forever
    )


@contextlib.contextmanager
def answering(workspace: Workspace, doing: str) -> Iterator[None]:
    """Turn what the SDK raises inside the block into a CloudError.

    Args:
        workspace: Which workspace is spoken to.
        doing: What is attempted, as it follows "cannot": "submit the job".

    Raises:
        CloudError: Azure did not do what was asked; other exceptions pass.
    """
    try:
        yield
    except Exception as error:
        found = translate(error, workspace, doing)
        if found is None:
            raise
        raise found from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the SDK's bars for uploads, which it draws on standard error, off the screen."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
