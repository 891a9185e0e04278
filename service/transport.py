"""HTTP/1.1 of the service: uvicorn's protocol over httptools, with limits on a request's head and problem documents."""

import asyncio
import uuid
from asyncio.events import TimerHandle

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service import problems
from service.correlation import HEADER
from service.problems import Problem

HEAD = 65_536  # bytes of a request's head
HEAD_SECONDS = 10.0  # time that a head may take to arrive, from its connection or from its first byte


class Protocol(HttpToolsProtocol):
    """A connection."""

    _head_timer: TimerHandle | None = None
    _head_size = 0
    _in_head = True
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head grows too long."""
        if self._refused:
            return
        if self._in_head:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > HEAD and not self._refused:
            self._too_long()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a head."""
        self._stop_timer()
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._head_size = 0
        if size > HEAD:
            self._too_long()
        elif not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, unless its head was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; what follows on the connection is the next one's head."""
        self._in_head = True
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(Problem(400, "no-http", "this is no HTTP/1.1 request"))

    def _too_long(self) -> None:
        self._refuse(Problem(431, "head-too-large", f"the request's head is longer than the {HEAD:,} bytes allowed"))

    def _too_slow(self) -> None:
        """Refuse a head that does not arrive; say nothing where nothing of it did."""
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._head_size:
            detail = f"the request's head did not arrive within {HEAD_SECONDS:g} seconds"
            self._refuse(Problem(408, "too-slow", detail))
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, problem: Problem) -> None:
        """Answer before there is a request that the application could answer, and end the connection."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._stop_timer()
        identity = str(uuid.uuid4())
        body = problems.document(problem, identity)
        head = (
            f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"{HEADER}: {identity}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
        self.transport.close()
