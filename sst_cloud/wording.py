"""Readings in words, for a terminal or a notebook."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from .enums import Quantity
from .models import Device, House, Snapshot
from .models.wireless_sensor import LOW_BATTERY
from .readings import Reading, Value

_TROUBLES: Final[Mapping[tuple[Quantity, Value], str]] = {
    (Quantity.LEAK, True): "leak",
    (Quantity.SENSOR_LOST, True): "sensor lost",
    (Quantity.BATTERY_LOW, True): "battery low",
    (Quantity.ONLINE, False): "offline",
}

NO_HOUSES: Final = (
    "the account has no houses; if it was migrated to the ATLAS app, it has left SST Cloud for good"
)


def value_of(reading: Reading) -> str:
    """A value with its unit; meters in cubic metres, as on their dials."""
    if isinstance(reading.value, bool):
        return "yes" if reading.value else "no"
    if reading.quantity is Quantity.VOLUME:
        return f"{reading.value / 1000:.3f} m³"
    return f"{reading.value} {reading.unit}".rstrip()


def what(reading: Reading) -> str:
    """What is measured: hot or cold for a meter, otherwise the quantity."""
    return reading.water or str(reading.quantity).replace("_", " ")


def point_of(reading: Reading) -> str:
    """The owner's name for the point, or else its kind."""
    kind = str(reading.point).replace("_", " ")
    plain = reading.point_id == reading.point
    return reading.name or (kind if plain else f"{kind} {reading.point_id}")


def trouble(reading: Reading) -> str | None:
    """What needs attention, in two words; None if all is well."""
    percent = reading.quantity is Quantity.BATTERY and reading.unit == Quantity.BATTERY.unit
    if percent and reading.value < LOW_BATTERY:
        return f"battery {value_of(reading)}"
    return _TROUBLES.get((reading.quantity, reading.value))


def count(number: int, noun: str) -> str:
    """A number of things, with a plural in -s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Reported(NamedTuple):
    """A device and its readings; None if only its meters could be read."""

    id: int
    device: Device | None
    readings: list[Reading]


def by_house(snapshot: Snapshot, readings: Iterable[Reading]) -> list[tuple[House, list[Reported]]]:
    """The houses of a snapshot, each once, with the devices of which anything is known."""
    found: dict[int, dict[int, Reported]] = defaultdict(dict)
    for device in snapshot.devices:
        found[device.house_id][device.id] = Reported(device.id, device, [])
    for reading in readings:
        id_ = reading.device_id
        devices = found[reading.house_id]
        devices.setdefault(id_, Reported(id_, None, [])).readings.append(reading)
    houses = {house.id: house for house in snapshot.houses}
    return [(house, list(found[id_].values())) for id_, house in houses.items()]


def by_point(readings: Iterable[Reading]) -> list[Sequence[Reading]]:
    """The readings of one device, grouped by part."""
    points: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        points[reading.point, reading.point_id].append(reading)
    return list(points.values())
