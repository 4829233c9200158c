"""The SQLite file: its columns, its guarantees, and foreign files."""

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sinks.stores import numbered, rows, values
from sst_cloud import (
    Quality,
    Quantity,
    SinkOptionsError,
    SinkRefusedError,
    SinkUnavailableError,
    open_sink,
)
from sst_cloud.readings import FIELDS
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.sqlite import SqliteSink
from sst_cloud_sinks.sqlite import sink as sqlite_sink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home.db"


async def test_table_has_the_columns_of_a_reading(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading(), sample_reading(quantity=Quantity.LEAK, value=True)])
    columns = [row[1] for row in rows(path, "PRAGMA table_info(readings)")]
    assert tuple(columns) == FIELDS
    stored = rows(
        path, "SELECT time, quantity, value, typeof(value) FROM readings ORDER BY quantity"
    )
    assert stored == [
        ("2026-03-01T12:00:00Z", "leak", 1, "integer"),
        ("2026-03-01T12:00:00Z", "volume", 123450, "integer"),
    ]


async def test_finished_write_is_entirely_in_the_main_file(path: Path) -> None:
    """It may be moved or copied between two writes, and there are no files beside it."""
    async with SqliteSink(path) as sink:
        for number in range(3):
            await sink.write(numbered(number))
            copy = path.with_name(f"copy-{number}.db")
            shutil.copyfile(path, copy)
            assert values(copy) == [*range(number + 1)]
        assert sorted(file.name for file in path.parent.iterdir()) == [
            *(f"copy-{number}.db" for number in range(3)),
            "home.db",
        ]
    assert rows(path, "PRAGMA journal_mode") == [("delete",)]


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Path]]:
    """Make a folder, and then keep this process, even as root, from writing to it."""
    with TemporaryDirectory() as name:
        folder = Path(name)

        def protect() -> Path:
            for file in folder.iterdir():
                file.chmod(0o444)
            folder.chmod(0o555)
            if os.geteuid() == 0:
                os.seteuid(65534)
            return folder

        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        yield protect
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def earlier(path: Path) -> Path:
    """A store of an earlier version, which was in WAL mode."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(sqlite_sink._SCHEMA)
        marks = ", ".join("?" * len(FIELDS))
        database.executemany(
            f"INSERT INTO readings VALUES ({marks})", sqlite_sink._rows(numbered(1, 2))
        )
        database.commit()
    return path


@pytest.fixture
def killed(earlier: Path, tmp_path: Path) -> Path:
    """The same store, with all new rows in the log beside it."""
    with closing(sqlite3.connect(earlier)) as database:
        database.execute("UPDATE readings SET value = value + 10")
        database.commit()
        shutil.copytree(tmp_path, tmp_path / "killed")
    return tmp_path / "killed" / earlier.name


async def test_store_of_an_earlier_version_is_read_and_continued(
    earlier: Path, killed: Path
) -> None:
    for path, stored in ((earlier, [11, 12]), (killed, [11, 12])):
        async with SqliteSink(path) as sink:
            assert [reading.value async for reading in sink.read(Quantity.VOLUME)] == stored
            await sink.check()
            await sink.write(numbered(3))
        shutil.copyfile(path, path.with_name("copy.db"))
        assert values(path.with_name("copy.db")) == [*stored, 3]
        assert rows(path, "PRAGMA journal_mode") == [("delete",)]


async def test_earlier_store_opened_by_another_program_is_a_temporary_error(
    earlier: Path,
) -> None:
    async with SqliteSink(earlier) as sink:
        with closing(sqlite3.connect(earlier)) as other:
            other.execute("SELECT * FROM readings").fetchone()
            with pytest.raises(
                SinkUnavailableError, match=r"locked: it is in WAL mode.*close the others once"
            ):
                await sink.write(numbered(3))
        await sink.write(numbered(3))
    assert values(earlier) == [1, 2, 3]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_file_in_a_read_only_folder_can_be_read(
    read_only: Callable[[], Path], mode: str
) -> None:
    """A backup, say, or a volume mounted `:ro`: WAL would make a file beside it."""
    async with SqliteSink("home.db") as sink:
        await sink.write([sample_reading()])
    rows(Path("home.db"), f"PRAGMA journal_mode = {mode}")
    read_only()
    async with SqliteSink("home.db") as sink:
        await sink.check_readable()
        assert list(await sink.latest()) == [sample_reading()]
        assert [reading async for reading in sink.read(Quantity.VOLUME)] == [sample_reading()]
        with pytest.raises(SinkRefusedError):
            await sink.write([sample_reading()])


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_incomplete_file_in_a_read_only_folder_is_refused(
    read_only: Callable[[], Path], mode: str
) -> None:
    await SqliteSink("live.db").write(numbered(*range(1000)))
    with closing(sqlite3.connect("live.db", isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("UPDATE readings SET name = 'new'")
        side = "-journal" if mode == "DELETE" else "-wal"
        for suffix in ("", side):
            shutil.copy(f"live.db{suffix}", f"home.db{suffix}")
        database.execute("ROLLBACK")
    read_only()
    async with SqliteSink("home.db") as sink:
        with pytest.raises(
            SinkRefusedError, match=rf"its data is in home\.db{side}: make the folder writable"
        ):
            await sink.latest()


@pytest.mark.usefixtures("read_only")
async def test_writable_file_in_a_read_only_folder_is_refused() -> None:
    """A write needs a journal beside it."""
    sink = SqliteSink("home.db")
    await sink.write(numbered(1))
    Path("home.db").chmod(0o666)
    Path.cwd().chmod(0o555)
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 0)
    try:
        assert [reading.value for reading in await sink.latest()] == [1]
        for action in (sink.check, lambda: sink.write(numbered(2))):
            with pytest.raises(SinkRefusedError, match=r"makes a file beside it.* not writable"):
                await action()
    finally:
        if os.geteuid() == 65534:
            os.setresuid(0, 0, 0)


async def test_missing_and_empty_stores_are_distinguished(path: Path) -> None:
    async with SqliteSink(path) as sink:
        with pytest.raises(SinkRefusedError, match="does not exist"):
            await sink.check_readable()
        path.touch()
        with pytest.raises(SinkRefusedError, match="is empty; nothing has been stored there yet"):
            await sink.check_readable()
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE mine (x)")
        with pytest.raises(SinkRefusedError, match="contains no readings"):
            await sink.check_readable()
        await sink.write([sample_reading()])
        await sink.check_readable()


async def test_corrected_reading_replaces_the_first_one(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading(quality=Quality.SUSPECT)])
        await sink.write([sample_reading(value=7)])
        stored = [reading async for reading in sink.read(Quantity.VOLUME)]
    assert stored == [sample_reading(value=7)]


async def test_check_and_reading_create_no_file(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.check()
        assert list(await sink.latest()) == []
        assert [reading async for reading in sink.read(Quantity.VOLUME)] == []
    assert not path.exists()


async def test_foreign_database_gets_a_table_only_on_write(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (x)")
    async with SqliteSink(path) as sink:
        await sink.check()
        assert list(await sink.latest()) == []
    assert rows(path, "SELECT name FROM sqlite_master") == [("mine",)]
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading()])
    assert len(rows(path, "SELECT * FROM readings")) == 1


async def test_table_with_other_columns_is_refused_and_unchanged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE readings (book, page)")
        database.execute("INSERT INTO readings VALUES ('Dune', 7)")
    async with SqliteSink(path) as sink:
        for action in (sink.check, sink.latest, lambda: sink.write([sample_reading()])):
            with pytest.raises(SinkRefusedError, match="different columns"):
                await action()
    assert rows(path, "SELECT * FROM readings") == [("Dune", 7)]


@pytest.mark.parametrize(
    "content", [b"time,quantity\r\n" * 100, b"SQLite format 3\0" + b"x" * 2000]
)
async def test_file_that_is_not_a_database_is_refused_and_unchanged(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    async with SqliteSink(path) as sink:
        for action in (sink.check, lambda: sink.write([sample_reading()])):
            with pytest.raises(SinkRefusedError, match="not a valid SQLite database"):
                await action()
    assert path.read_bytes() == content


@pytest.fixture(params=["DELETE", "WAL"])
def another_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Another program locks the file, and the sink does not wait long for it."""
    monkeypatch.setattr(sqlite_sink, "_BUSY", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode = {request.param}")
        database.execute("CREATE TABLE mine (x)")
        database.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.usefixtures("another_writer")
async def test_locked_file_is_a_temporary_error(path: Path) -> None:
    async with SqliteSink(path) as sink:
        for action in (sink.check, lambda: sink.write([sample_reading()])):
            with pytest.raises(SinkUnavailableError, match="locked"):
                await action()


async def test_file_read_by_another_program_is_a_temporary_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_sink, "_BUSY", 0.01)
    async with SqliteSink(path) as sink:
        await sink.write(numbered(*range(1000)))
        with closing(sqlite3.connect(path)) as other:
            cursor = other.execute("SELECT * FROM readings")
            cursor.fetchone()
            await sink.check()
            with pytest.raises(SinkUnavailableError, match="locked"):
                await sink.write(numbered(1000))
            cursor.close()
        await sink.write(numbered(1000))
    assert values(path) == [*range(1001)]


