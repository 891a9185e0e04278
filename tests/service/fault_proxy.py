"""A proxy on loopback that does to connections what networks do: delays, resets, and answers cut short.

It passes bytes on and knows no protocol, so that TLS and HTTP go through it. Faults are switched while it runs.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

PASS, RESET, CUT_REQUEST, CUT_ANSWER, REFUSE = "pass", "reset", "cut request", "cut answer", "refuse"
FAULTS = (RESET, CUT_REQUEST, CUT_ANSWER, REFUSE)
CUT = 700  # bytes that arrive of what is cut short: a handshake in part, or a request
BLOCK = 65_536
_LINGER = struct.pack("ii", 1, 0)  # close with a reset


@dataclass
class FaultProxy:
    """A proxy before a port on loopback.

    Attributes:
        fault: What happens to connections, those that are open included.
        latency: Seconds that each piece waits in either direction.
        connections: How many were opened.
    """

    target: int
    fault: str = PASS
    latency: float = 0.0
    connections: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: set[socket.socket] = field(default_factory=set)

    @property
    def port(self) -> int:
        """Give the port that clients connect to."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Take connections, until `stop`."""
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Close everything."""
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Reset the connections that are open, as a restart of the other side does."""
        for connection in list(self._open):
            _reset(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.fault == REFUSE:
            _reset(client)
            return
        server = socket.create_connection(("127.0.0.1", self.target))
        self._open |= {client, server}
        back = threading.Thread(target=self._pass_on, args=(server, client, CUT_ANSWER), daemon=True)
        back.start()
        self._pass_on(client, server, CUT_REQUEST)
        back.join()
        self._open -= {client, server}

    def _pass_on(self, source: socket.socket, target: socket.socket, cut: str) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(BLOCK):
                time.sleep(self.latency)
                if self.fault in (RESET, REFUSE):
                    break
                if self.fault == cut:
                    target.sendall(content[: min(CUT, len(content) // 2)])
                    break
                target.sendall(content)
            else:
                target.shutdown(socket.SHUT_WR)
                return
        _reset(source)
        _reset(target)


@contextlib.contextmanager
def before(target: int) -> Iterator[FaultProxy]:
    """Give a running proxy before a port on loopback."""
    proxy = FaultProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
