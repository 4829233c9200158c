"""The CSV file: its content, and what is never changed in it."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import pytest

from sst_cloud import (
    Quantity,
    SinkError,
    SinkOptionsError,
    SinkRefusedError,
    SinkUnavailableError,
    open_sink,
)
from sst_cloud.readings import FIELDS
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks import csv as csv_sink
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

HEADER = ",".join(FIELDS) + "\r\n"
ROW = (
    "2026-03-01T12:00:00Z,volume,123450,L,1,Home,2,Bathroom,Neptun Smart,counter,3,Cold,1,cold,good"
    "\r\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "readings.csv"


async def write(path: Path, **changes: Any) -> None:
    async with CsvSink(path) as sink:
        await sink.write([sample_reading(**changes)])


async def test_file_has_a_header_and_one_row_per_reading(path: Path) -> None:
    await write(path)
    await write(path, quantity=Quantity.LEAK, value=True, name=None, line=None, water=None)
    lines = path.read_bytes().decode().splitlines(keepends=True)
    assert lines[:2] == [HEADER, ROW]
    assert lines[2] == (
        "2026-03-01T12:00:00Z,leak,true,,1,Home,2,Bathroom,Neptun Smart,counter,3,,,,good\r\n"
    )


@pytest.mark.parametrize("name", ["=1+1", "+7 999", "-x", "@home", "\tx"])
async def test_names_that_look_like_formulas_are_quoted(path: Path, name: str) -> None:
    await write(path, name=name)
    assert f"'{name}" in path.read_text()
    assert [reading.name async for reading in CsvSink(path).rows()] == [name]


@pytest.mark.parametrize("torn", ["2026-03-01T1", ROW[:40], ROW[:-3], '2026,"two\r\nlin', '"'])
async def test_torn_last_line_is_cut_off(path: Path, torn: str, caplog: Any) -> None:
    path.write_text(HEADER + ROW + torn, newline="")
    await write(path, value=5)
    assert path.read_text() == (HEADER + ROW + ROW.replace("123450", "5")).replace("\r\n", "\n")
    assert f"cut {len(torn)} bytes" in caplog.text


@pytest.mark.parametrize("torn", ["", "2026-03-01T1"])
@pytest.mark.parametrize("name", ['1/2" pipe', '"1/2" pipe'])
async def test_rows_after_an_unclosed_quote_are_not_cut_off(
    path: Path, name: str, torn: str
) -> None:
    """Written by hand or by another program: the rows after it are complete readings."""
    path.write_text(HEADER + ROW.replace("Cold", name) + ROW * 3 + torn, newline="")
    await write(path, value=5)
    lines = path.read_bytes().decode().splitlines(keepends=True)
    assert lines[-4:] == [ROW] * 3 + [ROW.replace("123450", "5")]
    assert len(lines) == 6


@pytest.mark.parametrize("cut", [1, 2])
async def test_complete_last_line_without_its_line_end_is_finished(path: Path, cut: int) -> None:
    path.write_text(HEADER + ROW[:-cut], newline="")
    await write(path, value=5)
    assert path.read_bytes().decode() == HEADER + ROW + ROW.replace("123450", "5")


async def test_torn_header_is_written_again(path: Path) -> None:
    path.write_text(HEADER[:20], newline="")
    await write(path)
    assert path.read_bytes().decode() == HEADER + ROW


async def test_line_breaks_and_quotes_in_names_do_not_end_a_row(path: Path) -> None:
    await write(path, name='a "b"\r\nc')
    before = path.read_bytes()
    await write(path)
    assert path.read_bytes() == before + ROW.encode()


async def test_file_saved_by_another_editor_is_continued(path: Path) -> None:
    path.write_text("\N{ZERO WIDTH NO-BREAK SPACE}" + (HEADER + ROW).replace("\r\n", "\n"))
    await write(path, value=5)
    assert [reading.value async for reading in CsvSink(path).rows()] == [123450, 5]


@pytest.mark.parametrize("content", [b"a,b\r\n1,2\r\n", b"\xff\xfe\x00", b"a,b", b'"'])
async def test_foreign_file_is_refused_and_unchanged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sink = CsvSink(path)
    for action in (sink.check(), sink.write([sample_reading()]), sink.latest()):
        with pytest.raises(SinkRefusedError, match=r"columns|not a CSV"):
            await action
    assert path.read_bytes() == content


async def test_file_changed_while_open_is_checked_again(path: Path) -> None:
    async with CsvSink(path) as sink:
        await sink.write([sample_reading()])
        path.write_text("mine\r\n", newline="")
        with pytest.raises(SinkRefusedError):
            await sink.write([sample_reading()])
        path.unlink()
        await sink.write([sample_reading()])
    assert path.read_bytes().decode() == HEADER + ROW


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records what is synced to disk."""
    kinds: list[str] = []
    fsync = os.fsync

    def record(handle: int) -> None:
        kinds.append("folder" if S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", record)
    return kinds


async def test_folder_of_a_new_file_is_synced_before_write_returns(
    path: Path, synced: list[str]
) -> None:
    """Otherwise a power cut could lose the new file."""
    async with CsvSink(path) as sink:
        for kinds in (["file", "folder"], ["file"]):
            synced.clear()
            await sink.write([sample_reading()])
            assert synced == kinds
        path.unlink()
        synced.clear()
        await sink.write([sample_reading()])
        assert synced == ["file", "folder"]
    synced.clear()
    await write(path)  # whoever created it may have been killed before that
    assert synced == ["file", "folder"]


async def test_synced_folder_is_that_of_the_file_not_of_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "x.csv").symlink_to(tmp_path / "disk" / "x.csv")
    folders: list[Path] = []
    monkeypatch.setattr(csv_sink, "sync_folder", folders.append)
    await write(tmp_path / "x.csv")
    assert folders == [(tmp_path / "disk").resolve()]


