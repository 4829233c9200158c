"""Connections to a mail server, with limits that smtplib lacks."""

import smtplib
import socket
import ssl
from time import monotonic
from typing import Final

_TIMEOUT: Final = 60.0
"""Seconds for a whole reply; smtplib limits only the time for each part of it."""
_MAX_REPLY: Final = 64 * 1024
"""In bytes; smtplib has no limit."""
_CHUNK: Final = 4096


class _Reply:
    """A reply as a file, which smtplib reads line by line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._size = 0
        self._deadline = 0.0

    def begin(self) -> None:
        """Start with a new reply."""
        self._size = 0
        self._deadline = monotonic() + _TIMEOUT

    def readline(self, limit: int) -> bytes:
        """The next line; empty at the end. Raises OSError."""
        while b"\n" not in self._buffer and len(self._buffer) < limit:
            self._connection.settimeout(max(self._deadline - monotonic(), 0.001))
            chunk = self._connection.recv(_CHUNK)
            self._buffer += chunk
            self._size += len(chunk)
            if self._size > _MAX_REPLY:
                raise OSError(f"a reply of more than {_MAX_REPLY >> 10} kB")
            if not chunk:
                break
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def close(self) -> None:
        """Nothing to close: the connection is smtplib's own."""


class _Bounded(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            assert self.sock is not None  # noqa: S101  connected
            self.file = _Reply(self.sock)
        self.file.begin()
        return super().getreply()


class _BoundedTLS(_Bounded, smtplib.SMTP_SSL):
    pass


def connect(host: str, port: int, *, tls: bool, context: ssl.SSLContext) -> smtplib.SMTP:
    """Connect, with TLS from the start or without; raises what smtplib raises."""
    if tls:
        return _BoundedTLS(host, port, timeout=_TIMEOUT, context=context)
    return _Bounded(host, port, timeout=_TIMEOUT)
