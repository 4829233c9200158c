"""When what the cloud shows of a device is old news."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import payload_files as files
from sst_cloud import Counter, Device, DeviceType, Quality, Quantity, Snapshot, readings_from

OLD, NEW = timedelta(minutes=30, seconds=1), timedelta(minutes=30)


def online(**signs: Any) -> tuple[list[object], Quality]:
    """What `online` says of a device with these signs of life, and how good its total is."""
    device = Device(id=2, house_id=1, type=DeviceType.NEPTUN_SMART, **signs)
    counter = Counter(id=3, house_id=1, device_id=2, value_l=4)
    snapshot = Snapshot(time=files.NOW, devices=(device,), counters=(counter,))
    volume, *others = readings_from(snapshot)
    return [r.value for r in others if r.quantity is Quantity.ONLINE], volume.quality


@pytest.mark.parametrize("clock", ["reported_at", "updated_at"])
def test_three_refreshes_are_missing(clock: str) -> None:
    assert online(**{clock: files.NOW - NEW}) == ([True], Quality.GOOD)
    assert online(**{clock: files.NOW - OLD}) == ([False], Quality.STALE)
    assert online(**{clock: files.NOW + OLD}) == ([True], Quality.GOOD)


@pytest.mark.parametrize(
    ("reported", "updated", "good"),
    [(NEW, NEW, True), (OLD, NEW, False), (NEW, OLD, False), (OLD, OLD, False)],
)
def test_one_of_the_clocks_is_enough(reported: timedelta, updated: timedelta, good: bool) -> None:
    signs = {"reported_at": files.NOW - reported, "updated_at": files.NOW - updated}
    assert online(**signs) == ([good], Quality.GOOD if good else Quality.STALE)


@pytest.mark.parametrize(
    "unset", [datetime(1970, 1, 3, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)]
)
def test_a_clock_that_was_never_set_says_nothing(unset: datetime) -> None:
    """Without a battery, a module counts from 1970 or 2000 when it comes back."""
    assert online(reported_at=unset) == ([], Quality.GOOD)
    assert online(reported_at=unset, updated_at=files.NOW) == ([True], Quality.GOOD)
    assert online(reported_at=unset, updated_at=files.NOW - OLD) == ([False], Quality.STALE)


def test_out_of_reach_is_stale_however_new() -> None:
    assert online(updated_at=files.NOW, access_status="unavailable") == ([False], Quality.STALE)
    assert online(updated_at=files.NOW, is_connected=False) == ([False], Quality.STALE)


def test_without_a_sign_of_life_nothing_is_said() -> None:
    assert online() == ([], Quality.GOOD)
