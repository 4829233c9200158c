"""Readings in a CSV file (RFC 4180): append, flush, fsync; a torn last line is repaired."""

import asyncio
import csv
import io
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

from sst_cloud.atomic_files import sync_folder
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.readings import FIELDS, Quantity, Reading
from sst_cloud.sink import Guarantee, WriteReport

from ._files import FileAccess, check_exists, check_writable, file_error
from .base import BaseSink

_log = logging.getLogger(__name__)

_HEADER: Final = (",".join(FIELDS) + "\r\n").encode()
_TEXT_FIELDS: Final = ("unit", "house", "device", "model", "point_id", "name")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet treats a cell that starts with one of these as a formula."""
_BLOCK_BYTES: Final = 1 << 20
_ROWS_AT_ONCE: Final = 5_000
_CUT_OFF: Final = "unexpected end of data"
"""Python's reason where a file, cut by a crash, ends within a character."""


class CsvSink(BaseSink):
    """Appends readings to a CSV file, and reads them back.

    UTF-8 without BOM, CRLF, a single header, times in ISO 8601 UTC. Text that a spreadsheet would
    treat as a formula is prefixed with an apostrophe, which is removed on reading.
    """

    target: ClassVar[str] = "PATH"
    guarantee: ClassVar[Guarantee] = Guarantee.APPENDS

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._last_identity: tuple[int, int, int] | None = None
        """The file and its size after the last write, by which changes from outside are noticed."""

    async def check(self) -> None:
        """Check that the file has our columns and can be appended to, or could be created."""
        await asyncio.to_thread(self._check)

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Append a row per reading; they are on disk when this returns."""
        if readings:
            await asyncio.to_thread(self._append, _encode(readings))
        return WriteReport(accepted=len(readings))

    async def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings by time; of one written several times, only the last version."""
        by_key: dict[object, Reading] = {}
        async for reading in self.rows():
            if (
                reading.quantity is quantity
                and (since is None or since <= reading.time)
                and (until is None or reading.time < until)
            ):
                by_key[reading.key] = reading
        for reading in sorted(by_key.values(), key=lambda reading: reading.time):
            yield reading

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series."""
        newest: dict[object, Reading] = {}
        async for reading in self.rows():
            current = newest.get(reading.series)
            if current is None or current.time <= reading.time:
                newest[reading.series] = reading
        return tuple(newest.values())

    async def rows(
        self,
        on_unreadable: Callable[[int, str], None] | None = None,
        file: BinaryIO | None = None,
    ) -> AsyncIterator[Reading]:
        """All readings in file order, without loading the file into memory.

        Rows that are not readings are skipped and logged, or passed to `on_unreadable` with the
        line number and the reason, from a thread. `file` is one already open, to be read instead
        of the path, once, and closed; it need not be seekable.
        """
        rows = _readings(self._path, on_unreadable, file)
        while chunk := await asyncio.to_thread(lambda: list(islice(rows, _ROWS_AT_ONCE))):
            for reading in chunk:
                yield reading

    async def check_readable(self) -> None:
        """Check that the file exists and has our columns."""
        await asyncio.to_thread(self._check_readable)

    def _check_readable(self) -> None:
        check_exists(self._path)
        self._check_columns("read")

    def _check(self) -> None:
        check_writable(self._path)
        self._check_columns("written")

    def _check_columns(self, access: FileAccess) -> None:
        try:
            with self._path.open("rb") as file:
                self._check_header(file.readline(_BLOCK_BYTES))
        except FileNotFoundError:
            return
        except OSError as error:
            raise file_error(self._path, error, access) from error

    def _append(self, rows: bytes) -> None:
        try:
            # Unbuffered: what did not fit on a full disk must not be written when closing the file.
            with self._lock, self._path.open("a+b", buffering=0) as file:
                self._append_to(file, rows)
        except (OSError, ValueError) as error:
            raise file_error(self._path, error) from error

    def _append_to(self, file: FileIO, rows: bytes) -> None:
        status = os.fstat(file.fileno())
        has_changed = _identity(status) != self._last_identity
        if has_changed:
            self._log_change(status)
            self._repair(file, status.st_size)
        end = file.seek(0, os.SEEK_END)
        try:
            _write(file, rows if end else _HEADER + rows)
            os.fsync(file.fileno())
            if has_changed:  # whoever created it may have been killed before this
                sync_folder(self._path.resolve().parent)
        except OSError:
            file.truncate(end)  # the retry would store half of the batch twice
            raise
        after = os.fstat(file.fileno())
        if status.st_nlink and not after.st_nlink:
            raise SinkUnavailableError(f"{self._path} was removed while it was being written")
        self._last_identity = _identity(after)

    def _log_change(self, status: os.stat_result) -> None:
        """Log that the file is not the one last written to."""
        if self._last_identity is None:
            return
        if not status.st_size:
            _log.warning("%s was moved or removed; starting a new one", self._path)
        elif _identity(status)[:2] != self._last_identity[:2]:
            _log.warning("%s was replaced; going on with the file that is there now", self._path)

    def _repair(self, file: FileIO, size: int) -> None:
        """Refuse a file that is not ours; complete or cut a last line torn by a crash."""
        rows_end = _end_of_last_record(file)
        if _has_more_rows(file, rows_end):  # a stray quote, which opens nothing
            rows_end = _end_of_last_record(file, quotes=False)
        file.seek(rows_end)
        last_line = file.read()
        file.seek(0)
        first_line = file.read(_BLOCK_BYTES).partition(b"\n")[0]
        if rows_end == 0 and _HEADER.startswith(first_line):
            file.truncate(0)
            return
        self._check_header(first_line)
        if rows_end == size:
            return
        if _is_reading(last_line):
            _write(file, b"\n" if last_line.endswith(b"\r") else b"\r\n")
        else:
            file.truncate(rows_end)
            _log.warning("%s: cut %d bytes of a torn last line", self._path, size - rows_end)

    def _check_header(self, line: bytes) -> None:
        try:
            columns = next(csv.reader([line.decode("utf-8-sig")]), [])
        except (ValueError, csv.Error):
            raise SinkRefusedError(f"{self._path} is not a CSV file; choose another file") from None
        if tuple(columns) != FIELDS and not _HEADER.startswith(line):  # empty, or torn by a crash
            header = ", ".join(columns)[:60]
            raise SinkRefusedError(
                f"{self._path} does not have the columns of readings (it starts with: {header}); "
                "choose another file"
            )


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_size


def _write(file: FileIO, content: bytes) -> None:
    unwritten = memoryview(content)
    while unwritten:
        unwritten = unwritten[file.write(unwritten) :]


def _has_more_rows(file: FileIO, offset: int) -> bool:
    """Whether rows follow after the line at an offset: then no crash has torn it."""
    file.seek(offset)
    with os.fdopen(os.dup(file.fileno()), "rb") as rest:
        lines = iter(partial(rest.readline, _BLOCK_BYTES), b"")
        next(lines, None)
        return any(map(_is_reading, lines))


def _is_reading(line: bytes) -> bool:
    try:
        _decode(next(csv.reader([line.decode()]), []))
    except (ValueError, csv.Error):
        return False
    return True


def _end_of_last_record(file: FileIO, *, quotes: bool = True) -> int:
    """Offset after the last line break; with `quotes`, of those outside quotes."""
    file.seek(0)
    end = offset = 0
    quoted = False
    while block := file.read(_BLOCK_BYTES):
        parts = block.split(b'"') if quotes else [block]
        for number, part in enumerate(parts):
            quoted ^= number > 0
            if not quoted and (line_break := part.rfind(b"\n")) >= 0:
                end = offset + line_break + 1
            offset += len(part) + (number < len(parts) - 1)
    return end


def _encode(readings: Iterable[Reading]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    for reading in readings:
        record: dict[str, Any] = reading.as_dict()
        if isinstance(reading.value, bool):
            record["value"] = "true" if reading.value else "false"
        for field in _TEXT_FIELDS:
            record[field] = _escape_formula(record[field])
        writer.writerow(record.values())
    return text.getvalue().encode()


def _escape_formula(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith((*_FORMULA_STARTS, "'")) else text


def _unescape_formula(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:].startswith((*_FORMULA_STARTS, "'")) else text


def _readings(
    path: Path, on_unreadable: Callable[[int, str], None] | None, open_file: BinaryIO | None
) -> Iterator[Reading]:
    line = 1

    def skip(reason: str) -> None:
        if on_unreadable:
            on_unreadable(line, reason)
        else:
            _log.warning("%s, line %d: %s", path, line, reason)

    try:
        file = open_file or path.open("rb")
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            # Binary files may have no line breaks: at most a block is read for a line.
            lines = iter(partial(text.readline, _BLOCK_BYTES), "")
            header = next(lines, "")
            columns = next(csv.reader([header]), [])
            if tuple(columns) != FIELDS and not _HEADER.startswith(header.encode()):
                raise SinkRefusedError(f"{path} does not have the columns of readings")
            rows = csv.reader(lines)
            for row in rows:
                line = 1 + rows.line_num
                try:
                    yield _decode(row)
                except ValueError as error:
                    skip(str(error))
    except FileNotFoundError:
        return
    except OSError as error:
        raise file_error(path, error, "read") from error
    except (UnicodeDecodeError, csv.Error) as error:
        if getattr(error, "reason", None) != _CUT_OFF:
            raise SinkRefusedError(f"{path} is not a CSV file in UTF-8") from None
        line += 1
        skip("it ends in the middle of a character")


def _decode(row: Sequence[str]) -> Reading:
    """The reading in a row. Raises ValueError."""
    if len(row) != len(FIELDS):
        raise ValueError(f"{len(FIELDS)} columns are needed, not {len(row)}")
    record: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    for field in _TEXT_FIELDS:
        record[field] = _unescape_formula(record[field])
    record["value"] = _value(record["value"])
    record["house_id"] = int(record["house_id"])
    record["device_id"] = int(record["device_id"])
    record["line"] = int(record["line"]) if record["line"] else None
    record["water"] = record["water"] or None
    return Reading.from_dict(record)


def _value(text: str) -> float | bool:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)
