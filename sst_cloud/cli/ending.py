"""How a program that runs for long comes to its end."""

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
"""Seconds from the wish to end to the end, whatever a store is doing: all is committed."""


class Leaving:
    """Ends the program if it has not ended by itself a few seconds after it was to.

    A thread that waits for a store can be neither cancelled nor left behind.
    """

    def __init__(self) -> None:
        self.status = 0
        """The exit status then."""
        self.words = ""
        """What there is to say then, on stderr."""
        self._timer = threading.Timer(_LEAVE_AFTER, self._leave)
        self._timer.daemon = True

    def begin(self) -> None:
        """From now on."""
        with suppress(RuntimeError):  # told so once more
            self._timer.start()

    def over(self) -> None:
        """It has ended by itself."""
        self._timer.cancel()

    def _leave(self) -> None:
        with suppress(OSError, ValueError):
            if self.words:
                click.echo(self.words, err=True)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.status)


@contextmanager
def heeding_signals(stop: Callable[[], None], try_again: Callable[[], None]) -> Iterator[None]:
    """SIGTERM, SIGINT and a terminal that closes stop it, SIGHUP has it try everything again."""
    loop = asyncio.get_running_loop()
    terminal = next(filter(os.isatty, (0, 1, 2)), None)

    def hang_up() -> None:
        closed = terminal is not None and not os.isatty(terminal)
        (stop if closed else try_again)()

    heeded = []
    for name, action in (("SIGTERM", stop), ("SIGINT", stop), ("SIGHUP", hang_up)):
        # Signals are for the main thread; Windows has few, and no handlers in its loop.
        with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
            number = getattr(signal, name)
            loop.add_signal_handler(number, action)
            heeded.append(number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
