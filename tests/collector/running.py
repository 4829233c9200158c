"""`sst-cloud collect` in a separate process."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from sst_cloud import SSTCloudError
from sst_cloud.outbox import Status, read_status
from sst_cloud.testing import FakeCloud

LIMIT = 5.0
"""Documented maximum of seconds from the signal to the end."""
PATIENCE = 60.0


@attrs.define
class RunningCollector:
    """A collector in a separate process."""

    process: Process
    state: Path

    async def until(self, condition: Callable[[Status], bool]) -> Status:
        """Wait until its status meets the condition; it must not end before."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.process.returncode is None, await self.log()
                try:
                    status = read_status(self.state)
                except SSTCloudError:
                    pass  # not begun yet
                else:
                    if condition(status):
                        return status
                await asyncio.sleep(0.01)

    async def end(self, sign: signal.Signals, expected: int = 0) -> str:
        """Send a signal, check the exit status, and return the log."""
        started = time.monotonic()
        self.process.send_signal(sign)
        async with asyncio.timeout(PATIENCE):
            log = await self.log()
            status = await self.process.wait()
        assert status == expected, log
        assert time.monotonic() - started <= LIMIT
        return log

    async def logs(self, words: str) -> None:
        """Wait until a line of its log contains these words."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while words not in (line := (await self.process.stderr.readline()).decode()):
                assert line, "it has ended"

    async def log(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def collector(
    cloud: FakeCloud,
    state: Path,
    sinks: Sequence[str],
    *options: str,
    how: Sequence[str] = ("-m", "sst_cloud.cli"),
    stdin: int | None = None,
    stderr: int = PIPE,
) -> AsyncIterator[RunningCollector]:
    to = [option for sink in sinks for option in ("--sink", sink)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *how, "collect", *to, "--state", str(state), *options),
        *("--url", cloud.url, "--token", cloud.token),
        stdin=stdin,
        stderr=stderr,
    )
    try:
        yield RunningCollector(process, state)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def delivered(status: Status) -> int:
    """The number of readings delivered to all sinks together."""
    return sum(sink.delivered for sink in status.sinks)
