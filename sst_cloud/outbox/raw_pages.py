"""Read an SQLite file and its write-ahead log as plain bytes, so that intact rows are found.

The format is described at https://www.sqlite.org/fileformat2.html.
"""

import mmap
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

_DEFAULT_PAGE_SIZE: Final = 4096
"""The size of a page if the file's header is damaged."""
_FILE_HEADER_SIZE: Final = 100
_LOG_HEADER_SIZE: Final = 32
_FRAME_HEADER_SIZE: Final = 24
_LOG_MAGIC: Final = 0x377F0682
"""Begins a log; plus 1 if its checksums are big-endian."""
_INDEX_LEAF, _TABLE_LEAF = 10, 13
"""Types of leaf pages: of an index or a table without row numbers, and of a table with them."""
_ROW_HEADER: Final = re.compile(rb"(?=[\x04-\x0c]\0[\x01-\x06])")
"""Where a row's header may begin, if its first column is its number and the next an integer."""
_MAX_ROW_SIZE: Final = 64_000_000
"""In bytes; a row that claims to be larger is damaged."""
_INTEGER_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Content = bytes | mmap.mmap
Value = int | float | bytes | None
"""A column; texts are bytes."""


class Row(NamedTuple):
    """A row as it was read; its table is not known, nor whether it is intact."""

    page_type: int
    number: int | None
    """Its number, in a table that has them."""
    values: tuple[Value, ...]


class Frame(NamedTuple):
    """A page in the log."""

    page: int
    offset: int
    """Where its content begins in the log."""
    commits: bool
    """Whether a transaction ends with it."""
    current: bool
    """Whether it was written since the log was last restarted, as far as that is known."""
    intact: bool
    """Whether its checksum is right."""
    valid: bool
    """Whether it and all before it are intact: SQLite reads no others."""


class LogState(NamedTuple):
    """The state of a log."""

    damage: str | None = None
    """What is wrong with it."""
    is_torn: bool = False
    """Whether the last transaction is incomplete: after a crash, or from damage."""


def log_of(path: Path) -> Path:
    """The write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")


def log_state(path: Path) -> LogState:
    """The state of a file's log. SQLite ignores everything behind damage, without an error."""
    if not log_of(path).exists():
        return LogState()
    log = log_of(path).read_bytes()
    if not _header_is_valid(log):
        damage = "the header of its log is damaged" if any(log[_LOG_HEADER_SIZE:]) else None
        return LogState(damage, is_torn=len(log) > 0)
    frames = list(_frames(log))
    last = max((number for number, f in enumerate(frames, 1) if f.commits and f.valid), default=0)
    tail = [frame for frame in frames[last:] if frame.current]
    # A crash tears the end of the last transaction; a full disk may leave a part of another.
    damaged = any(frame.commits and frame.intact for frame in tail)
    partial = (len(log) - _LOG_HEADER_SIZE) % (_FRAME_HEADER_SIZE + int.from_bytes(log[8:12])) > 0
    return LogState("its log is damaged" if damaged else None, bool(tail) or partial)


def rows(path: Path) -> Iterator[Row]:
    """All rows that can be read, the best versions last; some may come twice."""
    with ExitStack() as stack:
        file, log = _content(path, stack), _content(log_of(path), stack)
        pages = _Pages(file, log)
        yield from pages.frame_rows(pages.other_frames)
        for start in range(0, len(file), pages.size):
            yield from pages.rows(file[start : start + pages.size], first=start == 0)
        yield from pages.frame_rows(pages.frames)


