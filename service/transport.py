"""HTTP/1.1 of the service: uvicorn's protocol over httptools, with limits on a request's head and problem documents.

A request that arrives whole, as nearly every one does, is offered to the application's `take` before there is a task
for it. What `take` declines, and what arrives in parts, goes on as uvicorn has it.
"""

import asyncio
import re
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service import problems
from service.answers import Headers, Take
from service.correlation import HEADER, new_identity
from service.problems import Problem

HEAD = 65_536  # bytes of a request's head
HEAD_SECONDS = 10.0  # time that a head may take to arrive, from its connection or from its first byte
_PLAIN = re.compile(rb"/[A-Za-z0-9/._-]*")  # a path that stands for itself, without a query


class Exchange:
    """A request that was offered to the application as a whole, where uvicorn has its cycle of request and response.

    Args:
        connection: Where the answer goes.
    """

    __slots__ = ("_connection", "disconnected", "keep_alive", "response_complete")

    def __init__(self, connection: "Protocol"):
        self._connection = connection
        self.response_complete = self.disconnected = False
        self.keep_alive = True  # uvicorn takes it back where the service is about to end

    @property
    def message_event(self) -> "Exchange":
        """Give what uvicorn tells that the connection is lost; nobody waits for it."""
        return self

    def set(self) -> None:
        """Do nothing."""

    def write(self, status: int, headers: Headers, body: bytes) -> None:
        """Send the answer, in one piece; there is none where the client is gone."""
        self.response_complete = True
        if not self.disconnected and not self._connection.transport.is_closing():
            self._connection.write_answer(status, headers, body, keep_alive=self.keep_alive)


class Protocol(HttpToolsProtocol):
    """A connection."""

    _head_timer: TimerHandle | None = None
    _head_size = 0  # bytes that arrived while a head had not ended
    _size = 0  # bytes that arrived last
    _in_head = True
    _refused = False
    _held: list[bytes] | None = None  # the body of a request that may yet arrive whole

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._take: Take | None = getattr(self.config.app, "take", None)

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
        self._size = len(data)
        if self._in_head:
            self._head_size += self._size
        super().data_received(data)
        if self._refused:
            return
        if self._held is not None:
            self._hand_over()
        if self._in_head and self._head_size:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)
            if self._head_size > HEAD:
                self._too_long()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a head."""
        self._stop_timer()
        self._in_head = False
        arrived, self._head_size = max(self._head_size, self._size), 0
        if arrived > HEAD and self._length_of_head() > HEAD:
            self._too_long()
        elif not self._refused:
            if self._may_be_taken():
                self._held = []
            else:
                super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, unless its head was refused."""
        if self._held is not None:
            self._held.append(body)
        elif not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; what follows on the connection is the next one's head."""
        self._in_head = True
        if self._refused or (self._held is not None and self._is_taken()):
            return
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(Problem(400, "no-http", "this is no HTTP/1.1 request"))

    def write_answer(self, status: int, headers: Headers, body: bytes, *, keep_alive: bool) -> None:
        """Send an answer and go on with what comes next on this connection, if it is not to end."""
        closes = any(name == b"connection" for name, _ in headers)  # none says anything else of it than close
        if not keep_alive and not closes:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % pair for pair in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        if closes or not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _length_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _may_be_taken(self) -> bool:
        """Tell whether a request is a plain one, with none before it on this connection that still waits."""
        parser = self.parser
        return (
            self._take is not None
            and parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
            and _PLAIN.fullmatch(self.url) is not None
        )

    def _is_taken(self) -> bool:
        """Offer a request that has arrived whole; where it is declined, let it go on as any other."""
        assert self._take and self._held is not None  # noqa: S101 - asked by the caller
        scope: Any = self.scope
        scope |= {"method": "POST", "path": self.url.decode(), "raw_path": self.url, "query_string": b""}
        body = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        before, exchange = self.cycle, Exchange(self)
        self.cycle = exchange  # type: ignore[assignment]
        if self._take(scope, body, exchange.write):
            self._held = None
            return True
        self.cycle = before
        self._hand_over()
        return False

    def _hand_over(self) -> None:
        """Let a request, whole or not, go on as any other."""
        held, self._held = self._held, None
        super().on_headers_complete()
        for part in held or ():
            super().on_body(part)

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
        identity = new_identity()
        body = problems.document(problem, identity)
        head = (
            f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"{HEADER}: {identity}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
        self.transport.close()
