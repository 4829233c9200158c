"""What the collector costs: per poll, per reading that waits, and while it does nothing."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, sleep

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
from sst_cloud.collector import Collector, Start, Status, read_status
from sst_cloud.collector.entries import Entry
from sst_cloud.collector.outbox import Outbox
from sst_cloud.errors import OutboxError
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

from .cloud import RemoteCloud, remote_cloud
from .measure import Benchmark, Figure, alternate, milliseconds, timed
from .sqlite import METERS, readings

ROUND_TRIP = 0.05
POLL_LIMIT = 10.0
WAITING = 1_000_000
AT_ONCE = 10_000
DRAIN_LIMIT = 20_000
MEMORY_LIMIT = 60.0
SOME = 100_000
WEEK = 7 * 24 * 3 * METERS
DEAD_LIMIT = 1.05
IDLE_SECONDS = 60.0
IDLE_LIMIT = 0.1
RESIDENT_LIMIT = 1.35


_AT_HOME = """
import sys
sys.modules["tornado"] = None
from sst_cloud.cli import main
main()
"""
"""tenacity imports tornado where it is installed, as it is here, beside Jupyter: 2 MB."""


class Nothing:
    """A source with nothing to say."""

    async def snapshot(self) -> Snapshot:
        """A house without devices."""
        return Snapshot(time=datetime.now(UTC), houses=(House(id=1, timezone="Europe/Moscow"),))


@attrs.define
class Timed:
    """A source that tells how long its last answer took."""

    source: Source
    took: float = 0.0

    async def snapshot(self) -> Snapshot:
        """The same as without."""
        started = perf_counter()
        try:
            return await self.source.snapshot()
        finally:
            self.took = perf_counter() - started


class Dead(CsvSink):
    """A sink that cannot be reached."""

    async def write(self, _: Sequence[Reading]) -> WriteReport:
        """Never."""
        raise SinkUnavailableError("no route to host")


def poll(runs: int) -> Sequence[Figure]:
    """What a poll takes beside its own requests, until all three sinks have it on the disk."""
    with remote_cloud(1, 3, ROUND_TRIP) as cloud, TemporaryDirectory(prefix="sst-cloud-") as folder:
        added, alone, synced = asyncio.run(_polls(cloud, Path(folder), runs))
    base = f"ms; the network {milliseconds(alone)}, a synced write {milliseconds(synced)}"
    return [Figure("a poll to 3 sinks, adds", median(added) * 1000, POLL_LIMIT, base)]


async def _polls(
    cloud: RemoteCloud, folder: Path, runs: int
) -> tuple[list[float], list[float], list[float]]:
    sinks: Mapping[str, Sink] = {
        "sqlite": SqliteSink(folder / "home.db"),
        "csv": CsvSink(folder / "one.csv"),
        "another": CsvSink(folder / "two.csv"),
    }
    added, alone, synced = [], [], []
    async with SSTCloud(TokenAuth(cloud.token), base_url=cloud.url) as client:
        source = Timed(client)
        collector = Collector(source, sinks, folder / "state")
        async with collector:
            await collector.run(1)
            for _ in range(runs):
                whole = await timed(collector.run(1))
                alone.append(source.took)
                added.append(whole - source.took)
                synced.append(_synced(folder / "synced"))
            status = await collector.status()
    _check_delivered(status, status.readings)
    return added, alone, synced


def _synced(path: Path) -> float:
    """What the disk takes for 4 KB."""
    with path.open("ab", buffering=0) as file:
        started = perf_counter()
        file.write(bytes(4096))
        os.fsync(file.fileno())
        return perf_counter() - started


@attrs.frozen
class Done:
    """What a process took for its work."""

    seconds: float
    worked: float
    """Seconds of a processor."""
    peak: float
    """The most memory it ever held, in MB."""


def drain(runs: int) -> Sequence[Figure]:
    """Readings that wait, to an SQLite file; and the most that a process ever holds."""
    idle, busy = [], []
    with TemporaryDirectory(prefix="sst-cloud-") as name:
        for run in range(runs):
            one, million = Path(name) / f"one {run}", Path(name) / f"million {run}"
            _of_its_own("fill", one, 1)
            _of_its_own("fill", million, WAITING)
            idle.append(_of_its_own("drain", one).peak)
            busy.append(_of_its_own("drain", million))
            shutil.rmtree(million)
    rate = median(WAITING / done.seconds for done in busy)
    work = median(done.worked for done in busy) / WAITING * 1e6
    above = median(done.peak - base for done, base in zip(busy, idle, strict=True))
    detail = f"to SQLite; {work:.0f} µs of a processor each"
    return [
        Figure("drain, readings per s", rate, DRAIN_LIMIT, detail, at_least=True),
        Figure("drain, memory", above, MEMORY_LIMIT, f"MB above one's {median(idle):.0f} MB"),
    ]


async def _fill(folder: Path, count: int) -> None:
    waiting = readings(count)
    async with Outbox(folder / "state") as outbox:
        for start in range(0, count, AT_ONCE):
            await outbox.append(Entry(waiting[start : start + AT_ONCE]))


def _of_its_own(*what: object) -> Done:
    """Let a process of its own do something."""
    command = (sys.executable, "-m", f"{__package__}.collector", *map(str, what))
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Done(**json.loads(done.stdout))


def dead_sink(runs: int) -> Sequence[Figure]:
    """The same for some readings, with and without a sink that is away and a week behind."""
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
    """A week for the dead one alone, then what both have not received."""
    await _fill(folder, WEEK)
    async with _collector(folder, dead=True, start=Start.BEGINNING) as collector:
        await collector.run(1)
    await _fill(folder, SOME)


def _collector(folder: Path, *, dead: bool, start: Start) -> Collector:
    sinks: dict[str, Sink] = {"sqlite": SqliteSink(folder / "home.db")}
    if dead:
        sinks["dead"] = Dead(folder / "dead.csv")
    return Collector(Nothing(), sinks, folder / "state", start=start)


async def _drain(folder: Path, *, dead: bool) -> float:
    """Seconds until the sink that is alive has received all."""
    collector = _collector(folder, dead=dead, start=Start.BEGINNING)
    started = perf_counter()
    async with collector:
        await collector.run(1)
        seconds = perf_counter() - started
        status = await collector.status()
    _check_delivered(status, status.readings, but="dead")
    return seconds


def _check_delivered(status: Status, count: int, *, but: str = "") -> None:
    for sink in status.sinks:
        if sink.name != but and (sink.delivered != count or sink.waiting):
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
        before, started = _worked(collect), perf_counter()
        sleep(IDLE_SECONDS)
        share = 100 * (_worked(collect) - before) / (perf_counter() - started)
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
        *(sys.executable, "-c", _AT_HOME, "collect", "--quiet"),
        *("--every", "12h"),  # or else a poll may fall into the time that is measured
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


def _worked(process: subprocess.Popen[bytes]) -> float:
    """Seconds that a process has had of a processor, in all its threads."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _resident(process: subprocess.Popen[bytes]) -> float:
    """MB of a process that are in memory."""
    return _memory(process.pid, "VmRSS")


def _memory(process: int | str, what: str) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("the system does not say what a process holds")


POLL = Benchmark("collector-poll", 15, poll)
DRAIN = Benchmark("collector-drain", 1, drain)
DEAD = Benchmark("collector-dead-sink", 5, dead_sink)
IDLE = Benchmark("collector-idle", 1, idle)


def main(what: str, folder: str, count: str = "0") -> None:
    """What is measured in a process of its own."""
    work = _fill(Path(folder), int(count)) if what == "fill" else _drain(Path(folder), dead=False)
    seconds = asyncio.run(work) or 0.0
    done = Done(seconds, process_time(), _memory("self", "VmHWM"))
    print(json.dumps(attrs.asdict(done)))


if __name__ == "__main__":
    main(*sys.argv[1:])
