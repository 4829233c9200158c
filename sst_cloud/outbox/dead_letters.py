"""Readings that a sink will never accept, in a JSON Lines file for the user to decide on."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from sst_cloud.atomic_files import replace_file, sync_folder
from sst_cloud.bounded_json import loads
from sst_cloud.enums import Quality
from sst_cloud.errors import OutboxError, SinkUnavailableError
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading, format_time
from sst_cloud.sink import History, Rejection, Sink

from .consumer import rejections_of
from .lock import Lock

_log = logging.getLogger(__name__)

FILE: Final = "dead-letters.jsonl"
_LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait while another process is changing the file."""
_BATCH_SIZE: Final = 2_000
"""How many letters to write to a sink at once."""


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
        self._logged: set[bytes] = set()
        """Invalid lines that are in the log already."""

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
        """All of them, oldest first; an invalid line is skipped, and logged once."""
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
        if letter is None and line not in self._logged:
            self._logged.add(line)
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


@attrs.define
class ReplayResult:
    """What a replay has done so far."""

    delivered: int = 0
    rejected: int = 0
    """Rejected again: these are still in the file."""
    reasons: list[str] = attrs.field(factory=list)
    """Why, each reason once."""


async def replay(
    dead_letters: DeadLetters, name: str, sink: Sink, *, result: ReplayResult | None = None
) -> ReplayResult:
    """Write the dead letters of the sink with this name into an open sink again, oldest first.

    Those that it accepts are removed from the file. The collector may be running. Raises whatever
    the sink does; `result` counts along, so that it is known even then.
    """
    result = ReplayResult() if result is None else result
    all_letters = [
        letter for letter in await asyncio.to_thread(dead_letters.read) if letter.sink == name
    ]
    for first in range(0, len(all_letters), _BATCH_SIZE):
        letters = all_letters[first : first + _BATCH_SIZE]
        rejected = await _write(sink, letters)
        accepted_letters = {letter for letter in letters if letter.reading.key not in rejected}
        await asyncio.to_thread(dead_letters.remove, accepted_letters.__contains__)
        rejected_count = sum(letter not in accepted_letters for letter in letters)
        result.delivered += len(letters) - rejected_count
        result.rejected += rejected_count
        result.reasons = list(dict.fromkeys([*result.reasons, *rejected.values()]))
    return result


async def _write(sink: Sink, letters: Sequence[DeadLetter]) -> dict[object, str]:
    """Write the readings; returns the key of each rejected one → the reason."""
    confirmed = await _confirmed_letters(sink, letters)
    latest_first = (letter.reading for letter in reversed(letters) if letter not in confirmed)
    readings = list(dict.fromkeys(latest_first))[::-1]
    if not readings:
        return {}
    rejections = rejections_of(await sink.write(readings), readings)
    rejected = {rejection.reading.key: str(rejection.reason) for rejection in rejections}
    if rejected.keys() - {reading.key for reading in readings}:
        raise SinkUnavailableError("it rejected readings that it was not given")
    return rejected


async def _confirmed_letters(sink: Sink, letters: Sequence[DeadLetter]) -> set[DeadLetter]:
    """The dead letters whose suspect reading has since been delivered as good."""
    if not isinstance(sink, History):
        return set()
    suspect_letters = [letter for letter in letters if letter.reading.quality is Quality.SUSPECT]
    good_values = set()
    times = {letter.reading.time for letter in suspect_letters}
    for moment in times:  # only totals can be suspect
        async for stored in sink.read(Quantity.VOLUME, moment, moment + timedelta(seconds=1)):
            if stored.quality is not Quality.SUSPECT:
                good_values.add((stored.key, stored.value))
    return {
        letter
        for letter in suspect_letters
        if (letter.reading.key, letter.reading.value) in good_values
    }


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
