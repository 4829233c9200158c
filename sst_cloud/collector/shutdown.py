"""A collector as a program: it stops on signals, and in bounded time."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from sst_cloud.errors import SinkClosedError, SSTCloudError

from .collector import Collector
from .supervision import Supervisor

_log = logging.getLogger(__name__)

_EXIT_TIMEOUT: Final = 4.5
"""Seconds until a forced exit, even if a store hangs, or another process locks the outbox."""


class ForcedExit:
    """Forces the program to exit if it has not done so a few seconds after it should.

    A thread that waits for a store can be neither cancelled nor abandoned. Used as a context
    manager around `asyncio.run`, which waits for such threads.
    """

    def __init__(self) -> None:
        self.status: int = 0
        """The exit status to use."""
        self.message: str = ""
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel: the program is exiting by itself."""
        self._timer.cancel()

    def _exit(self) -> None:
        loss = self.get_loss()
        if loss is not None:
            self.status = 1
        with suppress(AttributeError, OSError, ValueError):  # closed, or its disk is full
            for message in dict.fromkeys((self.message, f"Error: {loss}" if loss else "")):
                sys.stderr.write(f"{message}\n" if message else "")
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.status)


async def run_until_signal(
    collector: Collector,
    supervisor: Supervisor,
    forced_exit: ForcedExit,
    *,
    polls: int | None = None,
    metrics: tuple[str, int] | None = None,
) -> None:
    """Open a collector and run it: until a signal stops it, or for some polls; then close it.

    However it ends, the countdown of `forced_exit` starts then. `metrics` as for
    `Supervisor.supervise`. Raises `SSTCloudError`.
    """
    forced_exit.get_loss = lambda: collector.loss

    def stop() -> None:
        collector.stop()
        forced_exit.start()

    with handle_signals(stop, collector.retry_now), _exit_after_error(forced_exit):
        async with collector, supervisor.supervise(collector, metrics):
            with _exit_after_error(forced_exit):  # closing the collector may take long
                await collector.run(polls)
            forced_exit.start(_undelivered_error(collector) if polls else None)


@contextmanager
def _exit_after_error(forced_exit: ForcedExit) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        forced_exit.start(None if isinstance(error, SinkClosedError) else error)
        raise


def _undelivered_error(collector: Collector) -> SSTCloudError | None:
    """Log which sink did not receive everything; returns its error, if there is one."""
    for name, error in collector.errors.items():
        _log.warning("%s: undelivered readings are kept for the next run.", name)
        return error
    return None


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
