"""A damaged outbox is detected and reported, keeps what is readable, and delivers nothing wrong."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Final

import pytest

from collector.memory import MEMORY
from collector.parts import MemorySink, Meter, SettableClock, Threads, collected
from sst_cloud import ManualClock, Reading
from sst_cloud.collector import Poll
from sst_cloud.errors import OutboxError
from sst_cloud.monitoring import Event, EventKind
from sst_cloud.monitoring.alarms import AlarmState
from sst_cloud.outbox import Start, known_houses, read_status
from sst_cloud.outbox.entries import Commit, encode
from sst_cloud.outbox.integrity import row_sum
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import DeliveryState, Stream
from sst_cloud.testing.sink_contract import sample_reading

pytestmark = pytest.mark.not_quick

READINGS, EVENTS = Stream.READINGS, Stream.EVENTS
IS_DAMAGED = "is damaged"
NEW = "outbox.db.new"


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="damaged-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


def readings(first: int, number: int, name: str = "") -> list[Reading]:
    return [
        sample_reading(value=value, name=name or f"number {value}")
        for value in range(first, first + number)
    ]


async def fill(folder: Path, polls: int = 30, delivered: int = 0) -> list[Reading]:
    """Ten readings and an event per poll; those of the first polls were delivered to `m`."""
    everything: list[Reading] = []
    async with Outbox(folder) as outbox:
        for stream in Stream:
            await outbox.register("m", stream)
        for number in range(polls):
            entry = Commit(readings(number * 10, 10), [event(number)], {"note": f"of {number}"})
            await outbox.append(entry)
            everything += entry.readings
        if delivered:
            await outbox.mark_delivered("m", READINGS, delivered * 10, accepted=delivered * 10)
            await outbox.mark_delivered("m", EVENTS, delivered, accepted=delivered)
    return everything


def event(number: int) -> Event:
    return Event(
        time=ManualClock().now(), kind=EventKind.LEAK, message=f"the leak of number {number}"
    )


async def rest(folder: Path, stream: Stream = READINGS) -> tuple[list[float | str], int]:
    """The items delivered to `m` from a folder, and the number of unreadable entries."""
    async with Outbox(folder) as outbox:
        await outbox.register("m", stream)
        batch = await outbox.batch("m", stream, 100_000)
        await outbox.mark_delivered(
            "m", stream, batch.upto, accepted=len(batch.items), rejected=batch.unreadable
        )
        (waiting,) = [s.waiting for s in (await outbox.status()).sinks if s.stream is stream]
        assert waiting == 0
    if stream is READINGS:
        return [item.value for item in batch.items], batch.unreadable
    return [item.message for item in batch.items], batch.unreadable


def change(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes that occur exactly once."""
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def query(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql)


