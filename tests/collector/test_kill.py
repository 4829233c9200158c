"""Programs killed at random moments: nothing acknowledged is lost, nothing is invented."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
from aiohttp import web

from collector import killed, killed_commands
from collector.killed import FastClock, Move, Plan
from collector.killing import STRANGE, written_down
from collector.memory import MEMORY
from sst_cloud import Quantity, Reading
from sst_cloud.outbox import DeadLetters, read_status
from sst_cloud.testing import Drop, FakeCloud, Fault, Html, Latency, Status, Truncated
from sst_cloud.testing.fake.faults import Handler
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = [pytest.mark.slow, pytest.mark.source]

SPEED = 10_000.0


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kill-rounds"))


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="killed-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


def report(line: str) -> None:
    """Print a line of figures, which pytest shows with -rP, or when the test fails."""
    sys.stdout.write(f"{line}\n")


@attrs.define
class Mishaps:
    """Injects a different fault now and then."""

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
        longest=0.4,
        speed=SPEED,
        started=time.monotonic(),
    )
    await carry_out(plan)
    await check_all_is_there(plan)


async def test_killed_collectors_with_cloud_faults_lose_and_invent_nothing(
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


async def test_killed_collectors_lose_nothing_of_a_store_that_is_moved_away(
    folder: Path, rounds: int, seed: int
) -> None:
    plan = Plan(
        folder=str(folder),
        seed=seed,
        rounds=rounds,
        longest=0.4,
        speed=SPEED,
        started=time.monotonic(),
        moves=True,
    )
    await carry_out(plan)
    await check_all_is_there(plan)
    await check_moves(folder)


IMPORTED = 3_000


async def test_killed_imports_lose_and_duplicate_nothing(
    folder: Path, rounds: int, seed: int
) -> None:
    """The source has some readings twice: a CSV file gets them twice as well."""
    random = Random(seed)
    numbers = [random.randrange(IMPORTED) for _ in range(IMPORTED)]
    source = [killed_commands.reading(number) for number in numbers]
    await CsvSink(folder / killed_commands.SOURCE).write(source)
    rounds = max(rounds // 4, 20)  # each takes long
    await kill_commands(folder, rounds, seed, "import", longest=0.3)

    content = (folder / killed_commands.SOURCE).read_bytes()
    complete = [*folder.glob("complete-*"), *(folder / name for name in killed_commands.TARGETS)]
    for path in complete:
        if path.suffix == ".csv":
            assert path.read_bytes() == content
        else:
            assert set(await _stored(path)) == set(source)
    summaries = written_down(folder / killed_commands.IMPORTED)
    assert len(summaries) >= len(complete)
    for summary in summaries:
        assert summary["accepted"] + summary["already_stored"] == IMPORTED
        # A header, and perhaps a last line that lacked nothing but its end.
        assert summary["already_stored"] - max(0, summary["lines"] - 1) in (0, 1)
    report(f"{rounds} rounds, {len(summaries)} imports of {IMPORTED} readings came to their end")


async def test_killed_replays_of_dead_letters_lose_nothing(
    folder: Path, rounds: int, seed: int
) -> None:
    """While a collector, which is killed as well, adds more of them."""
    rounds //= 4
    await kill_commands(folder, rounds, seed, "replay", longest=0.1)
    assert DeadLetters(folder / killed_commands.STATE).read() == []
    stored = [reading.value for reading in await _stored(folder / killed_commands.STORE)]
    rejected = [n for numbers in written_down(folder / killed_commands.REJECTED) for n in numbers]
    assert len(rejected) > rounds, "too few letters to tell anything"
    assert set(rejected) <= set(stored)
    # A letter may be in the file though its collector was killed before it could say so.
    assert len(stored) - len(rejected) <= rounds * killed_commands.TOGETHER
    report(f"{rounds} rounds, {len(rejected)} letters")


async def kill_commands(
    folder: Path, rounds: int, seed: int, command: str, *, longest: float
) -> None:
    plan = killed_commands.Plan(
        folder=str(folder), seed=seed, rounds=rounds, command=command, longest=longest
    )
    ends = await run_program("collector.killed_commands", attrs.asdict(plan))
    assert not (folder / STRANGE).exists(), (folder / STRANGE).read_text()
    assert ends["killed"] > rounds / 4, "too few were killed to tell anything"


async def carry_out(plan: Plan) -> dict[str, int]:
    """Kill collectors as planned; returns how they ended."""
    return await run_program("collector.killed", attrs.asdict(plan))


async def run_program(module: str, plan: dict[str, Any]) -> dict[str, int]:
    folders = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, json.dumps(plan)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders))},
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    ends: dict[str, int] = json.loads(out)
    return ends


async def check_all_is_there(plan: Plan) -> None:
    """Let a last collector deliver the rest; then compare."""
    ends = await carry_out(attrs.evolve(plan, rounds=0))
    folder = Path(plan.folder)
    assert not (folder / STRANGE).exists(), (folder / STRANGE).read_text()
    assert ends["well"] == 1
    _check_outbox(folder / killed.STATE)

    put_journals_back(folder)
    read = {row for rows in written_down(folder / killed.READ) for row in map(tuple, rows)}
    notes = written_down(folder / killed.ACKNOWLEDGED)
    acknowledged = {row for note in notes for row in map(tuple, note["readings"])}
    assert len(notes) > plan.rounds / 4, "too few polls to tell anything"
    assert acknowledged <= read

    dead = Counter(_rows(letter.reading for letter in DeadLetters(folder / killed.STATE).read()))
    for name in killed.SINKS:
        moved = folder.glob("moved-*.db") if name == killed.LIVE else ()
        stored = Counter[tuple[Any, ...]]()
        for path in (folder / name, *moved):
            stored += Counter(_rows(await _stored(path)))
        rejected = set(dead) if name == killed.REJECTING else set()
        assert acknowledged <= set(stored) | rejected, f"{name} lacks some"
        assert set(stored) | rejected <= read, f"{name} has some that nobody has read"
        assert not set(stored) & rejected
        if not (name.endswith(".csv") or plan.moves):
            assert max(stored.values()) == 1
    assert dead, "none was rejected"

    events = {message for note in notes for message in note["events"]}
    delivered_messages = {
        message
        for messages in written_down(folder / killed.DELIVERED_EVENTS)
        for message in messages
    }
    assert events <= delivered_messages
    report(f"{plan.rounds} rounds, {len(acknowledged)} readings, {len(events)} events")


async def check_moves(folder: Path) -> None:
    """Check that moved or copied stores have everything delivered by then."""
    delivered = (folder / killed.DELIVERED).read_bytes()
    lacking: set[tuple[Any, ...]] = set()
    moved_away: set[tuple[Any, ...]] = set()
    read = copies = 0
    for move in moves(folder):
        for line in delivered[read : move.delivered].splitlines():
            with suppress(ValueError):  # torn by a kill
                lacking.update(map(tuple, json.loads(line)))
        read = move.delivered
        rows = set(_rows(await _stored(folder / move.name)))
        lacking -= moved_away
        assert lacking <= rows, f"{move.name} lacks some"
        if move.name.startswith("copied"):
            copies += 1
        else:
            moved_away |= rows
    assert 0 < copies < len(moves(folder)), "nothing was copied, or nothing moved away"
    report(f"moved away {len(moves(folder)) - copies} times, copied {copies} times")


def put_journals_back(folder: Path) -> None:
    """Move each orphaned journal back to the store that was moved last before it."""
    moved = [move for move in moves(folder) if move.name.startswith("moved")]
    for number in range(1, 1 + len(list(folder.glob(f"{killed.LIVE}-journal.orphan*")))):
        store = [move.name for move in moved if move.orphans < number][-1]
        (folder / f"{killed.LIVE}-journal.orphan{number}").rename(folder / f"{store}-journal")


def moves(folder: Path) -> list[Move]:
    return [Move(**move) for move in written_down(folder / killed.MOVES)]


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
