"""A damaged store: found by a check, and reported with the same message everywhere."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sinks.stores import numbered
from sst_cloud import Quantity, SinkRefusedError
from sst_cloud_sinks.sqlite import SqliteSink

PAGE = 4096


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "our home.db"
    await SqliteSink(path).write(numbered(*range(3000)))
    return path


def overwrite(path: Path, first: int, last: int, garbage: bytes = b"\xa5") -> None:
    """Write garbage over some pages, of which the first is number 0."""
    with path.open("r+b") as file:
        file.seek(first * PAGE)
        file.write(garbage * ((last - first) * PAGE // len(garbage)))


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE * PAGE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, 1, 60),
        lambda path: overwrite(path, 1, 60, b"\0"),
        lambda path: overwrite(path, 1, 60, b"\x02\x0a\x0d\x05"),
        cut,
    ],
    ids=["garbage", "zeros", "like pages", "half of it"],
)
async def test_damage_is_reported_with_the_same_message_everywhere(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    content = path.read_bytes()
    sink = SqliteSink(path)

    async def read() -> None:
        async for _ in sink.read(Quantity.VOLUME):
            pass

    for action in (sink.check, sink.latest, read, lambda: sink.write(numbered(*range(3000, 3010)))):
        with pytest.raises(SinkRefusedError, match=r"our home\.db is damaged \(.+\)") as caught:
            await action()
        assert "restore a backup" in str(caught.value)
        assert f"sqlite3 '{path}' .recover | sqlite3 new.db" in str(caught.value)
        assert "another file" not in str(caught.value)
    assert path.read_bytes() == content


async def test_check_finds_damage_in_unread_pages(path: Path) -> None:
    last = path.stat().st_size // PAGE
    overwrite(path, last // 2, last // 2 + 1)
    await SqliteSink(path).check_readable()
    with pytest.raises(SinkRefusedError, match=r"is damaged \(.*[Pp]age"):
        await SqliteSink(path).check()


async def test_check_of_an_intact_store_writes_nothing(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    await SqliteSink(path).check()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_check_of_a_large_store_has_a_time_limit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that were not checked count as intact."""
    timers: list[Any] = []

    class Timer:
        def __init__(self, seconds: float, interrupt: Callable[[], None]) -> None:
            self.seconds, self.interrupt = seconds, interrupt
            self.state = "new"
            timers.append(self)

        def start(self) -> None:
            self.state = "started"

        def cancel(self) -> None:
            self.state = "cancelled"

        def join(self) -> None:
            assert self.state == "cancelled"

    class Slow(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "quick_check" in sql:
                assert timers[-1].state == "started"
                self.set_progress_handler(timers[-1].interrupt, 1)
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Slow))
    last = path.stat().st_size // PAGE
    overwrite(path, last // 2, last // 2 + 1)
    await SqliteSink(path).check()
    assert [timer.state for timer in timers] == ["cancelled"]
    assert 1 <= timers[0].seconds <= 5


async def test_store_with_a_destroyed_header_is_refused(path: Path) -> None:
    overwrite(path, 0, 1)
    for action in (SqliteSink(path).check, lambda: SqliteSink(path).write(numbered(1))):
        with pytest.raises(
            SinkRefusedError,
            match=r"not a valid SQLite database .* choose another file, or restore a backup",
        ):
            await action()


async def test_damaged_rows_are_skipped(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite does not detect a flipped bit."""
    with closing(sqlite3.connect(path)) as database, database:
        key = "WHERE value = ?"
        database.execute(f"UPDATE readings SET quality = 'gooe' {key}", (7,))
        database.execute(f"UPDATE readings SET name = CAST(x'436f6c64ff' AS TEXT) {key}", (8,))
        database.execute(f"UPDATE readings SET value = x'00' {key}", (9,))
        database.execute(f"UPDATE readings SET time = '2026-13-01T10:00:00Z' {key}", (10,))
        database.execute(f"UPDATE readings SET name = x'436f6c64' {key}", (11,))
    sink = SqliteSink(path)
    with caplog.at_level(logging.WARNING):
        stored = [reading async for reading in sink.read(Quantity.VOLUME)]
    assert [reading.value for reading in stored] == [*range(7), 8, *range(12, 3000)]
    assert {reading.name for reading in stored} == {"Cold", "Cold\N{REPLACEMENT CHARACTER}"}
    assert caplog.text.count("skipped a row that is not a reading") == 4
