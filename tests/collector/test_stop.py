"""SIGTERM and SIGINT to a running `sst-cloud collect`: soon over, and all is kept."""

import asyncio
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs
import pytest
from aiohttp import web

from sst_cloud import Quantity, SSTCloudError
from sst_cloud.collector import Status, read_status
from sst_cloud.testing import FakeCloud, Hang
from sst_cloud_sinks.sqlite import SqliteSink

LIMIT = 5.0
"""Seconds from the signal to the end, as promised."""
PATIENCE = 60.0

SIGNALS = pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)


@attrs.define
class Running:
    """A collector in a process of its own."""

    process: Process
    state: Path

    async def until(self, condition: Callable[[Status], bool]) -> Status:
        """Wait until its state is such; it must not end before."""
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

    async def end(self, sign: signal.Signals) -> str:
        """Tell it to stop; what it has logged when it has."""
        started = time.monotonic()
        self.process.send_signal(sign)
        async with asyncio.timeout(PATIENCE):
            log = await self.log()
            status = await self.process.wait()
        assert status == 0, log
        assert time.monotonic() - started <= LIMIT
        return log

    async def log(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def collector(cloud: FakeCloud, state: Path, sinks: Sequence[str]) -> AsyncIterator[Running]:
    options = [option for sink in sinks for option in ("--sink", sink)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sst_cloud.cli", "collect", *options, "--state", str(state)),
        *("--url", cloud.url, "--token", cloud.token),
        stderr=PIPE,
    )
    try:
        yield Running(process, state)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@attrs.define
class Store:
    """An InfluxDB that takes its time: it answers when it may."""

    url: str
    asked: asyncio.Event = attrs.field(factory=asyncio.Event)
    may_answer: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked.set()
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
async def test_stopped_while_it_waits_for_the_next_turn(
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
async def test_stopped_while_the_cloud_does_not_answer(
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
async def test_stopped_while_a_store_takes_its_time_and_comes_to_an_end(
    fake: FakeCloud, state: Path, store: Store, sign: signal.Signals
) -> None:
    async with collector(fake, state, [store.url]) as running:
        async with asyncio.timeout(PATIENCE):
            await store.asked.wait()
        ending = asyncio.create_task(running.end(sign))
        await asyncio.sleep(0)
        store.may_answer.set()
        await ending
    status = read_status(state)
    assert delivered(status) == status.readings > 0


@SIGNALS
async def test_stopped_while_a_store_hangs(
    fake: FakeCloud, state: Path, tmp_path: Path, store: Store, sign: signal.Signals
) -> None:
    path = tmp_path / "home.db"
    async with collector(fake, state, [store.url, f"sqlite:{path}"]) as running:
        async with asyncio.timeout(PATIENCE):
            await store.asked.wait()
        await running.until(lambda status: delivered(status) > 0)
        await running.end(sign)
    lag = {sink.name.partition(":")[0]: sink.waiting for sink in read_status(state).sinks}
    assert lag == {"influxdb": read_status(state).readings, "sqlite": 0}


@SIGNALS
async def test_stopped_while_another_process_has_the_store_locked(
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


async def test_stopped_before_it_has_begun(fake: FakeCloud, state: Path, tmp_path: Path) -> None:
    async with collector(fake, state, [f"sqlite:{tmp_path / 'home.db'}"]) as running:
        async with asyncio.timeout(PATIENCE):
            while not (state / "collector.lock").exists():  # noqa: ASYNC110  another process
                await asyncio.sleep(0.001)
        await running.end(signal.SIGTERM)


def delivered(status: Status) -> int:
    return sum(sink.delivered for sink in status.sinks)