async def test_failed_folder_sync_leaves_no_partial_batch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with CsvSink(path) as sink:
        with monkeypatch.context() as patch:
            patch.setattr(csv_sink, "sync_folder", fail)
            with pytest.raises(SinkUnavailableError, match="Input/output error"):
                await sink.write([sample_reading(value=1)])
        await sink.write([sample_reading(value=2)])
        assert [reading.value async for reading in sink.rows()] == [2]


async def test_file_removed_during_a_write_loses_no_readings(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with CsvSink(path) as sink:
        await sink.write([sample_reading(value=1)])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: path.unlink())
            with pytest.raises(SinkUnavailableError, match="was removed while it was being writ"):
                await sink.write([sample_reading(value=2)])
        await sink.write([sample_reading(value=2)])
        assert [reading.value async for reading in sink.rows()] == [2]


async def test_missing_file_is_reported_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with CsvSink(path) as sink:
        await sink.write([sample_reading()])
        path.rename(path.with_name("moved.csv"))
        for _ in range(2):
            await sink.write([sample_reading()])
        path.with_name("moved.csv").replace(path)
        for _ in range(2):
            await sink.write([sample_reading()])
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} was moved or removed; starting a new one",
        f"{path} was replaced; going on with the file that is there now",
    ]


async def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path)
    with pytest.raises(SinkRefusedError, match="is a folder"):
        await sink.check()
    with pytest.raises(SinkRefusedError):
        await sink.write([sample_reading()])
    with pytest.raises(SinkRefusedError):
        await sink.latest()


@pytest.mark.parametrize("kind", [CsvSink, SqliteSink])
@pytest.mark.parametrize(
    ("error", "name"),
    [(None, "x" * 300), (PermissionError(errno.EACCES, "Permission denied"), "in/x")],
)
async def test_inaccessible_path_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[CsvSink | SqliteSink],
    error: OSError | None,
    name: str,
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise error  # type: ignore[misc]

    if error is not None:  # root may look at anything
        monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(SinkRefusedError, match="cannot be written"):
        await kind(tmp_path / name).check()


async def test_missing_folder_is_refused(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path / "no" / "x.csv")
    with pytest.raises(SinkRefusedError, match="does not exist; create it first"):
        await sink.check()
    with pytest.raises(SinkRefusedError, match="does not exist; create it first"):
        await sink.write([sample_reading()])


async def test_full_disk_leaves_no_partial_batch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SinkUnavailableError, match="No space"):
            await write(path, value=5)
    assert path.read_bytes().decode() == HEADER + ROW


@pytest.mark.parametrize("readings", [10, 1000])
async def test_partly_written_batch_is_removed(path: Path, readings: int) -> None:
    """None of it is written later, when there is space again."""
    batch = [sample_reading(point_id=str(n)) for n in range(readings)]
    async with CsvSink(path) as sink:
        await sink.write([sample_reading()])
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
        try:
            with pytest.raises(SinkError):
                await sink.write(batch)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert path.read_bytes().decode() == HEADER + ROW
        await sink.write(batch)
        assert [reading async for reading in sink.rows()] == [sample_reading(), *batch]


async def test_unwritable_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(HEADER)
    allowed: Callable[..., bool] = lambda *_: False  # noqa: E731  root may write anything
    monkeypatch.setattr(os, "access", allowed)
    with pytest.raises(SinkRefusedError, match="permission denied"):
        await CsvSink(path).check()


async def test_invalid_rows_are_skipped_and_logged(path: Path, caplog: Any) -> None:
    path.write_text(HEADER + "what,is,this\r\n" + ROW.replace("volume", "mass") + ROW, newline="")
    assert [reading.value async for reading in CsvSink(path).rows()] == [123450]
    assert "line 2" in caplog.text
    assert "line 3" in caplog.text


async def test_a_reading_written_twice_is_read_once(path: Path) -> None:
    await write(path)
    await write(path, value=7)
    readings = [reading async for reading in CsvSink(path).read(Quantity.VOLUME)]
    assert [reading.value for reading in readings] == [7]


@pytest.mark.parametrize("url", ["csv:", "csv://x.csv", "csv:x.csv?sep=;", "csv:x?a=1&a=2"])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(SinkOptionsError):
        open_sink(url)


async def test_paths_in_urls_are_expanded_and_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for url in (f"csv:{tmp_path}/a%3Fb.csv", "csv:~/home.csv", f"CSV:///{tmp_path}/c.csv"):
        async with open_sink(url) as sink:
            await sink.write([sample_reading()])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a?b.csv", "c.csv", "home.csv"]
