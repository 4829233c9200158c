"""Readings that a sink will never accept, in a JSON Lines file for the user to decide on."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from sst_cloud.atomic_files import replace_file, sync_folder
from sst_cloud.bounded_json import loads
from sst_cloud.errors import OutboxError
from sst_cloud.readings import Reading, format_time
from sst_cloud.sink import Rejection

from .lock import Lock

_log = logging.getLogger(__name__)

FILE: Final = "dead-letters.jsonl"
_LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait while another process is changing the file."""


@attrs.frozen(kw_only=True)
class DeadLetter:
    """A reading, the sink that rejected it, why, and when (UTC)."""

    time: datetime
    sink: str
    reason: str
    reading: Reading

    def as_dict(self) -> dict[str, Any]:
        """The letter as stored in the file."""
        return {
            "time": format_time(self.time),
            "sink": self.sink,
            "reason": self.reason,
            "reading": self.reading.as_dict(),
        }


class DeadLetters:
    """The dead letters in a state folder; several processes may use them at once."""

    def __init__(self, folder: Path) -> None:
        self.path: Path = folder / FILE

    def add(self, sink: str, rejections: Sequence[Rejection], now: datetime) -> None:
        """Append; they are on disk when this returns. Raises `OutboxError`."""
        letters = (
            DeadLetter(time=now, sink=sink, reason=str(rejection.reason), reading=rejection.reading)
            for rejection in rejections
        )
        with self._lock(), self._errors(), self.path.open("ab") as file:
            end = file.tell()
            is_incomplete = end > 0 and not self._ends_a_line(end)
            try:
                file.write((b"\n" if is_incomplete else b"") + _encode(letters))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, end)
                raise
            if not end:
                sync_folder(self.path.parent)

    def read(self) -> list[DeadLetter]:
        """All of them, oldest first; an invalid line is skipped and logged."""
        with self._errors():
            return [
                letter
                for letter in map(self._parse_or_warn, self._raw_lines())
                if letter is not None
            ]

    def remove(self, is_removed: Callable[[DeadLetter], bool]) -> int:
        """Remove those for which `is_removed` is true; returns how many. Raises `OutboxError`.

        Invalid lines are kept.
        """
        remaining, removed = [], 0
        with self._lock(), self._errors():
            for line in self._raw_lines():
                letter = _parse(line)
                if letter is not None and is_removed(letter):
                    removed += 1
                else:
                    remaining.append(line)
            if removed:
                replace_file(self.path, b"".join(line + b"\n" for line in remaining))
        return removed

    def _raw_lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from (line.rstrip(b"\r\n") for line in file if line.strip())
        except FileNotFoundError:
            return

    def _parse_or_warn(self, line: bytes) -> DeadLetter | None:
        letter = _parse(line)
        if letter is None:
            _log.warning("%s: skipped a line that is not a dead letter: %r", self.path, line[:60])
        return letter

    def _ends_a_line(self, end: int) -> bool:
        with self.path.open("rb") as file:
            file.seek(end - 1)
            return file.read() == b"\n"

    def _lock(self) -> Lock:
        return Lock(
            self.path.with_suffix(".lock"),
            partial(
                OutboxError,
                f"{self.path} has been locked by another process for {_LOCK_TIMEOUT:g} s; "
                "try again later",
            ),
            wait=_LOCK_TIMEOUT,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutboxError(f"{self.path} cannot be used: {error.strerror}") from error


def _parse(line: bytes) -> DeadLetter | None:
    try:
        record = loads(line)
        sink, reason = record["sink"], record["reason"]
        if not (isinstance(sink, str) and isinstance(reason, str)):
            return None
        return DeadLetter(
            time=datetime.fromisoformat(record["time"]).astimezone(UTC),
            sink=sink,
            reason=reason,
            reading=Reading.from_dict(record["reading"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _encode(letters: Iterable[DeadLetter]) -> bytes:
    return "".join(
        json.dumps(letter.as_dict(), ensure_ascii=False) + "\n" for letter in letters
    ).encode("utf-8", "replace")
