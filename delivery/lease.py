"""Exclusion between machines: a lease on a blob, which Azure ends by itself a while after its holder is gone."""

import os
import socket
import threading
import time

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobClient, BlobLeaseClient

from delivery.errors import EndpointBusy

SECONDS = 30  # that a lease holds without being renewed; Azure allows 15 to 60
RENEWED = 8.0  # seconds between two renewals: several fail before the lease is lost
PAUSE = 1.0  # seconds between two tries to get it
CONFLICT, UNMET = 409, 412
HOLDER = "holder"  # metadata: who has the lease


class Leased:
    """A claim by a lease; a thread renews it until it is released or the process dies.

    Args:
        lease: The lease, acquired.
        where: What is claimed, for messages.
    """

    def __init__(self, lease: BlobLeaseClient, where: str):
        self._lease = lease
        self._where = where
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Renew the lease, so that it holds for what follows.

        Raises:
            EndpointBusy: It was lost: this process was out of reach for too long, or somebody broke the lease.
        """
        try:
            self._lease.renew()
        except AzureError as error:
            raise EndpointBusy(
                f"this deployment lost its claim of {self._where}: {_first_line(error)}\n"
                "What is live stays live; see what is under way, then: trey run --from deploy"
            ) from error

    def release(self) -> None:
        """End the lease; where Azure is out of reach, it ends by itself."""
        self._ended.set()
        self._thread.join()
        try:
            self._lease.release()
        except AzureError:
            return

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED):
            try:
                self._lease.renew()
            except AzureError:  # `check` tells of it before anything is changed
                continue


def acquire(blob: BlobClient, wait: float, where: str) -> Leased:
    """Lease a blob, which is created where it is not there.

    Args:
        blob: The blob.
        wait: Seconds to wait for another holder.
        where: What is claimed, for messages.

    Raises:
        EndpointBusy: Another holder kept it longer than that.
        AzureError: Storage does not do as it should.
    """
    deadline = time.monotonic() + wait
    _create(blob)
    lease = BlobLeaseClient(blob)
    while not _is_acquired(lease):
        if time.monotonic() >= deadline:
            holder = (blob.get_blob_properties().metadata or {}).get(HOLDER, "somebody else")
            raise EndpointBusy(
                f"{holder} is deploying to {where}; {wait:g} seconds passed. Wait until it ends (a deployment that "
                f"died is over after {SECONDS} seconds), and try again"
            )
        time.sleep(min(PAUSE, max(deadline - time.monotonic(), 0.05)))
    leased = Leased(lease, where)
    try:
        blob.set_blob_metadata({HOLDER: f"process {os.getpid()} of {socket.gethostname()}"}, lease=lease)
    except BaseException:
        leased.release()  # nobody waits for what was never begun
        raise
    return leased


def _is_acquired(lease: BlobLeaseClient) -> bool:
    """Try to get a lease, and tell whether nobody else has it."""
    try:
        lease.acquire(lease_duration=SECONDS)
    except HttpResponseError as error:
        if error.status_code != CONFLICT:
            raise
        return False
    return True


def _create(blob: BlobClient) -> None:
    try:
        blob.upload_blob(b"", overwrite=False)
    except ResourceExistsError:
        return
    except HttpResponseError as error:
        if error.status_code != UNMET:  # somebody has leased it
            raise


def _first_line(error: AzureError) -> str:
    return str(error).strip().partition("\n")[0][:200]