def _content(path: Path, stack: ExitStack) -> Content:
    """A file's content, read when it is needed: it may be large."""
    if not path.exists() or not path.stat().st_size:
        return b""
    file = stack.enter_context(path.open("rb"))
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Pages:
    def __init__(self, file: Content, log: Content) -> None:
        size = int.from_bytes(file[16:18]) or 65_536 if file[:16] == b"SQLite format 3\0" else 0
        self.size = _page_size(size)
        frames = list(_frames(log))
        commit_frames = [
            (frame.intact, number) for number, frame in enumerate(frames, 1) if frame.commits
        ]
        _, last = max(commit_frames, default=(False, 0))
        self.frames = [frame for frame in frames[:last] if frame.current]
        self.other_frames = [frame for frame in frames[:last] if not frame.current] + frames[last:]
        """Written back already, or not committed, as far as that is known."""
        self._file, self._log = file, log
        self._offsets = {frame.page: frame.offset for frame in self.frames}

    def frame_rows(self, frames: Iterable[Frame]) -> Iterator[Row]:
        for frame in frames:
            page = self._log[frame.offset : frame.offset + self.size]
            yield from self.rows(page, first=frame.page == 1)

    def rows(self, page: bytes, *, first: bool) -> Iterator[Row]:
        start = _FILE_HEADER_SIZE if first else 0
        page_type = page[start] if len(page) > start else 0
        offsets = set[int]()
        if page_type in (_INDEX_LEAF, _TABLE_LEAF):
            for number, offset in _cells(page, start, page_type):
                with suppress(IndexError):
                    yield Row(page_type, number, self._values(page, offset, page_type))
                    offsets.add(offset)
        for match in _ROW_HEADER.finditer(page):  # the page may be damaged, and rows in it intact
            if match.start() not in offsets:
                with suppress(IndexError):
                    yield self._row_at(page, match.start())

    def _row_at(self, page: bytes, offset: int) -> Row:
        start = offset - 1
        while start > 0 and page[start - 1] >= 0x80 and offset - start < 9:
            start -= 1
        number, end = _varint(page, start)
        if end != offset:
            raise IndexError
        return Row(_TABLE_LEAF, number, self._values(page, offset, _TABLE_LEAF))

    def _values(self, page: bytes, offset: int, page_type: int) -> tuple[Value, ...]:
        """The columns of a row. Raises IndexError if it is damaged."""
        header, position = _varint(page, offset)
        types = []
        while position < offset + header:
            serial_type, position = _varint(page, position)
            types.append(serial_type)
        length = header + sum(map(_value_size, types))
        if position != offset + header or length > _MAX_ROW_SIZE:
            raise IndexError
        content = self._content(page, offset, length, page_type)
        values = []
        for serial_type in types:
            end = header + _value_size(serial_type)
            values.append(_value(serial_type, content[header:end]))
            header = end
        return tuple(values)

    def _content(self, page: bytes, offset: int, length: int, page_type: int) -> bytes:
        """The bytes of a row; a long one continues in overflow pages."""
        min_local = (self.size - 12) * 32 // 255 - 23
        max_local = (
            self.size - 35 if page_type == _TABLE_LEAF else (self.size - 12) * 64 // 255 - 23
        )
        local = length
        if length > max_local:
            local = min_local + (length - min_local) % (self.size - 4)
            local = local if local <= max_local else min_local
        content = page[offset : offset + local]
        overflow_number = (
            int.from_bytes(page[offset + local : offset + local + 4]) if length > local else 0
        )
        while len(content) < length:
            overflow = self._page(overflow_number)
            if not overflow:
                raise IndexError
            content += overflow[4 : 4 + length - len(content)]
            overflow_number = int.from_bytes(overflow[:4])
        return content

    def _page(self, number: int) -> bytes:
        """The latest version of a page; empty if there is none."""
        if number in self._offsets:
            offset = self._offsets[number]
            return self._log[offset : offset + self.size]
        return self._file[(number - 1) * self.size : number * self.size] if number else b""


def _cells(page: bytes, start: int, page_type: int) -> Iterator[tuple[int | None, int]]:
    """The rows of a leaf page: their numbers, and where they begin."""
    count = int.from_bytes(page[start + 3 : start + 5])
    for (offset,) in islice(struct.iter_unpack(">H", _even_part(page[start + 8 :])), count):
        with suppress(IndexError):
            _, begin = _varint(page, offset)
            number, begin = _varint(page, begin) if page_type == _TABLE_LEAF else (None, begin)
            yield number, begin


def _frames(log: Content) -> Iterator[Frame]:
    """All frames of the log; see `Frame.current` for those of before its last restart."""
    size = _page_size(int.from_bytes(log[8:12]))
    is_valid = _header_is_valid(log)
    valid, sums = is_valid, log[24:32]
    for start in range(
        _LOG_HEADER_SIZE, len(log) - size - _FRAME_HEADER_SIZE + 1, _FRAME_HEADER_SIZE + size
    ):
        offset = start + _FRAME_HEADER_SIZE
        page, pages = struct.unpack_from(">II", log, start)
        salts_match = log[start + 8 : start + 16] == log[16:24]
        current, intact = salts_match or not is_valid, False
        previous, sums = sums, log[start + 16 : start + 24]
        if current:
            computed = _checksums(
                log[start : start + 8], _byte_order(log), *struct.unpack(">II", previous)
            )
            computed = _checksums(log[offset : offset + size], _byte_order(log), *computed)
            intact = computed == struct.unpack(">II", sums)
        valid = valid and intact
        yield Frame(page, offset, pages > 0, current, intact, valid)


def _page_size(size: int) -> int:
    return size if 512 <= size <= 65_536 and size & (size - 1) == 0 else _DEFAULT_PAGE_SIZE


def _header_is_valid(log: Content) -> bool:
    if len(log) < _LOG_HEADER_SIZE or int.from_bytes(log[:4]) & ~1 != _LOG_MAGIC:
        return False
    return _checksums(log[:24], _byte_order(log), 0, 0) == struct.unpack(">II", log[24:32])


def _byte_order(log: Content) -> str:
    return ">" if log[3] & 1 else "<"


def _checksums(content: bytes, order: str, sum1: int, sum2: int) -> tuple[int, int]:
    """The two checksums of a log up to here, from those before."""
    for first, second in struct.iter_unpack(f"{order}II", content):
        sum1 = (sum1 + first + sum2) & 0xFFFFFFFF
        sum2 = (sum2 + second + sum1) & 0xFFFFFFFF
    return sum1, sum2


def _varint(page: bytes, offset: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where it ends. Raises IndexError."""
    value = 0
    for end in range(offset, offset + 8):
        value = value << 7 | page[end] & 0x7F
        if page[end] < 0x80:
            return value, end + 1
    return value << 8 | page[offset + 8], offset + 9


def _value_size(serial_type: int) -> int:
    return (
        (serial_type - 12) // 2
        if serial_type >= 12
        else 8
        if serial_type == 7
        else _INTEGER_SIZES.get(serial_type, 0)
    )


def _value(serial_type: int, content: bytes) -> Value:
    if serial_type == 0:
        return None
    if serial_type in (8, 9):
        return serial_type - 8
    if serial_type == 7:
        return float(struct.unpack(">d", content)[0])
    return content if serial_type >= 12 else int.from_bytes(content, signed=True)


def _even_part(content: bytes) -> bytes:
    return content[: len(content) // 2 * 2]