def crashed(folder: Path) -> Path:
    """A copy of the files as a crash at this moment would leave them."""
    image = folder / "crashed"
    image.mkdir()
    for file in folder.glob("outbox.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, image)
    return image


# A record.


@pytest.mark.parametrize("new", [b"number 137", b"number\xff127", b'number"127'])
async def test_damaged_reading_is_skipped_and_counted(
    folder: Path, caplog: pytest.LogCaptureFixture, new: bytes
) -> None:
    await fill(folder)
    change(folder / "outbox.db", b"number 127", new)
    values, unreadable = await rest(folder)
    assert values == [value for value in range(300) if value != 127]
    assert unreadable == 1
    assert "skipped entry 128 of the outbox, which cannot be read" in caplog.text
    assert read_status(folder).sinks[-1].rejected == 1


async def test_damaged_events_are_skipped_and_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(folder)
    for number in (3, 4):
        change(folder / "outbox.db", b'leak of number %d"' % number, b'leak of number 9"')
    messages, unreadable = await rest(folder, EVENTS)
    assert len(messages) == 28
    assert unreadable == 2
    assert "skipped 2 events in the outbox, from entry 4 on" in caplog.text


@pytest.mark.parametrize("new", [b"of 28", b"of\xff29"])
async def test_damaged_note_is_treated_as_missing(
    folder: Path, caplog: pytest.LogCaptureFixture, new: bytes
) -> None:
    await fill(folder)
    change(folder / "outbox.db", b"noteof 29", b"note" + new)
    async with Outbox(folder) as outbox:
        assert await outbox.notes() == {}
    assert "the note 'note' in the outbox is damaged" in caplog.text


async def test_damaged_validation_state_is_discarded(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SettableClock(ManualClock().now())
    with Threads.counted():
        source, sink = Meter(clock, litres=9_000), MemorySink()
        await collected(source, {"m": sink}, folder, 2)
        query(
            folder / "outbox.db",
            "UPDATE notes SET value = '[]' WHERE key IN ('validation','houses')",
        )
        assert known_houses(folder) == ()
        await collected(source, {"m": sink}, folder, 1)
    assert sink.values == [9_001, 9_002, 9_003]
    assert "the note 'validation' in the outbox is damaged" in caplog.text


# A cursor.


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE consumers SET cursor = 1000000",
        "UPDATE consumers SET cursor = 290",
        "UPDATE consumers SET name = 'n'",
        "UPDATE consumers SET stream = 'reading5' WHERE stream = 'readings'",
        "UPDATE consumers SET state = 'f1owing'",
        "UPDATE consumers SET cursor = 1000000, sum = NULL",
        "DELETE FROM consumers; UPDATE sqlite_sequence SET seq = 7",
    ],
)
async def test_damaged_consumer_restarts_with_all_stored_entries(
    folder: Path, caplog: pytest.LogCaptureFixture, sql: str
) -> None:
    await fill(folder, delivered=10)
    for statement in sql.split(";"):
        query(folder / "outbox.db", statement)
    if "DELETE" not in sql:
        with pytest.raises(OutboxError, match=r"cannot be read.*a collector recovers what can"):
            read_status(folder)
    assert await rest(folder) == (list(range(300)), 0)
    assert IS_DAMAGED in caplog.text


async def test_consumer_with_a_readable_position_gets_nothing_twice(folder: Path) -> None:
    await fill(folder, delivered=10)
    query(folder / "outbox.db", "UPDATE sqlite_sequence SET seq = 7")
    assert await rest(folder) == (list(range(100, 300)), 0)
    assert (await rest(folder, EVENTS))[0] == [event(n).message for n in range(10, 30)]


# The file.


async def test_empty_outbox_file_is_reported(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(folder)
    os.truncate(folder / "outbox.db", 0)
    with pytest.raises(OutboxError, match="the file is empty or missing, as after a power cut"):
        read_status(folder)
    assert await rest(folder) == ([], 0)
    assert "the file is empty, as after a power cut" in caplog.text
    assert "It was empty." in caplog.text
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert not list(folder.glob("*damaged*"))


@pytest.mark.parametrize("missing", [False, True])
async def test_log_of_an_empty_or_missing_file_is_kept_and_read(
    folder: Path, caplog: pytest.LogCaptureFixture, missing: bool
) -> None:
    async with Outbox(folder) as outbox:
        await outbox.append(Commit(readings(0, 10)))
        image = crashed(folder)
    log = (image / "outbox.db-wal").read_bytes()
    (image / "outbox.db").unlink()
    if not missing:
        (image / "outbox.db").touch()
    with pytest.raises(OutboxError, match="the file is empty or missing"):
        read_status(image)
    assert (image / "outbox.db-wal").read_bytes() == log
    assert await rest(image) == (list(range(10)), 0)
    (aside,) = image.glob("outbox.db.damaged-*-wal")
    assert aside.read_bytes() == log
    assert "only its log is left" in caplog.text or "the file is empty" in caplog.text


@pytest.mark.parametrize("place", [18, 44, 56, 68, 100, 4096 * 2, 4096 * 3])
async def test_entries_are_salvaged_from_an_unreadable_file(folder: Path, place: int) -> None:
    """Header, schema, and the pages that say where others are."""
    await fill(folder)
    with (folder / "outbox.db").open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 4)
    assert await rest(folder) == (list(range(300)), 0)


async def test_entry_longer_than_a_page_is_salvaged(folder: Path) -> None:
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        await outbox.append(Commit(readings(0, 3, name="long " * 3_000)))
    os.truncate(folder / "outbox.db", (folder / "outbox.db").stat().st_size - 4096)
    values, unreadable = await rest(folder)
    assert len(values) + unreadable == 3
    assert len(values) >= 2


