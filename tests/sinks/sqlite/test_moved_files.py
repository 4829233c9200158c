"""An SQLite file that is moved, copied, replaced or removed: accepted readings are in some file."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.memory import MEMORY
from sinks.stores import numbered, rows, values
from sst_cloud import Quantity, Reading, SinkRefusedError, SinkUnavailableError
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = pytest.mark.not_quick

OLD = numbered(*range(100))
BATCH = [*numbered(*range(50), more=1000), *numbered(*range(100, 300))]
"""It corrects half of the stored readings, and adds twice as many."""
NEW = [reading.value for reading in BATCH]


class Steps:
    """Runs an action after this many SQLite statements, rows and file checks."""

    def __init__(self) -> None:
        self.begin(-1, lambda: None)

    def begin(self, at: int, act: Callable[[], object]) -> None:
        self.count, self._at, self._act = 0, at, act

    def step(self) -> None:
        self.count += 1
        if self.count == self._at:
            self._act()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that is quick to sync."""
    with tempfile.TemporaryDirectory(prefix="store-", dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Counts statements, rows and file checks; parts of a write reach the file before its end."""
    steps = Steps()

    class Connection(sqlite3.Connection):
        def execute(self, *what: Any) -> sqlite3.Cursor:
            steps.step()
            cursor = super().execute(*what)
            steps.step()
            return cursor

        def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
            super().execute("PRAGMA cache_size = 1")
            return super().executemany(sql, self._each(rows))

        def _each(self, rows: Iterable[Any]) -> Iterator[Any]:
            for number, row in enumerate(rows):
                if number % 20 == 0:
                    steps.step()
                yield row

    connect, stat, fsync = sqlite3.connect, Path.stat, os.fsync

    def connect_in_steps(*what: Any, **options: Any) -> sqlite3.Connection:
        steps.step()
        return connect(*what, **options, factory=Connection)

    def stat_in_steps(path: Path, **options: Any) -> Any:
        steps.step()
        return stat(path, **options)

    def fsync_in_steps(handle: int) -> None:
        steps.step()
        fsync(handle)

    monkeypatch.setattr(sqlite3, "connect", connect_in_steps)
    monkeypatch.setattr(Path, "stat", stat_in_steps)
    monkeypatch.setattr(os, "fsync", fsync_in_steps)
    return steps


def move(folder: Path) -> None:
    (folder / "home.db").rename(folder / "moved.db")


def remove(folder: Path) -> None:
    (folder / "home.db").unlink()


def replace(folder: Path) -> None:
    move(folder)
    (folder / "other.db").rename(folder / "home.db")


def move_folder(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.mkdir()


async def write_until_accepted(sink: SqliteSink, batch: Sequence[Reading]) -> None:
    for _ in range(3):
        with suppress(SinkUnavailableError):
            await sink.write(batch)
            return
    await sink.write(batch)


@pytest.mark.parametrize("act", [move, remove, replace, move_folder])
async def test_moving_the_file_at_any_step_of_a_write_loses_nothing(
    tmp_path: Path, steps: Steps, act: Callable[[Path], None]
) -> None:
    async with SqliteSink(tmp_path / "home.db") as sink:
        await sink.write(OLD)
    at, reached = 0, True
    while reached:
        at += 1
        folder = tmp_path / str(at) / "here"
        folder.mkdir(parents=True)
        for name in ("home.db", "other.db"):
            shutil.copy(tmp_path / "home.db", folder / name)
        async with SqliteSink(folder / "home.db") as sink:
            steps.begin(at, partial(act, folder))
            await write_until_accepted(sink, BATCH)
            reached = steps.count >= at
            steps.begin(-1, lambda: None)
        stored = {value for file in folder.parent.rglob("*.db") for value in values(file)}
        assert stored.issuperset(NEW)
        assert act is remove or stored.issuperset(range(50, 100))
        assert [file for file in folder.parent.rglob("*.db*") if file.suffix != ".db"] == []
    assert at > 30


async def test_journal_of_a_killed_write_is_kept_if_the_file_is_moved(
    tmp_path: Path, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite itself would apply the journal to the new file, and delete it."""
    at, reached, journals = 0, True, 0
    while reached:
        at += 1
        before, after = (tmp_path / f"{when}-{at}" for when in ("before", "after"))
        before.mkdir()
        async with SqliteSink(before / "home.db") as sink:
            await sink.write(OLD)
            steps.begin(at, partial(shutil.copytree, before, after))
            await sink.write(BATCH)
            reached = steps.count >= at
            steps.begin(-1, lambda: None)
        if not reached:
            break
        move(after)
        caplog.clear()
        async with SqliteSink(after / "home.db") as sink:
            await sink.check()
            assert list(await sink.latest()) == []
            await sink.write(BATCH)
        assert values(after / "home.db") == sorted(NEW, key=lambda value: value % 1000)
        orphans = list(after.glob("*orphan*"))
        for orphan in orphans:
            journals += 1
            assert "home.db-journal belongs to a store that was moved" in caplog.text
            assert orphan.name in caplog.text
            orphan.rename(after / "moved.db-journal")
        assert values(after / "moved.db")[50:100] == list(range(50, 100))
    assert journals > 3


async def test_journal_of_a_killed_first_write_is_kept_if_the_file_moves(
    tmp_path: Path, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of the write may be in that file; with its journal, it is an empty store again."""
    at, reached, journals = 0, True, 0
    while reached:
        at += 1
        before, after = (tmp_path / f"{when}-{at}" for when in ("before", "after"))
        before.mkdir()
        async with SqliteSink(before / "home.db") as sink:
            steps.begin(at, partial(shutil.copytree, before, after))
            await sink.write(BATCH)
            reached = steps.count >= at
            steps.begin(-1, lambda: None)
        if not reached:
            break
        if not (after / "home.db").exists():
            continue
        move(after)
        caplog.clear()
        async with SqliteSink(after / "home.db") as sink:
            await sink.write(BATCH)
        assert len(values(after / "home.db")) == len(BATCH)
        for orphan in after.glob("*orphan*"):
            journals += 1
            assert orphan.name in caplog.text
            orphan.rename(after / "moved.db-journal")
        with closing(sqlite3.connect(after / "moved.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if (after / "moved.db").stat().st_size:
            assert len(values(after / "moved.db")) == len(BATCH)
    assert journals > 3


@pytest.mark.parametrize("empty", [False, True])
async def test_log_of_an_earlier_store_is_kept_if_the_file_is_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, empty: bool
) -> None:
    path = tmp_path / "home.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE mine (x)")
        shutil.copytree(tmp_path, tmp_path / "killed")
    path = tmp_path / "killed" / "home.db"
    log = path.with_name("home.db-wal").read_bytes()
    move(path.parent)
    if empty:
        path.touch()
    async with SqliteSink(path) as sink:
        assert list(await sink.latest()) == []
        await sink.check()
        for number in range(2):
            await sink.write(numbered(number))
    assert path.with_name("home.db-wal.orphan1").read_bytes() == log
    assert caplog.text.count("home.db-wal.orphan1") == 1
    assert ("is empty; starting a new store in it" in caplog.text) is empty
    path.with_name("home.db-wal.orphan1").rename(path.with_name("moved.db-wal"))
    assert rows(path.with_name("moved.db"), "SELECT name FROM sqlite_master") == [("mine",)]


async def test_orphaned_files_do_not_overwrite_one_another(tmp_path: Path) -> None:
    path = tmp_path / "home.db"
    for content in (b"first", b"second"):
        path.with_name("home.db-wal").write_bytes(content)
        async with SqliteSink(path) as sink:
            await sink.write(numbered(1))
        path.unlink()
    contents = [file.read_bytes() for file in sorted(tmp_path.glob("*.orphan*"))]
    assert contents == [b"first", b"second"]


async def test_journal_of_a_killed_very_first_write_is_discarded(
    tmp_path: Path, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed during its very first write, a sink starts again without reporting orphaned files."""
    at, reached = 0, True
    while reached:
        at += 1
        before, after = (tmp_path / f"{when}-{at}" for when in ("before", "after"))
        before.mkdir()
        async with SqliteSink(before / "home.db") as sink:
            steps.begin(at, partial(shutil.copytree, before, after))
            await sink.write(BATCH)
            reached = steps.count >= at
            steps.begin(-1, lambda: None)
        if reached:
            async with SqliteSink(after / "home.db") as sink:
                await sink.write(BATCH)
            assert len(values(after / "home.db")) == len(BATCH)
            assert [file.name for file in after.iterdir()] == ["home.db"]
    assert "orphan" not in caplog.text


async def test_missing_file_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "home.db"
    async with SqliteSink(path) as sink:
        for act in (None, move, None, remove, None):
            if act:
                act(tmp_path)
            await sink.write(numbered(1))
        for number in range(2):
            shutil.copy(path, tmp_path / "other.db")
            replace(tmp_path)
            await sink.write(numbered(number))
        path.write_bytes(b"")
        await sink.write(numbered(1))
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        *[f"{path} was moved or removed; starting a new one"] * 2,
        *[f"{path} was replaced; going on with the file that is there now"] * 2,
        f"{path} is empty; starting a new store in it",
    ]


async def test_write_continues_after_its_folder_returns(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    async with SqliteSink(folder / "home.db") as sink:
        await sink.write(numbered(1))
        folder.rename(tmp_path / "unplugged")
        for action in (sink.check, lambda: sink.write(numbered(2))):
            with pytest.raises(SinkRefusedError, match="disk does not exist; create it first"):
                await action()
        (tmp_path / "unplugged").rename(folder)
        await sink.write(numbered(2))
    assert values(folder / "home.db") == [1, 2]


async def test_file_behind_a_symbolic_link_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link, disk = tmp_path / "home.db", tmp_path / "disk"
    disk.mkdir()
    link.symlink_to(disk / "one.db")
    async with SqliteSink(link) as sink:
        await sink.write(numbered(1))
        (disk / "one.db").rename(disk / "moved.db")
        (disk / "one.db-wal").write_bytes(b"log of what is moved")
        await sink.write(numbered(2))
        link.unlink()
        link.symlink_to(disk / "two.db")
        await sink.write(numbered(3))
    assert [values(disk / f"{name}.db") for name in ("moved", "one", "two")] == [[1], [2], [3]]
    assert "one.db-wal.orphan1" in caplog.text


async def test_store_copied_over_the_file_is_continued(tmp_path: Path) -> None:
    """Even a store of an earlier version, or with its tables in another order."""
    path, other = tmp_path / "home.db", tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE mine AS SELECT 'kept' AS word")
        database.commit()
    async with SqliteSink(path) as sink:
        await sink.write(numbered(1))
        shutil.copyfile(other, path)
        await sink.write(numbered(2))
        shutil.copyfile(path, tmp_path / "copy.db")
    assert values(tmp_path / "copy.db") == [2]
    assert rows(path, "SELECT word FROM mine") == [("kept",)]


@pytest.mark.parametrize("act", [move, remove, replace, move_folder])
async def test_moving_the_file_during_a_read_is_an_error(
    tmp_path: Path, act: Callable[[Path], None]
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    async with SqliteSink(folder / "home.db") as sink:
        await sink.write(numbered(*range(10_000)))
        shutil.copy(folder / "home.db", folder / "other.db")
        reading = sink.read(Quantity.VOLUME)
        await anext(reading)
        act(folder)
        with pytest.raises(SinkUnavailableError, match="moved or replaced while it was being read"):
            async for _ in reading:
                pass


async def test_open_reader_does_not_block_writers(tmp_path: Path) -> None:
    async with SqliteSink(tmp_path / "home.db") as sink:
        await sink.write(numbered(*range(10_000)))
        reading = sink.read(Quantity.VOLUME)
        await anext(reading)
        with closing(sqlite3.connect(tmp_path / "home.db", timeout=0)) as other, other:
            other.execute("UPDATE readings SET name = 'new'")
        await sink.write(numbered(10_000))
        rest = [reading async for reading in reading]
    assert len(rest) == 10_000
    assert {reading.name for reading in rest} == {"Cold", "new"}


async def test_cancelled_read_does_not_block_the_next_write(tmp_path: Path) -> None:
    async with SqliteSink(tmp_path / "home.db") as sink:
        await sink.write(numbered(*range(10_000)))
        reading = sink.read(Quantity.VOLUME)
        task = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sink.write(numbered(10_000))


async def _interrupt(path: Path, mode: str) -> None:
    """Leave a store with 5000 readings as a kill in the middle of a write does."""
    async with SqliteSink(path) as sink:
        await sink.write(numbered(*range(5000)))
    program = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute(f'PRAGMA journal_mode = {sys.argv[2]}')\n"
        "database.execute('PRAGMA cache_size = 5')\n"
        "database.execute('BEGIN')\n"
        "database.execute('UPDATE readings SET value = value + 1, name = name || \"longer\"')\n"
        "database.execute('COMMIT') if sys.argv[2] == 'wal' else None\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", program, str(path), mode]
    await asyncio.to_thread(subprocess.run, command, check=False)


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("first", ["check", "write", "read"])
async def test_restored_backup_is_not_mixed_with_leftover_files(
    tmp_path: Path, mode: str, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "home.db"
    async with SqliteSink(path) as sink:
        await sink.write(numbered(*range(100)))
    backup = path.read_bytes()
    await _interrupt(path, mode)
    left = {side.name for side in tmp_path.iterdir()} - {"home.db", "home.db-shm"}
    assert left == {"home.db-wal" if mode == "wal" else "home.db-journal"}
    path.rename(tmp_path / "home-2025.db")
    path.write_bytes(backup)
    async with SqliteSink(path) as sink:
        if first == "check":
            await sink.check()
        elif first == "write":
            await sink.write(numbered(100))
        stored = [reading async for reading in sink.read(Quantity.VOLUME)]
        await sink.check()
    assert len(stored) == 100 + (first == "write")
    (aside,) = tmp_path.glob("home.db-*.orphan1")
    assert aside.name in caplog.text


async def test_first_write_to_a_damaged_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "home.db"
    async with SqliteSink(path) as sink:
        await sink.write(numbered(*range(5000)))
    content = bytearray(path.read_bytes())
    page = len(content) // 4096 // 2
    content[page * 4096 : page * 4096 + 8] = bytes(8)
    path.write_bytes(content)
    async with SqliteSink(path) as sink:
        with pytest.raises(SinkRefusedError, match="is damaged"):
            await sink.write(numbered(9999))
