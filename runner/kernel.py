"""The kernel that cells run in: this very interpreter, reached over sockets in a short temporary folder.

It ends when the runner ends, however that ends; it tells its stack on request; and no message of it is dropped.
"""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

_SOCKET_PATH = 80  # characters; a longer path of a socket is refused by the system
_PREFIX = "trey-kernel-"
_LOCK = "lock"
_MOMENT = 60  # seconds in which a folder that nobody holds may still be in the making
_LAUNCH = """
import sys
# A file beside the notebook hides no module from the kernel itself; IPython adds the folder again.
sys.path[:] = [place for place in sys.path if place]
import ctypes, os
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: what a killed runner leaves behind must not go on writing
    if os.getppid() != int(os.environ.get("JPY_PARENT_PID", os.getppid())):
        os._exit(1)
import faulthandler, signal
faulthandler.register(signal.SIGUSR1, file=open(sys.argv.pop(1), "w"), all_threads=True)
import zmq
from ipykernel.kernelapp import IPKernelApp
class App(IPKernelApp):
    def init_iopub(self, context):
        context.setsockopt(zmq.SNDHWM, 0)  # past 1,000 waiting messages others would be dropped, the last one too
        super().init_iopub(context)
App.launch_instance()
"""  # as ipykernel_launcher does, with a stack on request, also of a kernel that hears nothing


class OwnKernel(AsyncKernelManager):
    """A kernel of this interpreter, whatever kernelspecs are installed. It writes its stack to a file on SIGUSR1.

    Args:
        folder: For its sockets, its connection file and its stack.
    """

    def __init__(self, folder: Path, **kwargs: Any):
        super().__init__(transport="ipc", ip=str(folder / "k"), connection_file=str(folder / "kernel.json"), **kwargs)
        self.stack = folder / "stack"
        self.context.setsockopt(zmq.RCVHWM, 0)  # a burst of output waits for us; nothing of it is dropped

    @property
    def kernel_spec(self) -> KernelSpec:
        """Say how the kernel is started."""
        argv = [sys.executable, "-c", _LAUNCH, str(self.stack), "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """Give a temporary folder whose path is short enough for sockets; what killed runners left beside it is removed."""
    long = len(tempfile.gettempdir()) > _SOCKET_PATH
    place = Path("/tmp") if long else Path(tempfile.gettempdir())  # noqa: S108
    _sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove the folders of runners that are gone: nobody holds their lock, and they are no longer being made."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - folder.stat().st_mtime > _MOMENT:
                shutil.rmtree(folder, ignore_errors=True)


def last_words() -> IO[bytes]:
    """Give a file for what the kernel process itself writes; in memory where the system can, since it may be secret."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("trey-kernel"), "w+b")
    return tempfile.TemporaryFile()
