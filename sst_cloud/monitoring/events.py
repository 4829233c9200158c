"""Events for residents, such as a leak: one when it starts, and one when it is over."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import attrs

from sst_cloud.readings import Reading, format_time


class EventKind(StrEnum):
    """The kinds of events."""

    LEAK = "leak"
    VALVE_CLOSED = "valve_closed"
    SENSOR_LOST = "sensor_lost"
    BATTERY_LOW = "battery_low"
    DEVICE_STALE = "device_stale"
    COUNTER_SUSPECT = "counter_suspect"
    COUNTER_REPLACED = "counter_replaced"
    CONTINUOUS_FLOW = "continuous_flow"
    NIGHT_USE = "night_use"
    NO_READINGS = "no_readings"


@attrs.frozen(kw_only=True)
class Event:
    """Something that has started or ended. Fields that do not apply are None."""

    time: datetime
    """When it was detected, UTC."""
    kind: EventKind = attrs.field(converter=EventKind)
    over: bool = False
    """Whether this is the end of an earlier event."""
    message: str
    """One human-readable sentence."""
    house_id: int | None = None
    house: str | None = None
    device_id: int | None = None
    device: str | None = None
    point: str | None = None
    point_id: str | None = None
    name: str | None = None
    details: Mapping[str, int | float | str | bool | None] = attrs.field(factory=dict)
    """The numbers in the message, with units in their names: `used_l`, `hours` …"""

    def as_dict(self) -> dict[str, Any]:
        """The event as in JSON: these keys, in this order, with plain values."""
        record = {field.name: getattr(self, field.name) for field in attrs.fields(Event)}
        return record | {
            "time": format_time(self.time),
            "kind": self.kind.value,
            "details": dict(self.details),
        }

    @classmethod
    def at_point(
        cls,
        reading: Reading,
        kind: EventKind,
        message: str,
        *,
        over: bool = False,
        **details: float | str | bool | None,
    ) -> "Event":
        """An event at the point of a reading, at its time."""
        return cls(
            time=reading.time,
            kind=kind,
            over=over,
            message=message,
            house_id=reading.house_id,
            house=reading.house,
            device_id=reading.device_id,
            device=reading.device,
            point=reading.point.value,
            point_id=reading.point_id,
            name=reading.name,
            details=details,
        )

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Event":
        """The event from its `as_dict`."""
        time = datetime.fromisoformat(record["time"]).astimezone(UTC)
        return cls(**{**record, "time": time})