async def test_missing_entries_are_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    await fill(folder, delivered=10)
    content = bytearray((folder / "outbox.db").read_bytes())
    for value in range(90, 130):
        place = content.index(encode(readings(value, 1)[0]))
        content[place : place + 20] = b"\xff" * 20
    content[0] = 0
    (folder / "outbox.db").write_bytes(content)
    assert await rest(folder) == (list(range(130, 300)), 30)
    assert "could be read of it: 260 readings, 30 events and 2 positions" in caplog.text
    assert "lost before they were delivered everywhere: 30 readings and 0 events" in caplog.text
    assert read_status(folder).sinks[-1].rejected == 30


@pytest.mark.parametrize("number", range(1, 5))
async def test_interrupted_replacement_is_finished_or_restarted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The last `number` of its renames are missing."""
    async with Outbox(folder) as outbox:
        for poll in range(30):
            await outbox.append(Commit(readings(poll * 10, 10)))
        image = crashed(folder)
    with (image / "outbox.db-wal").open("r+b") as file:
        file.seek(9_000)
        file.write(b"\xff\0\xff")
    rename, left = Path.replace, [None] * (number - 1)

    def interrupted(self: Path, target: Path) -> Path:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with suppress(KeyboardInterrupt):
            async with Outbox(image):
                assert number == 4
    assert await rest(image) == (list(range(300)), 0)
    assert not list(image.glob(f"{NEW}*"))
    assert len(list(image.glob("*damaged*"))) == 2


@pytest.mark.parametrize("content", [b"", b"something else entirely"])
async def test_leftovers_of_a_replacement_are_removed(folder: Path, content: bytes) -> None:
    (folder / NEW).write_bytes(content)
    async with Outbox(folder) as outbox:
        assert (await outbox.status()).readings == 0
    (folder / NEW).write_bytes(content)
    async with Outbox(folder):
        assert not (folder / NEW).exists()


# The log.


@pytest.mark.parametrize(("place", "reason"), [(5, "header of its log"), (9_000, "its log is")])
async def test_entries_after_damage_in_the_log_are_kept(
    folder: Path, caplog: pytest.LogCaptureFixture, place: int, reason: str
) -> None:
    """SQLite would treat all of it as not written."""
    async with Outbox(folder) as outbox:
        for number in range(10):
            await outbox.append(Commit(readings(number * 10, 10)))
        image = crashed(folder)
    with (image / "outbox.db-wal").open("r+b") as file:
        file.seek(place)
        file.write(b"\xff\0\xff")
    values, unreadable = await rest(image)
    assert values == list(range(100))
    assert unreadable == 0
    assert reason in caplog.text


async def test_torn_last_write_is_discarded(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        for number in range(3):
            await outbox.append(Commit(readings(number * 10, 10)))
        image = crashed(folder)
    content = (image / "outbox.db-wal").read_bytes()
    (image / "outbox.db-wal").write_bytes(content[:-100] + bytes(100))
    assert (await rest(image))[0] == list(range(20))
    assert "the last write to the outbox" in caplog.text
    assert not list(image.glob("*damaged*"))


# While it is used.


def garbage(path: Path) -> None:
    """Overwrite the same file, as a failing disk or a careless program does."""
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def first_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(4096))


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def log_removed(path: Path) -> None:
    path.with_name("outbox.db-wal").unlink()


def log_emptied(path: Path) -> None:
    os.truncate(path.with_name("outbox.db-wal"), 0)


def log_garbage(path: Path) -> None:
    garbage(path.with_name("outbox.db-wal"))


@pytest.mark.parametrize(
    "damage", [garbage, first_page, emptied, log_removed, log_emptied, log_garbage]
)
@pytest.mark.parametrize("tidied", [True, False])
async def test_poll_after_damage_is_acknowledged_only_when_on_disk(
    folder: Path, damage: Callable[[Path], None], tidied: bool
) -> None:
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        for number in range(20):
            await outbox.append(Commit(readings(number * 10, 10)))
        if tidied:
            await outbox.tidy()
        damage(folder / "outbox.db")
        await outbox.append(Commit(readings(1_000, 10), (), {"note": "new"}))
        image = crashed(folder)
    values, unreadable = await rest(image)
    assert values[-10:] == list(range(1_000, 1_010))
    assert set(values) <= {*range(200), *range(1_000, 1_010)}
    assert len(values) + unreadable == 210
    async with Outbox(image) as outbox:
        assert await outbox.notes() == {"note": "new"}


async def test_damage_to_older_pages_is_found_after_the_poll(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        for number in range(20):
            await outbox.append(Commit(readings(number * 10, 10)))
        await outbox.tidy()
        with (folder / "outbox.db").open("r+b") as file:
            file.seek(4096 * 8)
            file.write(bytes(8))
        await outbox.append(Commit(readings(200, 10)))
        assert IS_DAMAGED not in caplog.text
        await outbox.tidy()
        assert IS_DAMAGED in caplog.text
        batch = await outbox.batch("m", READINGS, 1_000)
    assert [reading.value for reading in batch.items] == list(range(210))


async def test_slow_integrity_check_is_aborted_without_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sst_cloud.outbox.database._CHECK_TIME", 0)
    async with Outbox(folder) as outbox:
        for number in range(20):
            await outbox.append(Commit(readings(number * 1_000, 1_000)))
            await outbox.tidy()
    assert caplog.text == ""


async def test_damaged_log_is_not_written_back_at_close(folder: Path) -> None:
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        await outbox.append(Commit(readings(0, 20)))
        await outbox.tidy()
        await outbox.append(Commit(readings(20, 20)))
        with (folder / "outbox.db-wal").open("r+b") as file:
            file.seek(32 + 24)
            file.write(os.urandom(4096))
    values, unreadable = await rest(folder)
    assert values[:20] == list(range(20))
    assert len(values) + unreadable == 40


async def test_delivery_running_when_damage_is_found_is_counted(folder: Path) -> None:
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        await outbox.append(Commit(readings(0, 10)))
        await outbox.mark_delivered("m", READINGS, 10, accepted=10)
        await outbox.append(Commit(readings(10, 10)))
        batch = await outbox.batch("m", READINGS, 1_000)
        garbage(folder / "outbox.db")
        garbage(folder / "outbox.db-wal")
        await outbox.append(Commit(readings(20, 10)))
        await outbox.mark_delivered("m", READINGS, batch.upto, accepted=10)
        batch = await outbox.batch("m", READINGS, 1_000)
        assert [reading.value for reading in batch.items] == list(range(20, 30))


async def test_outbox_replaced_together_with_its_log_is_read_with_the_log(
    folder: Path,
) -> None:
    other = folder / "other"
    async with Outbox(other) as outbox:
        await outbox.append(Commit(readings(0, 10)))
        image = crashed(other)
    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        await outbox.append(Commit(readings(10, 10)))
        for name in ("outbox.db", "outbox.db-wal"):
            (folder / name).unlink()
            shutil.copy(image / name, folder)
        (folder / "outbox.db-shm").unlink()
        await outbox.append(Commit(readings(20, 10)))
        batch = await outbox.batch("m", READINGS, 1_000)
    assert [reading.value for reading in batch.items] == [*range(10), *range(20, 30)]


async def test_collector_continues_with_salvaged_readings(folder: Path) -> None:
    """Readings that a sink had not received are delivered when it is available again."""
    clock = SettableClock(ManualClock().now())
    committed = []

    def saw(poll: Poll) -> None:
        committed.append(poll.committed)
        if len(committed) == 10:
            first_page(folder / "outbox.db")

    with Threads.counted():
        source, sink = Meter(clock), MemorySink()
        await collected(source, {"m": sink}, folder, 1, start=Start.BEGINNING)
        await collected(source, {}, folder, 20, on_poll=saw)
        await collected(source, {"m": sink}, folder, 1)
    assert committed == [True] * 20
    assert sink.values == list(range(1, 23))


# Files of the first format.

FORMAT_1 = """
PRAGMA auto_vacuum = INCREMENTAL;
CREATE TABLE readings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE TABLE consumers (
    name TEXT NOT NULL, stream TEXT NOT NULL, cursor INTEGER NOT NULL,
    joined INTEGER NOT NULL DEFAULT 1, course TEXT NOT NULL DEFAULT 'flowing',
    delivered INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0, last_success TEXT, error TEXT, error_since TEXT,
    next_try TEXT, PRIMARY KEY (stream, name)
);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO consumers (name, stream, cursor) VALUES ('m', 'readings', 5), ('m', 'events', 1);
INSERT INTO notes VALUES ('note', 'old');
PRAGMA application_id = 1397969987;
PRAGMA user_version = 1;
"""


def format_1(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "outbox.db")) as database, database:
        database.executescript(FORMAT_1)
        for table, items in (
            ("readings", readings(0, 100)),
            ("events", [event(number) for number in range(3)]),
        ):
            database.executemany(
                f"INSERT INTO {table} (added, record) VALUES (1767225600, CAST(? AS TEXT))",
                [(encode(item),) for item in items],
            )


async def test_outbox_of_the_first_format_is_continued(folder: Path) -> None:
    format_1(folder)
    old = read_status(folder).sinks
    assert old[-1].waiting == 95
    assert {sink.state for sink in old} == {DeliveryState.DELIVERING}
    async with Outbox(folder) as outbox:
        assert await outbox.notes() == {"note": "old"}
        await outbox.append(Commit(readings(100, 1), (), {"note": "new"}))
    change(folder / "outbox.db", b"number 100", b"number 101")
    assert await rest(folder) == (list(range(5, 100)), 1)
    assert await rest(folder, EVENTS) == ([event(n).message for n in (1, 2)], 0)


ALARMS_2: Final = (
    '{"troubles": [["leak", 1, 2, "module", "module", "2026-01-01T00:00:00Z"]], "water": '
    '[[1, 2, "5", {"time": "2026-01-01T00:00:00Z", "total": 5, "since": null, "rose": null, '
    '"ran_l": 7, "told": true, "night": null, "night_l": 0, "night_told": true}]], '
    '"heard": [[1, 2, "2026-01-01T00:00:00Z", "Home", "\\"told\\": "]], '
    '"answered": "2026-01-01T00:00:00Z"}'
)


@pytest.mark.parametrize("damaged", [False, True])
async def test_outbox_of_the_second_format_is_continued(folder: Path, damaged: bool) -> None:
    """Its states of validation and alarms had other names."""
    format_1(folder)
    with closing(sqlite3.connect(folder / "outbox.db")) as database, database:
        for table in ("readings", "events", "consumers", "notes"):
            database.execute(f"ALTER TABLE {table} ADD COLUMN sum INTEGER")
        database.execute("UPDATE consumers SET course = 'paused', error = 'no' WHERE name = 'm'")
        database.executemany(
            "INSERT INTO notes VALUES (?, ?, ?)",
            [
                (key, text, row_sum(key, text))
                for key, text in (("judge", "[]"), ("watch", ALARMS_2))
            ],
        )
        database.execute("PRAGMA user_version = 2")
    before = read_status(folder)
    assert {sink.state for sink in before.sinks} == {DeliveryState.PAUSED}
    if damaged:
        with (folder / "outbox.db").open("r+b") as file:
            file.write(bytes(200))
    async with Outbox(folder) as outbox:
        notes = await outbox.notes()
        await outbox.register("m", Stream.READINGS)
    assert notes["validation"] == "[]"
    assert {"judge", "watch"}.isdisjoint(notes)
    state = AlarmState.from_json(notes["alarms"])
    assert [*state.alarms] == [(EventKind.LEAK, (1, 2, "module", "module"))]
    (flow,) = state.flow.values()
    assert (flow.used_l, flow.reported, flow.night_reported) == (7, True, True)
    (device_seen,) = state.last_seen.values()
    assert device_seen.device == '"told": '
    assert state.last_readings is not None
    assert await rest(folder) == (list(range(5, 100)), 0)


@pytest.mark.parametrize("sql", ["", "UPDATE consumers SET cursor = -1 WHERE stream = 'readings'"])
async def test_damaged_outbox_of_the_first_format_is_salvaged(folder: Path, sql: str) -> None:
    format_1(folder)
    query(folder / "outbox.db", sql)
    with (folder / "outbox.db").open("r+b") as file:
        file.write(bytes(200))
    async with Outbox(folder) as outbox:
        assert await outbox.notes() == {"note": "old"}
    assert await rest(folder) == (list(range(0 if sql else 5, 100)), 0)
    assert await rest(folder, EVENTS) == ([event(n).message for n in (1, 2)], 0)


async def test_implausible_entry_number_in_the_first_format_is_ignored(folder: Path) -> None:
    """The only sign that it is wrong is its distance from the others."""
    format_1(folder)
    query(folder / "outbox.db", "UPDATE readings SET seq = 268000000 WHERE seq = 50")
    with (folder / "outbox.db").open("r+b") as file:
        file.write(bytes(200))
    values, unreadable = await rest(folder)
    assert (values, unreadable) == ([value for value in range(5, 100) if value != 49], 1)


# Anything, anywhere.

Strike = Callable[[Random, Path], None]


def flip_a_bit(random: Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    write(path, content)


def overwrite(random: Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(content))
        end = min(len(content), start + int(2 ** random.uniform(0, 14)))
        content[start:end] = (
            random.randbytes(end - start) if random.random() < 0.7 else bytes(end - start)
        )
    write(path, content)


def cut_off(random: Random, path: Path) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def write(path: Path, content: bytes | bytearray) -> None:
    with path.open("r+b") as file:
        file.write(content)


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("strike", [flip_a_bit, overwrite, cut_off])
def test_only_destroyed_entries_are_lost_after_random_damage(
    folder: Path, caplog: pytest.LogCaptureFixture, strike: Strike, running: bool
) -> None:
    for seed in range(25):
        caplog.clear()
        asyncio.run(_strike(folder / str(seed), Random(seed), strike, caplog, running=running))


async def _strike(
    folder: Path, random: Random, strike: Strike, caplog: pytest.LogCaptureFixture, *, running: bool
) -> None:
    acknowledged: dict[float, Reading] = {}

    async def polls(number: int) -> int:
        """The number of readings of the last one."""
        for _ in range(number):
            long = "long " * 2_000 if random.random() < 0.03 else ""
            entry = Commit(
                readings(len(acknowledged), random.randint(1, 30), name=long),
                (),
                {"validation": "j" * random.randrange(5_000)},
            )
            await outbox.append(entry)
            acknowledged.update((reading.value, reading) for reading in entry.readings)
            if random.random() < 0.5:
                await outbox.tidy()
        return len(entry.readings)

    async with Outbox(folder) as outbox:
        await outbox.register("m", READINGS)
        last = await polls(random.randint(1, 40))
        image = folder if running else crashed(folder)
        if random.random() < 0.3:
            with closing(sqlite3.connect(image / "outbox.db")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        files = [file for file in image.glob("outbox.db*") if not file.name.endswith("-shm")]
        victim = random.choice([file for file in files if file.stat().st_size])
        before = {file: file.read_bytes() for file in files}
        strike(random, victim)
        after = [
            (content, file.read_bytes() if file.exists() else b"")
            for file, content in before.items()
        ]
        expected = list(acknowledged)
        if running:
            await polls(random.randint(1, 5))
    async with Outbox(image) as outbox:
        await outbox.register("m", READINGS)
        batch = await outbox.batch("m", READINGS, 100_000)
    for reading in batch.items:
        assert acknowledged[reading.value] == reading
    delivered = {reading.value for reading in batch.items}
    lost = acknowledged.keys() - delivered
    assert lost <= set(expected)
    if lost:
        assert caplog.records
    if "the last write to the outbox" in caplog.text:  # as after a crash
        lost -= set(expected[-last:])
    if strike is not cut_off:
        assert not [value for value in lost if _is_untouched(encode(acknowledged[value]), after)]


def _is_untouched(record: bytes, files: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a record is unchanged, wherever it is stored."""
    copies = 0
    for before, after in files:
        place = before.find(record)
        while place >= 0:
            own = slice(max(0, place - 24), place + len(record) + 8)
            if before[own] != after[own]:
                return False
            copies += 1
            place = before.find(record, place + 1)
    return copies > 0
