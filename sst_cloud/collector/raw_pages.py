"""An SQLite file and its write-ahead log as plain bytes: what is whole in them, whatever is not.

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

_PAGE: Final = 4096
"""The size of a page if the file no longer tells it."""
_FILE_HEADER: Final = 100
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682
"""Of a log; plus 1 if its checksums are big-endian."""
_INDEX, _TABLE = 10, 13
"""Leaf pages: of an index or a table without numbers, and of a table with them."""
_ENTRY: Final = re.compile(rb"(?=[\x04-\x0c]\0[\x01-\x06])")
"""Where the header of a row may begin whose first column is its number and the next an integer."""
_MOST: Final = 64_000_000
"""Bytes of a row; what claims to be larger is damaged."""
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Content = bytes | mmap.mmap
Value = int | float | bytes | None
"""A column; texts are bytes."""


class Row(NamedTuple):
    """A row as it was found; nothing says yet of which table, and whether it is whole."""

    page: int
    """The type of its page."""
    number: int | None
    """Its number, in a table that has them."""
    values: tuple[Value, ...]


class Frame(NamedTuple):
    """A page in the log."""

    page: int
    place: int
    """Where its content begins in the log."""
    ends: bool
    """Whether a transaction ends with it."""
    current: bool
    """Whether it was written since the log was begun again, as far as that is known."""
    whole: bool
    """Whether it is as it was written."""
    valid: bool
    """Whether all before it are, too: SQLite takes no others."""


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
    """The state of a file's log. SQLite takes everything behind damage as not written."""
    if not log_of(path).exists():
        return LogState()
    log = log_of(path).read_bytes()
    if not _header_is_valid(log):
        damage = "the header of its log is damaged" if any(log[_LOG_HEADER:]) else None
        return LogState(damage, is_torn=len(log) > 0)
    frames = list(_frames(log))
    last = max((number for number, f in enumerate(frames, 1) if f.ends and f.valid), default=0)
    rest = [frame for frame in frames[last:] if frame.current]
    # A crash tears the end of the last transaction; a full disk may leave a part of another.
    damaged = any(frame.ends and frame.whole for frame in rest)
    partial = (len(log) - _LOG_HEADER) % (_FRAME_HEADER + int.from_bytes(log[8:12])) > 0
    return LogState("its log is damaged" if damaged else None, bool(rest) or partial)


def rows(path: Path) -> Iterator[Row]:
    """All rows that can be found, the best versions last; some may be found twice."""
    with ExitStack() as stack:
        file, log = (_content(each, stack) for each in (path, log_of(path)))
        pages = _Pages(file, log)
        yield from pages.logged(pages.others)
        for start in range(0, len(file), pages.size):
            yield from pages.rows(file[start : start + pages.size], first=start == 0)
        yield from pages.logged(pages.frames)


