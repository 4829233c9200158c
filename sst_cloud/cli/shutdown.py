"""Shutdown of a long-running program."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import click

_EXIT_TIMEOUT: Final = 4.5
"""Seconds until a forced exit, even if a store hangs, or another process locks the outbox."""


class ForcedExit:
    """Forces the program to exit if it has not done so a few seconds after it should.

    A thread that waits for a store can be neither cancelled nor abandoned.
    """

    def __init__(self) -> None:
        self.status = 0
        """The exit status to use."""
        self.message = ""
        """The message to print to stderr."""
        self.get_loss: Callable[[], Exception | None] = lambda: None
        """Returns the error to report if an exit now loses readings."""
        self._timer = threading.Timer(_EXIT_TIMEOUT, self._exit)
        self._timer.daemon = True

    def start(self, error: Exception | None = None) -> None:
        """Start the countdown; after an error, to an exit that reports it."""
        if error is not None:
            self.status, self.message = 1, f"Error: {error}"
        with suppress(RuntimeError):  # already started
            self._timer.start()

    def cancel(self) -> None:
        """Cancel: the program is exiting by itself."""
        self._timer.cancel()

    def _exit(self) -> None:
        loss = self.get_loss()
        if loss is not None:
            self.status = 1
        with suppress(OSError, ValueError):
            messages = dict.fromkeys((self.message, f"Error: {loss}" if loss else ""))
            click.echo("\n".join(filter(None, messages)), err=True, nl=any(messages))
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.status)


@contextmanager
def handle_signals(stop: Callable[[], None], retry_now: Callable[[], None]) -> Iterator[None]:
    """Stop on SIGTERM, SIGINT and when the terminal closes; retry everything on SIGHUP."""
    loop = asyncio.get_running_loop()
    terminal = next(filter(os.isatty, (0, 1, 2)), None)

    def on_hangup() -> None:
        closed = terminal is not None and not os.isatty(terminal)
        (stop if closed else retry_now)()

    signals = []
    for name, action in (("SIGTERM", stop), ("SIGINT", stop), ("SIGHUP", on_hangup)):
        # Signals work only in the main thread; Windows has few, and its event loop handles none.
        with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
            number = getattr(signal, name)
            loop.add_signal_handler(number, action)
            signals.append(number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
