"""The cost of the collector: per poll, per queued reading, and while idle."""

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, sleep
from typing import Self

import attrs

from sst_cloud import (
    House,
    Reading,
    Sink,
    SinkUnavailableError,
    Snapshot,
    Source,
    SSTCloud,
    TokenAuth,
    WriteReport,
)
from sst_cloud.collector import Collector
from sst_cloud.errors import OutboxError
from sst_cloud.outbox import Start, Status, read_status
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

from .cloud import RemoteCloud, remote_cloud
from .measure import Benchmark, Figure, alternate, milliseconds, timed
from .sqlite import METERS, readings

ROUND_TRIP = 0.05
POLL_LIMIT = 10.0
QUEUED = 1_000_000
APPENDED_AT_ONCE = 10_000
DRAIN_LIMIT = 20_000
MEMORY_LIMIT = 60.0
NEW_READINGS = 100_000
WEEK = 7 * 24 * 3 * METERS
DEAD_LIMIT = 1.05
IDLE_SECONDS = 60.0
IDLE_LIMIT = 0.1
RESIDENT_LIMIT = 1.35


_COLLECT = "from sst_cloud.cli import main; main()"


class BenchmarkSource:
    """What the sources here have in common."""

    name: str = "the benchmark"
    refresh: timedelta = timedelta(minutes=10)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class EmptySource(BenchmarkSource):
    """A source without readings."""

    async def snapshot(self) -> Snapshot:
        """A house without devices."""
        return Snapshot(time=datetime.now(UTC), houses=(House(id=1, timezone="Europe/Moscow"),))


@attrs.define
class TimedSource(BenchmarkSource):
    """A source that measures its last snapshot."""

    source: Source
    seconds: float = 0.0

    async def snapshot(self) -> Snapshot:
        """The snapshot of the other source."""
        started = perf_counter()
        try:
            return await self.source.snapshot()
        finally:
            self.seconds = perf_counter() - started


class DeadSink(CsvSink):
    """A sink that cannot be reached."""

    async def write(self, _: Sequence[Reading]) -> WriteReport:
        """Always fails."""
        raise SinkUnavailableError("no route to host")


def poll(runs: int) -> Sequence[Figure]:
    """Time of a poll beyond its requests, until all three sinks have stored it on disk."""
    with remote_cloud(1, 3, ROUND_TRIP) as cloud, TemporaryDirectory(prefix="sst-cloud-") as folder:
        added, source_only, synced = asyncio.run(_polls(cloud, Path(folder), runs))
    base = f"ms; the network {milliseconds(source_only)}, a synced write {milliseconds(synced)}"
    return [Figure("a poll to 3 sinks, adds", median(added) * 1000, POLL_LIMIT, base)]


async def _polls(
    cloud: RemoteCloud, folder: Path, runs: int
) -> tuple[list[float], list[float], list[float]]:
    sinks: Mapping[str, Sink] = {
        "sqlite": SqliteSink(folder / "home.db"),
        "csv": CsvSink(folder / "one.csv"),
        "another": CsvSink(folder / "two.csv"),
    }
    added, source_only, synced = [], [], []
    async with SSTCloud(TokenAuth(cloud.token), base_url=cloud.url) as client:
        source = TimedSource(client)
        collector = Collector(source, sinks, folder / "state")
        async with collector:
            await collector.run(1)
            for _ in range(runs):
                total = await timed(collector.run(1))
                source_only.append(source.seconds)
                added.append(total - source.seconds)
                synced.append(_synced(folder / "synced"))
            status = await collector.status()
    _check_delivered(status, status.readings)
    return added, source_only, synced


def _synced(path: Path) -> float:
    """Seconds to write and sync 4 KB."""
    with path.open("ab", buffering=0) as file:
        started = perf_counter()
        file.write(bytes(4096))
        os.fsync(file.fileno())
        return perf_counter() - started


@attrs.frozen
class ProcessCost:
    """Time and memory of a process."""

    seconds: float
    processor_seconds: float
    """Seconds of a processor."""
    peak: float
    """Its peak memory in MB."""


def drain(runs: int) -> Sequence[Figure]:
    """Rate at which queued readings reach an SQLite file, and peak memory."""
    idle, busy = [], []
    with TemporaryDirectory(prefix="sst-cloud-") as name:
        for run in range(runs):
            one, million = Path(name) / f"one {run}", Path(name) / f"million {run}"
            _run_in_process("fill", one, 1)
            _run_in_process("fill", million, QUEUED)
            idle.append(_run_in_process("drain", one).peak)
            busy.append(_run_in_process("drain", million))
            shutil.rmtree(million)
    rate = median(QUEUED / cost.seconds for cost in busy)
    processor_time = median(cost.processor_seconds for cost in busy) / QUEUED * 1e6
    increase = median(cost.peak - base for cost, base in zip(busy, idle, strict=True))
    detail = f"to SQLite; {processor_time:.0f} µs of a processor each"
    return [
        Figure("drain, readings per s", rate, DRAIN_LIMIT, detail, at_least=True),
        Figure("drain, memory", increase, MEMORY_LIMIT, f"MB above one's {median(idle):.0f} MB"),
    ]


async def _fill(folder: Path, count: int) -> None:
    waiting = readings(count)
    async with Outbox(folder / "state") as outbox:
        for start in range(0, count, APPENDED_AT_ONCE):
            await outbox.append(Commit(waiting[start : start + APPENDED_AT_ONCE]))