def _content(path: Path, stack: ExitStack) -> Content:
    """What a file contains, not read before it is needed: it may be large."""
    if not path.exists() or not path.stat().st_size:
        return b""
    file = stack.enter_context(path.open("rb"))
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Pages:
    def __init__(self, file: Content, log: Content) -> None:
        size = int.from_bytes(file[16:18]) or 65_536 if file[:16] == b"SQLite format 3\0" else 0
        self.size = _page_size(size)
        frames = list(_frames(log))
        ends = [(frame.whole, number) for number, frame in enumerate(frames, 1) if frame.ends]
        _, last = max(ends, default=(False, 0))
        self.frames = [frame for frame in frames[:last] if frame.current]
        self.others = [frame for frame in frames[:last] if not frame.current] + frames[last:]
        """Written back already, or not committed, as far as that can be told."""
        self._file, self._log = file, log
        self._places = {frame.page: frame.place for frame in self.frames}

    def logged(self, frames: Iterable[Frame]) -> Iterator[Row]:
        for frame in frames:
            page = self._log[frame.place : frame.place + self.size]
            yield from self.rows(page, first=frame.page == 1)

    def rows(self, page: bytes, *, first: bool) -> Iterator[Row]:
        start = _FILE_HEADER if first else 0
        kind = page[start] if len(page) > start else 0
        places = set[int]()
        if kind in (_INDEX, _TABLE):
            for number, place in _cells(page, start, kind):
                with suppress(IndexError):
                    yield Row(kind, number, self._values(page, place, kind))
                    places.add(place)
        for match in _ENTRY.finditer(page):  # the page itself may be damaged, and rows in it whole
            if match.start() not in places:
                with suppress(IndexError):
                    yield self._entry(page, match.start())

    def _entry(self, page: bytes, place: int) -> Row:
        start = place - 1
        while start > 0 and page[start - 1] >= 0x80 and place - start < 9:
            start -= 1
        number, end = _varint(page, start)
        if end != place:
            raise IndexError
        return Row(_TABLE, number, self._values(page, place, _TABLE))

    def _values(self, page: bytes, place: int, kind: int) -> tuple[Value, ...]:
        """The columns of a row. Raises IndexError if it is damaged."""
        header, at = _varint(page, place)
        types = []
        while at < place + header:
            kind_of_value, at = _varint(page, at)
            types.append(kind_of_value)
        length = header + sum(map(_length, types))
        if at != place + header or length > _MOST:
            raise IndexError
        content = self._content(page, place, length, kind)
        values = []
        for kind_of_value in types:
            end = header + _length(kind_of_value)
            values.append(_value(kind_of_value, content[header:end]))
            header = end
        return tuple(values)

    def _content(self, page: bytes, place: int, length: int, kind: int) -> bytes:
        """What a row consists of; a long one goes on in pages of its own."""
        small = (self.size - 12) * 32 // 255 - 23
        large = self.size - 35 if kind == _TABLE else (self.size - 12) * 64 // 255 - 23
        here = length
        if length > large:
            here = small + (length - small) % (self.size - 4)
            here = here if here <= large else small
        content = page[place : place + here]
        more = int.from_bytes(page[place + here : place + here + 4]) if length > here else 0
        while len(content) < length:
            following = self._page(more)
            if not following:
                raise IndexError
            content += following[4 : 4 + length - len(content)]
            more = int.from_bytes(following[:4])
        return content

    def _page(self, number: int) -> bytes:
        """A page in its latest version; empty if there is none."""
        if number in self._places:
            place = self._places[number]
            return self._log[place : place + self.size]
        return self._file[(number - 1) * self.size : number * self.size] if number else b""


def _cells(page: bytes, start: int, kind: int) -> Iterator[tuple[int | None, int]]:
    """The rows of a leaf page: their numbers, and where they begin."""
    count = int.from_bytes(page[start + 3 : start + 5])
    for (place,) in islice(struct.iter_unpack(">H", _even(page[start + 8 :])), count):
        with suppress(IndexError):
            _, begin = _varint(page, place)
            number, begin = _varint(page, begin) if kind == _TABLE else (None, begin)
            yield number, begin


def _frames(log: Content) -> Iterator[Frame]:
    """The frames of the log since it was begun again; all of them if that is not known."""
    size = _page_size(int.from_bytes(log[8:12]))
    known = _header_is_valid(log)
    valid, sums = known, log[24:32]
    for start in range(_LOG_HEADER, len(log) - size - _FRAME_HEADER + 1, _FRAME_HEADER + size):
        place = start + _FRAME_HEADER
        page, pages = struct.unpack_from(">II", log, start)
        same = log[start + 8 : start + 16] == log[16:24]
        current, whole = same or not known, False
        before, sums = sums, log[start + 16 : start + 24]
        if current:
            so_far = _sums(log[start : start + 8], _order(log), *struct.unpack(">II", before))
            so_far = _sums(log[place : place + size], _order(log), *so_far)
            whole = so_far == struct.unpack(">II", sums)
        valid = valid and whole
        yield Frame(page, place, pages > 0, current, whole, valid)


def _page_size(size: int) -> int:
    return size if 512 <= size <= 65_536 and size & (size - 1) == 0 else _PAGE


def _header_is_valid(log: Content) -> bool:
    if len(log) < _LOG_HEADER or int.from_bytes(log[:4]) & ~1 != _MAGIC:
        return False
    return _sums(log[:24], _order(log), 0, 0) == struct.unpack(">II", log[24:32])


def _order(log: Content) -> str:
    return ">" if log[3] & 1 else "<"


def _sums(content: bytes, order: str, one: int, two: int) -> tuple[int, int]:
    """The checksums that a log is chained with."""
    for first, second in struct.iter_unpack(f"{order}II", content):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _varint(page: bytes, place: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where it ends. Raises IndexError."""
    value = 0
    for end in range(place, place + 8):
        value = value << 7 | page[end] & 0x7F
        if page[end] < 0x80:
            return value, end + 1
    return value << 8 | page[place + 8], place + 9


def _length(kind: int) -> int:
    return (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else _INTEGERS.get(kind, 0)


def _value(kind: int, content: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return float(struct.unpack(">d", content)[0])
    return content if kind >= 12 else int.from_bytes(content, signed=True)


def _even(content: bytes) -> bytes:
    return content[: len(content) // 2 * 2]
