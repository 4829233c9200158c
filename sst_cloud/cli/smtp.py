"""Connections to a mail server, with bounds that smtplib lacks."""

import smtplib
import socket
import ssl
from time import monotonic
from typing import Final

_LIMIT: Final = 60.0
"""Seconds for a whole reply; smtplib has a limit for each piece of it only."""
_LONGEST: Final = 64 * 1024
"""Bytes of a reply; smtplib collects its lines for ever."""
_PIECE: Final = 4096


class _Reply:
    """A reply, read line by line, as smtplib reads a file."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        self._size = 0
        self._until = 0.0

    def begin(self) -> None:
        """From here on, a new one."""
        self._size = 0
        self._until = monotonic() + _LIMIT

    def readline(self, longest: int) -> bytes:
        """The next line; empty at the end. Raises OSError."""
        while b"\n" not in self._rest and len(self._rest) < longest:
            self._connection.settimeout(max(self._until - monotonic(), 0.001))
            piece = self._connection.recv(_PIECE)
            self._rest += piece
            self._size += len(piece)
            if self._size > _LONGEST:
                raise OSError(f"a reply of more than {_LONGEST >> 10} kB")
            if not piece:
                break
        line, end, self._rest = self._rest.partition(b"\n")
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
        return _BoundedTLS(host, port, timeout=_LIMIT, context=context)
    return _Bounded(host, port, timeout=_LIMIT)
