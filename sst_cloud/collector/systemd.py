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

_SOCKET: Final = "NOTIFY_SOCKET"
_LIMIT: Final = "WATCHDOG_USEC"
_FOR: Final = "WATCHDOG_PID"
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
        limit = environ.get(_LIMIT, "")
        ours = environ.get(_FOR, str(os.getpid())) == str(os.getpid())
        return cls(
            environ.get(_SOCKET) or None,
            int(limit) * _MICRO if limit.isdecimal() and int(limit) and ours else None,
        )

    def ready(self) -> None:
        """Startup is complete; the first poll starts."""
        self._tell("READY=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={' '.join(words.split())}")

    def stopping(self) -> None:
        """The service is shutting down."""
        self._tell("STOPPING=1")

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
                self._tell("WATCHDOG=1")
            await clock.sleep(self._watchdog / 2)

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode("utf-8", "replace"), address)
        except OSError as error:  # the service matters, not its supervisor
            _log.debug("cannot send %s to systemd: %s", message.partition("=")[0], error)
