"""Readings by house, device and point."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sst_cloud.models import Device, House, Snapshot
from sst_cloud.readings import Reading

from .meter_titles import natural_key


class DeviceReadings(NamedTuple):
    """A device and its readings; None if only its meters could be read."""

    id: int
    device: Device | None
    readings: list[Reading]


def by_house(
    snapshot: Snapshot, readings: Iterable[Reading]
) -> list[tuple[House, list[DeviceReadings]]]:
    """The houses of a snapshot, each once, with their devices and readings."""
    devices_by_house: dict[int, dict[int, DeviceReadings]] = defaultdict(dict)
    for device in snapshot.devices:
        devices_by_house[device.house_id][device.id] = DeviceReadings(device.id, device, [])
    for reading in readings:
        id_ = reading.device_id
        devices = devices_by_house[reading.house_id]
        devices.setdefault(id_, DeviceReadings(id_, None, [])).readings.append(reading)
    houses = {house.id: house for house in snapshot.houses}
    return [(house, list(devices_by_house[id_].values())) for id_, house in houses.items()]


def by_point(readings: Iterable[Reading]) -> list[Sequence[Reading]]:
    """The readings of one device, grouped by point."""
    points: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        points[reading.point, reading.point_id].append(reading)
    return list(points.values())


def display_order(reading: Reading) -> tuple[object, ...]:
    """A key that sorts readings by house, device, quantity and point, in natural order."""
    return reading.house, reading.device, reading.quantity, natural_key(reading.point_id)
