"""One poll: from a source into a sink. What runs on a schedule shares it."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from .errors import SinkRefusedError, SSTCloudError
from .extraction import readings_from
from .models import Snapshot
from .readings import Reading
from .sink import WriteReport
from .source import Source, read_snapshot


class Writer(Protocol):
    """The part of a sink that a poll needs."""

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings, as `Sink.write`."""
        ...


@attrs.frozen
class PollResult:
    """What a poll read, and what the sink did with it."""

    snapshot: Snapshot
    readings: Sequence[Reading]
    report: WriteReport

    def raise_if_incomplete(self) -> None:
        """Raise an error for a missing house or a rejected reading.

        An element of a list that is unreadable is no reason: the rest is there.
        """
        for item in self.snapshot.unreadable:
            if item.error is not None:
                raise item.error
            if item.kind == "house":
                raise SSTCloudError(f"house {item.id} cannot be read: {item.reason}")
        if not self.snapshot.houses and not self.snapshot.unreadable:
            raise SSTCloudError(*self.snapshot.problems)
        if self.report.rejected:
            raise SinkRefusedError(
                f"{len(self.report.rejected)} of {len(self.readings)} readings were rejected, the "
                f"first because: {self.report.rejected[0].reason}"
            )


async def read_source(source: Source) -> tuple[Snapshot, list[Reading]]:
    """What a source knows now, and its readings. Raises `SSTCloudError`."""
    snapshot = await read_snapshot(source)
    return snapshot, readings_from(snapshot)


async def poll_once(source: Source, sink: Writer) -> PollResult:
    """Read an open source, and write everything to an open sink.

    Raises `SSTCloudError` if the source or the sink fails as a whole; see also
    `PollResult.raise_if_incomplete`.
    """
    snapshot, readings = await read_source(source)
    return PollResult(snapshot, readings, await sink.write(readings))