def _run_in_process(*arguments: object) -> ProcessCost:
    """Run `main` in a process of its own."""
    command = (sys.executable, "-m", f"{__package__}.collector", *map(str, arguments))
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return ProcessCost(**json.loads(process.stdout))


def dead_sink(runs: int) -> Sequence[Figure]:
    """Delivery of new readings, with and without a dead sink that is a week behind."""
    logging.getLogger("sst_cloud.outbox.delivery").setLevel(
        logging.CRITICAL
    )  # it warns of the sink
    with TemporaryDirectory(prefix="sst-cloud-") as name:
        full = Path(name) / "full"
        asyncio.run(_fill_with_dead(full))

        def drained(*, dead: bool) -> float:
            folder = Path(name) / "copy"
            shutil.copytree(full, folder)
            try:
                return asyncio.run(_drain(folder, dead=dead))
            finally:
                shutil.rmtree(folder)

        pairs = alternate(lambda: drained(dead=True), lambda: drained(dead=False), runs)
    return [pairs.figure("a dead sink beside", DEAD_LIMIT, "drained in", "without it")]


async def _fill_with_dead(folder: Path) -> None:
    """A week for the dead sink only, then readings that neither sink has received."""
    await _fill(folder, WEEK)
    async with _collector(folder, dead=True, start=Start.BEGINNING) as collector:
        await collector.run(1)
    await _fill(folder, NEW_READINGS)


def _collector(folder: Path, *, dead: bool, start: Start) -> Collector:
    sinks: dict[str, Sink] = {"sqlite": SqliteSink(folder / "home.db")}
    if dead:
        sinks["dead"] = DeadSink(folder / "dead.csv")
    return Collector(EmptySource(), sinks, folder / "state", start=start)


async def _drain(folder: Path, *, dead: bool) -> float:
    """Seconds until the working sink has received everything."""
    collector = _collector(folder, dead=dead, start=Start.BEGINNING)
    started = perf_counter()
    async with collector:
        await collector.run(1)
        seconds = perf_counter() - started
        status = await collector.status()
    _check_delivered(status, status.readings, except_for="dead")
    return seconds


def _check_delivered(status: Status, count: int, *, except_for: str = "") -> None:
    for sink in status.sinks:
        if sink.name != except_for and (sink.delivered != count or sink.waiting):
            raise RuntimeError(f"{sink.name} has received {sink.delivered} of {count} readings")


def idle(_: int) -> Sequence[Figure]:
    """A running `sst-cloud collect` between two polls, beside a process that imports aiohttp."""
    with (
        TemporaryDirectory(prefix="sst-cloud-") as name,
        remote_cloud(1, 3, 0.0) as cloud,
        _running(*_bare()) as bare,
        _running(*_collect(Path(name), cloud)) as collect,
    ):
        _wait_for_delivery(Path(name) / "state", collect)
        before, started = _processor_seconds(collect), perf_counter()
        sleep(IDLE_SECONDS)
        share = 100 * (_processor_seconds(collect) - before) / (perf_counter() - started)
        ours, base = _resident(collect), _resident(bare)
    detail = f"MB {ours:.1f}, import aiohttp {base:.1f}"
    return [
        Figure("idle, % of a processor", share, IDLE_LIMIT, f"over {IDLE_SECONDS:.0f} s"),
        Figure("idle, memory", ours / base, RESIDENT_LIMIT, detail),
    ]


def _bare() -> Sequence[str]:
    return sys.executable, "-c", "import aiohttp, time; print(flush=True); time.sleep(3600)"


def _collect(folder: Path, cloud: RemoteCloud) -> Sequence[str]:
    return (
        *(sys.executable, "-c", _COLLECT, "collect", "--quiet"),
        *("--every", "12h"),  # otherwise a poll may fall into the measured time
        *("--url", cloud.url, "--token", cloud.token, "--state", str(folder / "state")),
        *("--sink", f"sqlite:{folder / 'home.db'}", "--sink", f"csv:{folder / 'home.csv'}"),
    )


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for_delivery(state: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            sinks = read_status(state).sinks
        except OutboxError:  # not begun yet
            sinks = ()
        if sinks and all(sink.delivered and not sink.waiting for sink in sinks):
            return
        sleep(0.1)
    raise RuntimeError(f"the collector ended with exit code {process.returncode}")


def _processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a process, in all its threads."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _resident(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of a process in MB."""
    return _memory(process.pid, "VmRSS")


def _memory(process: int | str, field: str) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("the system does not report a process's memory")


POLL = Benchmark("collector-poll", 15, poll)
DRAIN = Benchmark("collector-drain", 1, drain)
DEAD = Benchmark("collector-dead-sink", 5, dead_sink)
IDLE = Benchmark("collector-idle", 1, idle)


def main(action: str, folder: str, count: str = "0") -> None:
    """Fill or drain an outbox, and print the cost."""
    work = _fill(Path(folder), int(count)) if action == "fill" else _drain(Path(folder), dead=False)
    seconds = asyncio.run(work) or 0.0
    cost = ProcessCost(seconds, process_time(), _memory("self", "VmHWM"))
    print(json.dumps(attrs.asdict(cost)))


if __name__ == "__main__":
    main(*sys.argv[1:])
