"""HTTP as it is spoken to a service that nobody trusts: bounded in time and size, never redirected."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Kind, ProofmarkError, refuse

MAX_ANSWER_BYTES = 256 << 20
"""Most bytes of an answer that are read."""
CHUNK = 1 << 20
CODE = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    body: bytes
    location: str | None

    def refusal(self) -> ProofmarkError:
        """A service's problem (RFC 9457); what stands in it is the service's word."""
        told: Any = None
        try:
            told = json.loads(self.body)
        except (ValueError, RecursionError):
            pass  # A proxy's page, perhaps.
        problem = told if isinstance(told, dict) else {}
        code, detail = problem.get("code"), problem.get("detail")
        if not (isinstance(code, str) and CODE.fullmatch(code)):
            code = "service-refused"
        if 300 <= self.status < 400:
            detail = f"it points to {self.location}, which is not followed"
        reason = detail if isinstance(detail, str) else "it gave no reason"
        kind: Kind = "environment" if self.status >= 500 or self.status in (408, 429) else "request"
        detail = f"the service answered {self.status}: {printable(reason)}"
        return ProofmarkError(kind, code, detail, status=self.status)


def printable(text: str) -> str:
    """What a terminal shows without obeying it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:2000])


class Deadline:
    """Ends a connection that takes longer than it may, however slowly it drips."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.passed = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, connected: socket.socket) -> None:
        """Ends this one when the time is over."""
        with self._lock:
            self._socket = connected
            if self.passed:
                self._shut()

    def left(self) -> float:
        """Seconds that are left, above 0."""
        return max(self.ends - time.monotonic(), 0.001)

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended by itself.


def _watched(base: type[http.client.HTTPConnection], deadline: Deadline) -> Callable[..., Any]:
    class Watched(base):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    return Watched


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._connection = _watched(http.client.HTTPConnection, deadline)

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: Deadline, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context
        self._connection = _watched(http.client.HTTPSConnection, deadline)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._connection, req, context=self._tls)


class Http:
    """One service's address."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise refuse("parameter-invalid", f"url: {printable(url)!r} is no http or https address")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise refuse("parameter-invalid", "url: it takes no user, query or fragment")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._headers = dict(headers or {})
        self._tls = tls or ssl.create_default_context()

    def send(
        self, path: str, body: bytes | None = None, *, timeout: float | None = None
    ) -> Reply:
        """``GET``, or ``POST`` of JSON. An answer of any status is given back.

        :raises ProofmarkError: ``service-unreachable`` without a whole answer in time,
            ``answer-malformed`` for one that is too long.
        """
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        with Deadline(timeout or self.timeout) as deadline:
            opener = urllib.request.OpenerDirector()
            # Nothing else: no redirects, no files, no errors made of a status.
            opener.add_handler(urllib.request.ProxyHandler())
            opener.add_handler(_Http(deadline))
            opener.add_handler(_Https(deadline, self._tls))
            try:
                with opener.open(request, timeout=deadline.left()) as response:
                    read = self._read(response, path)
                    if deadline.passed:
                        raise TimeoutError
                    return Reply(response.status, read, response.headers.get("location"))
            except (OSError, http.client.HTTPException, ValueError) as error:
                late = deadline.passed or isinstance(error, TimeoutError)
                reason = "it took too long" if late else printable(str(error))
                detail = f"no answer from {self.url}{path}: {reason}"
                raise ProofmarkError("environment", "service-unreachable", detail) from None

    def get(self, path: str) -> bytes:
        """The body at a path.

        :raises ProofmarkError: also for an answer that is not 200.
        """
        reply = self.send(path)
        if reply.status != 200:
            raise reply.refusal()
        return reply.body

    @staticmethod
    def _read(response: http.client.HTTPResponse, path: str) -> bytes:
        parts = []
        length = 0
        while part := response.read(CHUNK):
            length += len(part)
            if length > MAX_ANSWER_BYTES:
                detail = f"the answer from {path} is longer than {MAX_ANSWER_BYTES} bytes"
                raise ProofmarkError("rejected", "answer-malformed", detail)
            parts.append(part)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(parts)
