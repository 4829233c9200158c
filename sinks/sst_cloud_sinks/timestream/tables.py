"""Creating the database and table."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from sst_cloud.errors import SinkOptionsError, SinkRefusedError

from .aws import WRITE, Connection, Refusal

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MAX_HOURS: Final = 8766
_MAX_DAYS: Final = 73_000
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
    def from_periods(cls, memory: timedelta, magnetic: timedelta, *, writes: bool) -> "Retention":
        """Rounded up to Timestream's units. Raises `SinkOptionsError`."""
        hours, days = math.ceil(memory / _HOUR), math.ceil(magnetic / _DAY)
        if not 1 <= hours <= _MAX_HOURS:
            raise SinkOptionsError(f"the memory store keeps 1 to {_MAX_HOURS} hours, not {hours}")
        if not 1 <= days <= _MAX_DAYS:
            raise SinkOptionsError(f"the magnetic store keeps 1 to {_MAX_DAYS} days, not {days}")
        return cls(hours, days, writes)

    @classmethod
    def from_description(cls, table: dict[str, Any]) -> "Retention":
        """From the service's description of a table."""
        properties = table.get("RetentionProperties", {})
        writes = table.get("MagneticStoreWriteProperties", {})
        return cls(
            properties.get("MemoryStoreRetentionPeriodInHours", 1),
            properties.get("MagneticStoreRetentionPeriodInDays", 1),
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


async def create(aws: Connection, database: str, table: str, retention: Retention) -> Sequence[str]:
    """Create what is missing, extend retention that is too short; returns what was done."""
    created = await _create_if_missing(aws, "create_database", DatabaseName=database)
    database_result = f"database {database} {'created' if created else 'already exists'}"
    names = {"DatabaseName": database, "TableName": table}
    if await _create_if_missing(aws, "create_table", **names, **retention.settings()):
        return database_result, f"table {table} created: {retention}"
    description = await aws.call(WRITE, "describe_table", **names)
    current = Retention.from_description(description["Table"])
    if current | retention == current:
        return database_result, f"table {table} already exists: {current}"
    await aws.call(WRITE, "update_table", **names, **(current | retention).settings())
    return database_result, f"table {table} updated: {current | retention}"


async def _create_if_missing(aws: Connection, operation: str, **request: Any) -> bool:
    """Whether it was created; False if it already exists."""
    try:
        await aws.call(WRITE, operation, _CONFLICT, _DENIED, **request)
    except Refusal as refusal:
        if refusal.code == _CONFLICT:
            return False
        raise SinkRefusedError(
            f"this AWS account or user may not {operation.replace('_', ' ')} in Timestream "
            f"({refusal.message}). Timestream is closed to accounts that did not use it before "
            "June 2025: use the influxdb sink with Timestream for InfluxDB instead"
        ) from refusal
    return True
