"""Temporary shortages, such as too many open files, are not refusals."""

import errno
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sinks.stores import numbered
from sst_cloud import Quantity, SinkRefusedError, SinkUnavailableError
from sst_cloud.atomic_files import is_temporary, sync_folder
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

KINDS = pytest.mark.parametrize("kind", [CsvSink, SqliteSink])

SHORT_OF_FILES = """
import asyncio, os, resource, sqlite3, sys
from contextlib import closing, contextmanager
from pathlib import Path
from sinks.stores import numbered
from sst_cloud import Quantity, SinkUnavailableError
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

kind = {"CsvSink": CsvSink, "SqliteSink": SqliteSink}[sys.argv[1]]
folder = Path(sys.argv[2])

@contextmanager
def no_more_than(spare):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    files = []
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for _ in range(spare):
        os.close(files.pop())
    try:
        yield
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

async def read(sink):
    return [reading async for reading in sink.read(Quantity.VOLUME)]

async def main():
    await asyncio.to_thread(int)  # imports what threads need
    for existing in ("no", "yes", "WAL"):
        for spare in range(8):
            sink = kind(folder / f"{existing}-{spare}")
            actions = [sink.check, lambda: sink.write(numbered(1))]
            if existing != "no":
                await sink.write(numbered(0))
                actions += [sink.latest, sink.check_readable, lambda: read(sink)]
            if existing == "WAL" and kind is SqliteSink:
                with closing(sqlite3.connect(folder / f"{existing}-{spare}")) as database:
                    database.execute("PRAGMA journal_mode = WAL")
            for number, action in enumerate(actions):
                try:
                    with no_more_than(spare):
                        await action()
                except SinkUnavailableError as error:
                    print(existing, spare, number, error)
            await sink.write(numbered(1))
            assert [r.value for r in await read(sink)] == [*range(existing == "no", 2)]

asyncio.run(main())
"""


@KINDS
def test_too_many_open_files_is_a_temporary_error(
    kind: type[CsvSink | SqliteSink], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SHORT_OF_FILES, kind.__name__, str(tmp_path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    lines = done.stdout.splitlines()
    assert all("Too many open files" in line for line in lines)
    for existing in ("no", "yes", "WAL"):
        for number in [1] if existing == "no" else range(5):
            short = [line for line in lines if line.startswith(f"{existing} 0 {number} ")]
            assert len(short) == 1
    assert not any(line.split()[1] == "7" for line in lines)


@pytest.mark.parametrize(
    "number",
    [
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EINTR, errno.ETIMEDOUT),
        *(errno.ESTALE, errno.ENOLCK, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOTCONN),
    ],
    ids=errno.errorcode.__getitem__,
)
async def test_temporary_os_errors_are_not_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    error = OSError(number, os.strerror(number))

    def fail(*_: object, **__: object) -> None:
        raise error

    assert is_temporary(error)
    csv, database = CsvSink(tmp_path / "x.csv"), SqliteSink(tmp_path / "x.db")
    for sink in (csv, database):
        await sink.write(numbered(1))
    for name in ("stat", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, fail)
            actions: list[Callable[[], Awaitable[object]]] = [csv.check, csv.check_readable]
            if name == "open":
                actions += [csv.latest, lambda: csv.write(numbered(2))]
            else:
                actions += [database.check, database.check_readable, database.latest]
                actions += [lambda: database.write(numbered(2))]
            for action in actions:
                with pytest.raises(SinkUnavailableError, match=r"cannot be (read|written): "):
                    await action()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        for sink in (csv, database):
            with pytest.raises(SinkUnavailableError, match="cannot be written: "):
                await sink.write(numbered(2))
    for sink in (csv, database):
        await sink.write(numbered(2))
        assert [r.value async for r in sink.read(Quantity.VOLUME)] == [1, 2]


@KINDS
async def test_permanent_os_errors_are_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[CsvSink | SqliteSink]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    sink = kind(tmp_path / "x")
    monkeypatch.setattr(Path, "stat", fail)
    monkeypatch.setattr(Path, "open", fail)
    for action in (sink.check, sink.check_readable, lambda: sink.write(numbered(2))):
        with pytest.raises(SinkRefusedError, match="Read-only file system"):
            await action()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
@KINDS
async def test_file_system_without_folder_sync_is_supported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[CsvSink | SqliteSink],
    number: int,
) -> None:
    fsync = os.fsync

    def fsync_files(handle: int) -> None:
        if os.path.isdir(f"/dev/fd/{handle}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fsync_files)
    sink = kind(tmp_path / "x")
    await sink.write(numbered(1))
    assert [reading.value for reading in await sink.latest()] == [1]


def test_failing_disk_is_an_error_when_syncing_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


async def test_out_of_memory_is_a_temporary_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite raises MemoryError in this case."""

    def fail(*_: object) -> None:
        raise MemoryError

    sink = SqliteSink(tmp_path / "home.db")
    monkeypatch.setattr("sst_cloud_sinks.sqlite.sink._rows", fail)
    with pytest.raises(SinkUnavailableError, match="cannot be written: out of memory"):
        await sink.write(numbered(1))
