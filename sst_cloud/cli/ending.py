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

_LEAVE_AFTER: Final = 4.5
"""Seconds until a forced exit, even if a store hangs, or another process locks the outbox."""


class Leaving:
    """Forces the program to exit if it has not done so a few seconds after it should.

    A thread that waits for a store can be neither cancelled nor abandoned.
    """

    def __init__(self) -> None:
        self.status = 0
        """The exit status to use."""
        self.words = ""
        """What to print to stderr."""
        self.loss: Callable[[], Exception | None] = lambda: None
        """What would be lost by an exit now."""
        self._timer = threading.Timer(_LEAVE_AFTER, self._leave)
        self._timer.daemon = True

    def begin(self, error: Exception | None = None) -> None:
        """Start the countdown; after an error, to an exit that reports it."""
        if error is not None:
            self.status, self.words = 1, f"Error: {error}"
        with suppress(RuntimeError):  # already started
            self._timer.start()

    def over(self) -> None:
        """Cancel: the program is exiting by itself."""
        self._timer.cancel()

    def _leave(self) -> None:
        loss = self.loss()
        if loss is not None:
            self.status = 1
        with suppress(OSError, ValueError):
            words = dict.fromkeys((self.words, f"Error: {loss}" if loss else ""))
            click.echo("\n".join(filter(None, words)), err=True, nl=any(words))
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.status)


@contextmanager
def heeding_signals(stop: Callable[[], None], try_again: Callable[[], None]) -> Iterator[None]:
    """Stop on SIGTERM, SIGINT and when the terminal closes; retry everything on SIGHUP."""
    loop = asyncio.get_running_loop()
    terminal = next(filter(os.isatty, (0, 1, 2)), None)

    def hang_up() -> None:
        closed = terminal is not None and not os.isatty(terminal)
        (stop if closed else try_again)()

    heeded = []
    for name, action in (("SIGTERM", stop), ("SIGINT", stop), ("SIGHUP", hang_up)):
        # Signals only work in the main thread; Windows has few, and no loop handlers for them.
        with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
            number = getattr(signal, name)
            loop.add_signal_handler(number, action)
            heeded.append(number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
