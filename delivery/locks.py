"""Exclusion between processes of one machine: a lock on a file, which the system frees when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.05  # seconds between two tries


class Busy(Exception):
    """Another process holds the lock; `holder` is the process id it left there."""

    def __init__(self, path: Path, holder: str):
        self.holder = holder
        super().__init__(f"{path} is held by process {holder}")


def acquire(path: Path, wait: float) -> int:
    """Lock a file, which is created with its folder, and give the descriptor that holds the lock.

    Args:
        path: The file.
        wait: Seconds to wait for another holder.

    Raises:
        Busy: Another holder kept it longer than that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise Busy(path, holder or "unknown") from None
            time.sleep(PAUSE)
        else:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def release(descriptor: int) -> None:
    """Free what `acquire` gave."""
    os.close(descriptor)


@contextmanager
def held(path: Path, wait: float) -> Iterator[None]:
    """Hold a file's lock for the length of a block; see `acquire`."""
    descriptor = acquire(path, wait)
    try:
        yield
    finally:
        release(descriptor)
