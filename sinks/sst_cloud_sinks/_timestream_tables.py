"""Creating the database and table."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from sst_cloud.errors import SinkOptionsError, SinkRefusedError

from ._timestream_aws import WRITE, Connection, Refusal

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MOST_HOURS: Final = 8766
_MOST_DAYS: Final = 73_000
_CONFLICT: Final = "ConflictException"
_DENIED: Final = "AccessDeniedException"


@attrs.frozen
class Retention:
    """How long a table keeps its readings, and whether it accepts old ones."""

    hours: int
    """In the memory store, where new readings are written."""
    days: int
    """In the magnetic store, where they are moved later."""
    writes: bool
    """Whether readings too old for the memory store are written straight to the magnetic one."""

    @classmethod
    def of(cls, memory: timedelta, magnetic: timedelta, *, writes: bool) -> "Retention":
        """Rounded up to Timestream's units. Raises `SinkOptionsError`."""
        hours, days = math.ceil(memory / _HOUR), math.ceil(magnetic / _DAY)
        if not 1 <= hours <= _MOST_HOURS:
            raise SinkOptionsError(f"the memory store keeps 1 to {_MOST_HOURS} hours, not {hours}")
        if not 1 <= days <= _MOST_DAYS:
            raise SinkOptionsError(f"the magnetic store keeps 1 to {_MOST_DAYS} days, not {days}")
        return cls(hours, days, writes)

    @classmethod
    def found(cls, table: dict[str, Any]) -> "Retention":
        """From the service's description of a table."""
        kept = table.get("RetentionProperties", {})
        writes = table.get("MagneticStoreWriteProperties", {})
        return cls(
            kept.get("MemoryStoreRetentionPeriodInHours", 1),
            kept.get("MagneticStoreRetentionPeriodInDays", 1),
            writes.get("EnableMagneticStoreWrites", False),
        )

    def __or__(self, other: "Retention") -> "Retention":
        """The longer of the two, in every respect."""
        return Retention(
            max(self.hours, other.hours), max(self.days, other.days), self.writes or other.writes
        )

    def __str__(self) -> str:
        old = "accepts" if self.writes else "does not accept"
        return f"{self.hours} hours in memory, {self.days} days in total, {old} older readings"

    def settings(self) -> dict[str, Any]:
        """In the service's format."""
        return {
            "RetentionProperties": {
                "MemoryStoreRetentionPeriodInHours": self.hours,
                "MagneticStoreRetentionPeriodInDays": self.days,
            },
            "MagneticStoreWriteProperties": {"EnableMagneticStoreWrites": self.writes},
        }


async def create(aws: Connection, database: str, table: str, wanted: Retention) -> Sequence[str]:
    """Create what is missing, extend retention that is too short; returns what was done."""
    made = await _make(aws, "create_database", DatabaseName=database)
    said = f"database {database} {'created' if made else 'already exists'}"
    names = {"DatabaseName": database, "TableName": table}
    if await _make(aws, "create_table", **names, **wanted.settings()):
        return said, f"table {table} created: {wanted}"
    answer = await aws.call(WRITE, "describe_table", **names)
    found = Retention.found(answer["Table"])
    if found | wanted == found:
        return said, f"table {table} already exists: {found}"
    await aws.call(WRITE, "update_table", **names, **(found | wanted).settings())
    return said, f"table {table} updated: {found | wanted}"


async def _make(aws: Connection, operation: str, **request: Any) -> bool:
    """Whether it was created; False if it already exists."""
    try:
        await aws.call(WRITE, operation, _CONFLICT, _DENIED, **request)
    except Refusal as answer:
        if answer.code == _CONFLICT:
            return False
        raise SinkRefusedError(
            f"this AWS account or user may not {operation.replace('_', ' ')} in Timestream "
            f"({answer.message}). Timestream is closed to accounts that did not use it before "
            "June 2025: use the influxdb sink with Timestream for InfluxDB instead"
        ) from answer
    return True
