"""Notifications to systemd from a service of `Type=notify`; a no-op without systemd.

The protocol is plain text to a datagram socket (sd_notify(3)), so no package is needed.
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

from sst_cloud.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

_SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
_WATCHDOG_VARIABLE: Final = "WATCHDOG_USEC"
_PID_VARIABLE: Final = "WATCHDOG_PID"
_MICRO: Final = 1e-6


class Notifier:
    """Reports the service's status to systemd. A no-op without its socket in the environment."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        """`address` is the socket's path, with a leading `@` if abstract; `watchdog` in seconds."""
        self._address = address
        self._watchdog = watchdog

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Notifier":
        """From systemd's variables: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID."""
        environ = os.environ if environ is None else environ
        interval = environ.get(_WATCHDOG_VARIABLE, "")
        is_for_us = environ.get(_PID_VARIABLE, str(os.getpid())) == str(os.getpid())
        return cls(
            environ.get(_SOCKET_VARIABLE) or None,
            int(interval) * _MICRO
            if interval.isdecimal() and int(interval) and is_for_us
            else None,
        )

    def ready(self) -> None:
        """Startup is complete; the first poll starts."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        """The service is shutting down."""
        self._send("STOPPING=1")

    async def keep_alive(
        self, is_alive: Callable[[], bool] = lambda: True, clock: Clock | None = None
    ) -> None:
        """Ping twice per watchdog interval while the service is alive, until cancelled.

        Returns immediately if no watchdog is set: run it as a background task.
        """
        clock = clock or SystemClock()
        if self._address is None or self._watchdog is None:
            return
        while True:
            if is_alive():
                self._send("WATCHDOG=1")
            await clock.sleep(self._watchdog / 2)

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode("utf-8", "replace"), address)
        except OSError as error:  # the service can do without
            _log.debug("cannot send %s to systemd: %s", message.partition("=")[0], error)
