"""SIGTERM and SIGINT to a running `sst-cloud collect`: it ends soon and keeps everything."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from aiohttp import web

from collector.running import PATIENCE, collector, delivered
from sst_cloud import Quantity
from sst_cloud.outbox import read_status
from sst_cloud.testing import FakeCloud, Hang, Status
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = pytest.mark.not_quick

SIGNALS = pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)


@attrs.define
class Store:
    """An InfluxDB server that answers when the test allows it."""

    url: str
    requested: asyncio.Event = attrs.field(factory=asyncio.Event)
    may_answer: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.requested.set()
        await self.may_answer.wait()
        return web.Response(status=204)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = Store("")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", store.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    store.url = f"influxdb:http://{host}:{port}/home"
    yield store
    store.may_answer.set()
    await runner.cleanup()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@SIGNALS
async def test_stop_while_waiting_for_the_next_poll(
    fake: FakeCloud, state: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    path = tmp_path / "home.db"
    async with collector(fake, state, [f"sqlite:{path}"]) as running:
        status = await running.until(lambda status: delivered(status) > 0)
        await running.end(sign)
    async with SqliteSink(path) as sink:
        stored = [reading for q in Quantity async for reading in sink.read(q)]
    assert len(stored) == status.readings


@SIGNALS
async def test_stop_while_the_cloud_does_not_answer(
    fake: FakeCloud, state: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    fake.inject(Hang())
    async with collector(fake, state, [f"sqlite:{tmp_path / 'home.db'}"]) as running:
        async with asyncio.timeout(PATIENCE):
            while not fake.requests:  # noqa: ASYNC110  it comes from another process
                await asyncio.sleep(0.01)
        await running.end(sign)
    assert read_status(state).readings == 0


@SIGNALS
async def test_stop_waits_for_a_slow_write_that_finishes(
    fake: FakeCloud, state: Path, store: Store, sign: signal.Signals
) -> None:
    async with collector(fake, state, [store.url]) as running:
        async with asyncio.timeout(PATIENCE):
            await store.requested.wait()
        ending = asyncio.create_task(running.end(sign))
        await asyncio.sleep(0)
        store.may_answer.set()
        await ending
    status = read_status(state)
    assert delivered(status) == status.readings > 0


@SIGNALS
async def test_stop_does_not_wait_for_a_hanging_write(
    fake: FakeCloud, state: Path, tmp_path: Path, store: Store, sign: signal.Signals
) -> None:
    path = tmp_path / "home.db"
    async with collector(fake, state, [store.url, f"sqlite:{path}"]) as running:
        async with asyncio.timeout(PATIENCE):
            await store.requested.wait()
        await running.until(lambda status: delivered(status) > 0)
        await running.end(sign)
    lag = {sink.name.partition(":")[0]: sink.waiting for sink in read_status(state).sinks}
    assert lag == {"influxdb": read_status(state).readings, "sqlite": 0}


@SIGNALS
async def test_stop_while_another_process_locks_the_store(
    fake: FakeCloud, state: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    path = tmp_path / "home.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        async with collector(fake, state, [f"sqlite:{path}"]) as running:
            await running.until(lambda status: status.readings > 0)
            await running.end(sign)
    status = read_status(state)
    assert sum(sink.waiting for sink in status.sinks) == status.readings

    async with collector(fake, state, [f"sqlite:{path}"]) as running:
        await running.until(lambda status: delivered(status) >= status.readings > 0)
        await running.end(sign)


async def test_collector_ends_after_its_last_poll_although_a_store_hangs(
    fake: FakeCloud, state: Path, tmp_path: Path
) -> None:
    """The write hangs in a thread, which can be neither cancelled nor abandoned."""
    sinks = [f"csv:{tmp_path / 'readings.csv'}"]
    async with collector(fake, state, sinks, "--once", how=("-c", HANGING)) as running:
        async with asyncio.timeout(PATIENCE):
            log = await running.log()
            assert await running.process.wait() == 1
    assert log.endswith("Error: a write has not finished within 0.5 s\n")
    assert read_status(state).sinks[0].waiting == read_status(state).readings > 0


async def test_collector_ends_with_an_error_although_a_store_hangs(
    fake: FakeCloud, state: Path, tmp_path: Path
) -> None:
    """Readings of an earlier run are being written while the cloud refuses."""
    sinks = [f"csv:{tmp_path / 'readings.csv'}"]
    for refused in (False, True):
        if refused:
            fake.inject(Status(403))
        async with collector(fake, state, sinks, "--once", how=("-c", HANGING)) as running:
            async with asyncio.timeout(PATIENCE):
                log = await running.log()
                assert await running.process.wait() == 1
    assert log.splitlines()[-1].startswith("Error: ")
    assert "(HTTP 403)" in log.splitlines()[-1]


async def test_collector_continues_if_its_log_cannot_be_written(
    fake: FakeCloud, state: Path, tmp_path: Path
) -> None:
    """The disk for its log is full."""
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    full = os.open("/dev/full", os.O_WRONLY)
    async with collector(fake, state, sinks, "--every", "1s", stderr=full) as running:
        os.close(full)
        await running.until(lambda status: status.polls >= 3)
        running.process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await running.process.wait() == 0


@pytest.mark.parametrize("closed", [True, False])
async def test_sighup_stops_the_collector_only_if_its_terminal_closed(
    fake: FakeCloud, state: Path, tmp_path: Path, closed: bool
) -> None:
    terminal, collector_end = os.openpty()
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, stdin=collector_end, stderr=collector_end) as running:
        await running.until(lambda status: delivered(status) > 0)
        if closed:
            os.close(terminal)
        running.process.send_signal(signal.SIGHUP)
        if not closed:
            await running.until(lambda status: status.polls == 2)
            running.process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await running.process.wait() == 0
    os.close(collector_end)
    if not closed:
        os.close(terminal)


@pytest.mark.parametrize(("options", "times"), [((), 0), (("--verbose",), 1), (("--once",), 1)])
async def test_retries_are_logged_only_if_verbose_or_once(
    fake: FakeCloud, state: Path, tmp_path: Path, options: tuple[str, ...], times: int
) -> None:
    """A service would fill its log with them while the cloud is unreachable."""
    fake.inject(Status(502), times=1)
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, *options) as running:
        await running.until(lambda status: delivered(status) > 0)
        if "--once" in options:
            log = await running.log()
        else:
            log = await running.end(signal.SIGTERM)
    assert log.count("attempt 2 in") == times


async def test_second_collector_is_refused(fake: FakeCloud, state: Path, tmp_path: Path) -> None:
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks) as first:
        await first.until(lambda status: status.polls == 1)
        async with collector(fake, state, sinks) as second, asyncio.timeout(PATIENCE):
            log = await second.log()
            assert await second.process.wait() == 1
        await first.end(signal.SIGTERM)
    assert log == (f"Error: another collector is using {state}; use another folder with --state\n")


async def test_stop_during_startup(fake: FakeCloud, state: Path, tmp_path: Path) -> None:
    async with collector(fake, state, [f"sqlite:{tmp_path / 'home.db'}"]) as running:
        async with asyncio.timeout(PATIENCE):
            while not (state / "collector.lock").exists():  # noqa: ASYNC110  another process
                await asyncio.sleep(0.001)
        await running.end(signal.SIGTERM)


HANGING = """
import asyncio, threading
from sst_cloud.cli import main
from sst_cloud.collector import shutdown
from sst_cloud.outbox import delivery
from sst_cloud_sinks.csv import CsvSink

async def write(self, readings):
    await asyncio.to_thread(threading.Event().wait)

CsvSink.write = write
delivery.HANGING_AFTER, shutdown._EXIT_TIMEOUT = 0.5, 1.0
main()
"""
"""A program with a hanging CSV sink and short time limits."""
