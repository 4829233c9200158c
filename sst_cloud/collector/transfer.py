"""All readings of one store into another, a few thousand at a time."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import closing
from typing import BinaryIO, ClassVar, Final, Protocol, runtime_checkable

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading
from sst_cloud.sink import CheckedHistory, Guarantee, History, Rejection, Sink, WriteReport

from .stored_readings import StoredReadings

_CHUNK_SIZE: Final = 2_000
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each retry while the sink is unavailable."""
_MAX_REASONS: Final = 20
"""Maximum number of different reasons, and of unreadable rows, to remember."""


@runtime_checkable
class RowReader(Protocol):
    """A sink that can list all its readings as it stores them, like the CSV sink."""

    guarantee: ClassVar[Guarantee]

    def rows(
        self, on_unreadable: Callable[[int, str], None] | None = None, file: BinaryIO | None = None
    ) -> AsyncIterator[Reading]:
        """All readings, in order; `on_unreadable` gets the number of a bad line, and why."""
        ...


@attrs.define
class TransferResult:
    """What a transfer has done so far."""

    read_count: int = 0
    """Readings of the store."""
    stored_count: int = 0
    already_stored_count: int = 0
    """Readings that the sink already had."""
    rejected_count: int = 0
    unreadable_count: int = 0
    """Rows of the store that are not readings."""
    unreadable_rows: list[str] = attrs.field(factory=list)
    """The first few of these, each with its line and the reason."""
    _reasons: dict[str, tuple[int, str]] = attrs.field(factory=dict, init=False)
    """Reason without its numbers → how often it occurred, and the first one in full."""

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """How many readings were rejected, and why, most frequent first.

        Reasons that differ only in numbers count as one.
        """
        return sorted(self._reasons.values(), reverse=True)

    def add_unreadable(self, line: int, reason: str) -> None:
        """Count a row of the store that is not a reading."""
        self.unreadable_count += 1
        if len(self.unreadable_rows) < _MAX_REASONS:
            self.unreadable_rows.append(f"line {line}: {reason}")

    def add_rejection(self, rejection: Rejection) -> None:
        """Count a reading that the sink rejected."""
        self.rejected_count += 1
        text = rejection.reason
        kind = re.sub(r"\d+", "#", text)
        if kind not in self._reasons and len(self._reasons) >= _MAX_REASONS:
            kind = text = "other reasons"
        count, example = self._reasons.get(kind, (0, text))
        self._reasons[kind] = (count + 1, example)


async def transfer(
    store: AsyncIterable[Reading] | History | Sink,
    sink: Sink,
    *,
    result: TransferResult | None = None,
    on_progress: Callable[[TransferResult], None] = lambda _: None,
    clock: Clock | None = None,
) -> TransferResult:
    """Write all readings of a store, or any others, into a sink; both are open.

    A sink that is unavailable is retried for a quarter of a minute; then this raises, as
    `Sink.write` does. Do the same again to transfer the rest: readings that a `RowReader` already
    has are not stored again. `result` counts along, so that it is known even if this raises.
    """
    result = TransferResult() if result is None else result
    clock = clock or SystemClock()
    await sink.check()
    if isinstance(store, CheckedHistory):
        await store.check_readable()
    with closing(StoredReadings()) as stored_readings:
        if isinstance(sink, RowReader) and sink.guarantee is Guarantee.APPENDS:
            # An incomplete last row is ignored: the next write repairs it.
            async for chunk in _chunks(sink.rows(lambda *_: None)):
                stored_readings.add(chunk)
        async for chunk in _chunks(_readings(store, result)):
            result.read_count += len(chunk)
            new_readings = stored_readings.select_new(chunk)
            result.already_stored_count += len(chunk) - len(new_readings)
            if new_readings:
                report = await _write(sink, new_readings, clock)
                result.stored_count += report.accepted
                for rejection in report.rejected:
                    result.add_rejection(rejection)
            on_progress(result)
    return result


def _readings(
    store: AsyncIterable[Reading] | History | Sink, result: TransferResult
) -> AsyncIterable[Reading]:
    if isinstance(store, RowReader):
        return store.rows(result.add_unreadable)
    if isinstance(store, History):
        return _all_quantities(store)
    if not isinstance(store, AsyncIterable):
        raise SinkRefusedError("readings cannot be read back from this sink; choose another store")
    return store


async def _all_quantities(history: History) -> AsyncIterator[Reading]:
    for quantity in Quantity:
        async for reading in history.read(quantity):
            yield reading


async def _chunks(readings: AsyncIterable[Reading]) -> AsyncIterator[list[Reading]]:
    chunk: list[Reading] = []
    async for reading in readings:
        chunk.append(reading)
        if len(chunk) == _CHUNK_SIZE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _write(sink: Sink, readings: Sequence[Reading], clock: Clock) -> WriteReport:
    for pause in _PAUSES:
        try:
            return await sink.write(readings)
        except SinkUnavailableError:
            await clock.sleep(pause)
    return await sink.write(readings)
