"""Collectors killed at random moments: nothing acknowledged is lost, nothing is made up."""

import asyncio
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
from aiohttp import web

from collector import killed
from collector.killed import FastClock, Plan, written_down
from collector.memory import MEMORY
from sst_cloud import Quantity, Reading
from sst_cloud.collector import DeadLetters, read_status
from sst_cloud.testing import Drop, FakeCloud, Fault, Html, Latency, Status, Truncated
from sst_cloud.testing.faults import Handler
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = [pytest.mark.slow, pytest.mark.source]

SPEED = 10_000.0


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kill-rounds"))


@pytest.fixture
def seed() -> int:
    seed = secrets.randbelow(2**32)
    sys.stdout.write(f"seed {seed}\n")
    return seed


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="killed-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


@attrs.define
class Mishaps:
    """A fault now and then, each time another one."""

    random: Random
    cloud: FakeCloud

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.random.random() < 0.02:
            self.cloud.expire_tokens()
        if self.random.random() < 0.85:
            return await handler(request)
        faults: list[Fault] = [
            Latency(self.random.uniform(0, 0.05)),
            Status(self.random.choice([500, 502, 503])),
            Status(429, retry_after="7"),
            Drop(),
            Drop(after=True),
            Truncated(),
            Html(),
        ]
        fault = self.random.choice(faults)
        return await fault.apply(request, handler)


async def test_killed_collectors_lose_and_invent_nothing(
    folder: Path, rounds: int, seed: int
) -> None:
    plan = Plan(
        folder=str(folder),
        seed=seed,
        rounds=rounds,
        longest=0.08,
        speed=SPEED,
        started=time.monotonic(),
    )
    await carry_out(plan)
    await check_all_is_there(plan)


async def test_killed_collectors_of_a_troubled_cloud_lose_and_invent_nothing(
    folder: Path, rounds: int, seed: int
) -> None:
    clock = FastClock(time.monotonic(), SPEED)
    async with FakeCloud(clock=clock) as cloud:
        cloud.inject(Mishaps(Random(seed), cloud))
        plan = Plan(
            folder=str(folder),
            seed=seed,
            rounds=rounds,
            longest=0.3,
            speed=clock.speed,
            started=clock.started,
            cloud=(cloud.url, cloud.email, cloud.password),
        )
        await carry_out(plan)
        cloud.clear_faults()
        await check_all_is_there(plan)


async def carry_out(plan: Plan) -> dict[str, int]:
    """How the collectors ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, killed.__file__, json.dumps(attrs.asdict(plan)), stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    ends: dict[str, int] = json.loads(out)
    return ends


async def check_all_is_there(plan: Plan) -> None:
    """Let a last collector deliver what there is; then compare."""
    ends = await carry_out(attrs.evolve(plan, rounds=0))
    folder = Path(plan.folder)
    assert not (folder / killed.STRANGE).exists(), (folder / killed.STRANGE).read_text()
    assert ends["well"] == 1
    _check_outbox(folder / killed.STATE)

    read = {row for rows in written_down(folder / killed.READ) for row in map(tuple, rows)}
    notes = written_down(folder / killed.ACKNOWLEDGED)
    acknowledged = {row for note in notes for row in map(tuple, note["readings"])}
    assert len(notes) > plan.rounds / 4, "too few polls to tell anything"
    assert acknowledged <= read

    dead = Counter(_rows(letter.reading for letter in DeadLetters(folder / killed.STATE).read()))
    for name in killed.SINKS:
        stored = Counter(_rows(await _stored(folder / name)))
        rejected = set(dead) if name == killed.REJECTING else set()
        assert acknowledged <= set(stored) | rejected, f"{name} lacks some"
        assert set(stored) | rejected <= read, f"{name} has some that nobody has read"
        assert not set(stored) & rejected
        if not name.endswith(".csv"):
            assert max(stored.values()) == 1
    assert dead, "none was rejected"

    events = {message for note in notes for message in note["events"]}
    told = {message for messages in written_down(folder / killed.TOLD) for message in messages}
    assert events <= told


def _check_outbox(state: Path) -> None:
    with closing(sqlite3.connect(state / "outbox.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not list(state.glob("*damaged*"))
    status = read_status(state)
    assert {sink.name for sink in status.sinks} == {*killed.SINKS, "told"}
    assert [sink.waiting for sink in status.sinks] == [0] * len(status.sinks)
    assert [sink.dropped for sink in status.sinks] == [0] * len(status.sinks)


def _rows(readings: Iterable[Reading]) -> Iterator[tuple[Any, ...]]:
    return map(tuple, killed.records(readings))


async def _stored(path: Path) -> list[Reading]:
    if path.suffix == ".csv":
        return [reading async for reading in CsvSink(path).rows()]
    async with SqliteSink(path) as sink:
        return [reading for quantity in Quantity async for reading in sink.read(quantity)]
