"""Keeps a process on this machine: a name outside loopback is not looked up, an address outside it not connected to.

`install` works in this process; children do the same through `site/sitecustomize.py`, which Python imports at its start
where PYTHONPATH names that folder. What was attempted is written down, since whoever attempts may swallow the error.
"""

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

LOG = "TREY_TEST_NETWORK_LOG"  # the file in which attempts are noted; without it, nothing is guarded
ALONE = "TREY_TEST_ALONE"  # set: this project, which is installed to be worked on, is not found from elsewhere
SITE = Path(__file__).parent / "site"
_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
_ALSO = {"", "0.0.0.0", "::", "localhost", socket.gethostname()}  # noqa: S104  # to listen at, and this machine's name
_installed: list[bool] = []


def install() -> None:
    """Guard this process from now on, where `LOG` is set; names below .localhost lead to loopback."""
    if _installed:
        return
    _installed.append(True)
    if os.environ.get(ALONE):
        _forget_the_project()
    lookup = socket.getaddrinfo

    def local(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return lookup("127.0.0.1" if isinstance(name, str) and name.endswith(".localhost") else host, *rest, **more)

    socket.getaddrinfo = local
    sys.addaudithook(_audit)


def _forget_the_project() -> None:
    """Let nothing of this repository be imported but from the folder at hand."""
    root = Path(__file__).resolve().parents[2]
    sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != root]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if "__editable__" not in getattr(hook, "__module__", "")]


def attempts() -> list[str]:
    """Give what was attempted by all processes that note it in this file."""
    path = Path(os.environ[LOG])
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS or LOG not in os.environ:
        return
    host = _host(event, arguments)
    if host is None or _is_here(host):
        return
    with Path(os.environ[LOG]).open("a", encoding="utf-8") as file:
        file.write(f"{event} {host} by {' '.join(sys.argv)[:200]}\n")
    raise PermissionError(f"the test keeps this process on this machine: {event} {host}")


def _host(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Give whom an event is about; None for what stays on this machine by its kind, such as a Unix socket."""
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0]
    else:
        address = arguments[1]
        if arguments[0].family not in {socket.AF_INET, socket.AF_INET6} or not address:
            return None
        host = address[0]
    return host.decode() if isinstance(host, bytes) else host


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback or host in _ALSO
    except ValueError:
        return host in _ALSO or host.endswith(".localhost")
