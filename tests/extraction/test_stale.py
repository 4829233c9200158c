"""When the data of a device in the cloud is stale."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import payload_files as files
from sst_cloud import Counter, Device, Quality, Quantity, Snapshot, readings_from

OLD, NEW = timedelta(minutes=30, seconds=1), timedelta(minutes=30)


def online(**signs: Any) -> tuple[list[object], Quality]:
    """The `online` readings of a device with these timestamps, and the quality of its total."""
    device = Device(id=2, house_id=1, **signs)
    counter = Counter(id=3, house_id=1, device_id=2, value_l=4)
    snapshot = Snapshot(time=files.NOW, devices=(device,), counters=(counter,))
    volume, *others = readings_from(snapshot)
    return [r.value for r in others if r.quantity is Quantity.ONLINE], volume.quality


@pytest.mark.parametrize("clock", ["reported_at", "updated_at"])
def test_device_is_stale_after_three_missed_refreshes(clock: str) -> None:
    assert online(**{clock: files.NOW - NEW}) == ([True], Quality.GOOD)
    assert online(**{clock: files.NOW - OLD}) == ([False], Quality.STALE)
    assert online(**{clock: files.NOW + OLD}) == ([True], Quality.GOOD)


@pytest.mark.parametrize(
    ("reported", "updated", "good"),
    [(NEW, NEW, True), (OLD, NEW, False), (NEW, OLD, False), (OLD, OLD, False)],
)
def test_one_recent_timestamp_is_enough(
    reported: timedelta, updated: timedelta, good: bool
) -> None:
    signs = {"reported_at": files.NOW - reported, "updated_at": files.NOW - updated}
    assert online(**signs) == ([good], Quality.GOOD if good else Quality.STALE)


@pytest.mark.parametrize(
    "unset", [datetime(1970, 1, 3, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)]
)
def test_timestamp_of_an_unset_clock_is_ignored(unset: datetime) -> None:
    """A module without a clock battery restarts in 1970 or 2000."""
    assert online(reported_at=unset) == ([], Quality.GOOD)
    assert online(reported_at=unset, updated_at=files.NOW) == ([True], Quality.GOOD)
    assert online(reported_at=unset, updated_at=files.NOW - OLD) == ([False], Quality.STALE)


def test_unavailable_device_is_stale_despite_a_recent_update() -> None:
    assert online(updated_at=files.NOW, access_status="unavailable") == ([False], Quality.STALE)
    assert online(updated_at=files.NOW, is_connected=False) == ([False], Quality.STALE)


def test_device_without_timestamps_has_no_online_reading() -> None:
    assert online() == ([], Quality.GOOD)
