"""Twenty thousand damaged payloads give only our own errors and never affect their neighbours."""

import contextlib
import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import payload_files as files
from cloud.mutator import mutated
from sst_cloud import (
    Counter,
    Device,
    Group,
    House,
    Network,
    News,
    PayloadError,
    Snapshot,
    User,
    WirelessSensor,
    readings_from,
)
from sst_cloud.cloud.devices.wireless_sensor import sensor_list_fields
from sst_cloud.cloud.structuring import Structurer
from sst_cloud.models import Entity

pytestmark = [pytest.mark.slow, pytest.mark.source]

MUTATIONS = 20_000
DEVICES = [files.load(name) for name in files.of("device")]
HOUSE = files.load("house/house")
COUNTERS = files.load("house/counters")
OWNER = files.device("neptun_smart/device")
SENSORS = [files.load(name) for name in files.of("wireless_sensors")]
ELEMENTS: list[tuple[type[Entity], Any]] = [
    *((Counter, counter) for counter in COUNTERS),
    *((House, files.load(name)) for name in files.of("house")),
    *((Network, files.load(name)) for name in files.of("network")),
    *((Group, files.load(name)) for name in files.of("group")),
    *((News, files.load(name)) for name in files.of("news")),
]
USERS = [files.load(name) for name in files.of("user")]
A_ROUND = len(DEVICES) + len(SENSORS) + len(ELEMENTS) + len(USERS)
rounds = settings(max_examples=math.ceil(MUTATIONS / A_ROUND), deadline=None)
seeds = st.integers(0, 2**32).map(random.Random)


def valid(snapshot: Snapshot) -> None:
    """Check that all readings can be made, have unique keys and can be serialised."""
    readings = readings_from(snapshot)
    assert len({reading.key for reading in readings}) == len(readings)
    written = json.dumps([reading.as_dict() for reading in readings], allow_nan=False)
    assert len(json.loads(written)) == len(readings)


def listed(structurer: Structurer, type_: type[Entity], good: Any, bad: list[Any]) -> list[Any]:
    """Read damaged elements between good neighbours; returns the elements read from them."""
    listing = structurer.listing([good, *bad, good], type_, "/", house_id=1)
    assert len(listing) + len(listing.unreadable) == len(bad) + 2
    assert listing[0] == listing[-1] == structurer.one(good, type_, "/", house_id=1)
    assert all(unreadable.reason for unreadable in listing.unreadable)
    repr(listing)
    return listing[1:-1]


@given(seeds)
@rounds
def test_mutated_devices_do_not_affect_their_neighbours(rng: random.Random) -> None:
    structurer = Structurer()
    house = structurer.listing([mutated(HOUSE, rng)], House, "/")
    bad = [mutated(payload, rng) for payload in DEVICES]
    for device in listed(structurer, Device, DEVICES[0], bad):
        assert device.model
        hash(device)
        valid(Snapshot(time=files.NOW, houses=tuple(house), devices=(device,)))


@given(seeds)
@rounds
def test_mutated_wireless_sensors_keep_unique_ids(rng: random.Random) -> None:
    structurer = Structurer()
    for payload in SENSORS:
        wrong = mutated(payload, rng)
        try:
            listing = structurer.listing(
                wrong,
                WirelessSensor,
                "/",
                element_fields=sensor_list_fields(wrong),
                house_id=OWNER.house_id,
                device_id=OWNER.id,
            )
        except PayloadError:
            assert not isinstance(wrong, list)
            continue
        assert len(listing) + len(listing.unreadable) == len(wrong)
        sensors = tuple(listing)
        assert len({sensor.point_id for sensor in sensors}) == len(sensors)
        valid(Snapshot(time=files.NOW, devices=(OWNER,), wireless_sensors=sensors))


@given(seeds)
@rounds
def test_mutated_list_elements_do_not_affect_their_neighbours(rng: random.Random) -> None:
    structurer = Structurer()
    for type_, payload in ELEMENTS:
        for item in listed(structurer, type_, payload, [mutated(payload, rng)]):
            if isinstance(item, Counter):
                valid(Snapshot(time=files.NOW, counters=(item,)))
            hash(item)


@given(seeds)
@rounds
def test_mutated_user_is_read_or_a_payload_error(rng: random.Random) -> None:
    structurer = Structurer()
    for payload in USERS:
        with contextlib.suppress(PayloadError):
            user = structurer.one(mutated(payload, rng), User, "/auth/user/")
            assert "@example.com" not in repr(user)


def test_mutations_are_reproducible_and_varied() -> None:
    """The same for the same seed, different for other seeds, and nearly always a change."""
    device = files.load("neptun_smart/device_alarm")
    before = json.dumps(device)
    once, again = (
        [repr(mutated(device, random.Random(seed))) for seed in range(300)] for _ in (1, 2)
    )
    assert once == again
    assert json.dumps(device) == before
    assert sum(text != repr(device) for text in once) > 280
    assert len(set(once)) > 250