async def test_a_failed_write_stores_nothing(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading()])
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "CREATE TRIGGER no BEFORE INSERT ON readings WHEN new.point_id = 'bad' "
                "BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        good, bad = sample_reading(point_id="good"), sample_reading(point_id="bad")
        with pytest.raises(SinkRefusedError, match="cannot be used: no"):
            await sink.write([good, bad])
        await sink.write([good])
    assert len(rows(path, "SELECT * FROM readings")) == 2


async def test_failing_disk_is_a_temporary_error(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading()])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        try:
            with pytest.raises(SinkUnavailableError, match="cannot be used: disk I/O error"):
                await sink.write([sample_reading(value=7)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await sink.write([sample_reading(value=8)])
    assert rows(path, "SELECT value FROM readings") == [(8,)]


async def test_file_removed_while_open_is_created_again(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading()])
        for file in path.parent.iterdir():
            file.unlink()
        await sink.write([sample_reading(value=7)])
    assert rows(path, "SELECT value FROM readings") == [(7,)]


async def test_unwritable_path_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "home.db"):
        async with SqliteSink(path) as sink:
            with pytest.raises(SinkRefusedError):
                await sink.write([sample_reading()])


async def test_many_readings_are_read_in_pieces(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write([sample_reading(point_id=str(n), value=n) for n in range(12_000)])
        assert len({reading.point_id async for reading in sink.read(Quantity.VOLUME)}) == 12_000


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://x", "sqlite:x?mode=ro"])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(SinkOptionsError):
        open_sink(url)
