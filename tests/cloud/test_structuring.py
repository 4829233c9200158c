"""Payloads with anything missing, null, of the wrong type or extra: only our errors come out."""

import contextlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from aioresponses import aioresponses
from hypothesis import given, settings
from hypothesis import strategies as st

from payload_files import NO_RECORDINGS, RECORDED
from sst_cloud import (
    Counter,
    Device,
    House,
    ManualClock,
    PayloadError,
    SSTCloud,
    SSTCloudError,
    TokenAuth,
    User,
    Water,
    WirelessSensor,
)
from sst_cloud.cloud.devices.wireless_sensor import sensor_list_fields
from sst_cloud.cloud.structuring import Structurer
from sst_cloud.models import Entity
from sst_cloud.testing import demo_account
from sst_cloud.testing.fake.account import assign_ids

ACCOUNT = demo_account()
assign_ids([ACCOUNT])
NOW = ManualClock().now()
HOUSE = ACCOUNT.houses[0].payload(NOW, ACCOUNT)
DEVICE = ACCOUNT.houses[0].devices[0].payload(NOW, ACCOUNT.houses[0])
COUNTER = ACCOUNT.houses[0].counters(NOW)[0]

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["", "12", "-3", "2026-01-01", "24:00:00", "\ud800", 10**400, -1, 2**63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def mutations(payload: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The payload with some fields dropped, some replaced, some added."""
    return st.builds(
        lambda dropped, replaced, extra: {
            key: value for key, value in (extra | payload | replaced).items() if key not in dropped
        },
        st.sets(st.sampled_from(sorted(payload)), max_size=4),
        st.dictionaries(st.sampled_from(sorted(payload)), junk, max_size=6),
        st.dictionaries(st.text(), junk, max_size=2),
    )


@given(st.lists(mutations(COUNTER) | junk, max_size=4))
@settings(max_examples=150)
def test_good_counters_are_read_beside_broken_ones(payloads: list[Any]) -> None:
    listing = Structurer().listing([COUNTER, *payloads, COUNTER], Counter, "/", house_id=1)
    assert listing[0] == listing[-1]
    assert listing[0].value_l == COUNTER["value"]
    assert len(listing) + len(listing.unreadable) == len(payloads) + 2
    assert all(bad.reason for bad in listing.unreadable)
    repr(listing)


@given(st.lists(mutations(DEVICE) | junk, max_size=4))
@settings(max_examples=150)
def test_good_devices_are_read_beside_broken_ones(payloads: list[Any]) -> None:
    listing = Structurer().listing([DEVICE, *payloads], Device, "/", house_id=1)
    assert listing[0].name == "Bathroom"
    assert len(listing) + len(listing.unreadable) == len(payloads) + 1
    for device in listing:
        assert device.model
        hash(device)


@given(st.lists(mutations(HOUSE) | junk, max_size=4))
@settings(max_examples=150)
def test_good_houses_are_read_beside_broken_ones(payloads: list[Any]) -> None:
    listing = Structurer().listing([*payloads, HOUSE], House, "/")
    assert listing[-1].timezone == "Europe/Moscow"
    assert len(listing) + len(listing.unreadable) == len(payloads) + 1


@given(junk | mutations(ACCOUNT.payload()))
@settings(max_examples=150)
def test_any_payload_gives_a_user_or_a_payload_error(payload: Any) -> None:
    try:
        user = Structurer().one(payload, User, "/auth/user/")
    except PayloadError as error:
        message = str(error)
    else:
        message = f"/auth/user/: {user.id:d}"
    assert message.startswith("/auth/user/: ")


@given(st.binary(max_size=60) | st.builds(lambda x: json.dumps(x).encode(), junk))
@settings(max_examples=150, deadline=None)
async def test_any_body_gives_a_snapshot_or_a_library_error(body: bytes) -> None:
    with aioresponses() as cloud:
        cloud.get("https://api.sst-cloud.com/houses/", body=body)
        async with SSTCloud(TokenAuth("x"), clock=ManualClock()) as client:
            with contextlib.suppress(SSTCloudError):
                await client.snapshot()


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, '{"a": NaN}', "{]"])
async def test_malicious_json_is_a_payload_error(text: str) -> None:
    with aioresponses() as cloud:
        cloud.get("https://api.sst-cloud.com/houses/", body=text)
        async with SSTCloud(TokenAuth("x"), clock=ManualClock()) as client:
            with pytest.raises(PayloadError):
                await client.houses()


def test_numbers_are_read_from_numbers_and_text() -> None:
    for value in (319881, 319881.0, "319881"):
        counter = Structurer().one(COUNTER | {"value": value}, Counter, "/", house_id=1)
        assert (counter.value_l, type(counter.value_l)) == (319881, int)


@pytest.mark.parametrize("value", [None, True, 1.5, "1.5", "", "many", [], {}, 2**63, 1e300])
def test_a_counter_without_a_usable_value_is_unreadable(value: Any) -> None:
    listing = Structurer().listing([COUNTER | {"value": value}], Counter, "/", house_id=1)
    (bad,) = listing.unreadable
    assert (bad.kind, bad.id) == ("counter", COUNTER["id"])
    assert "`value`" in bad.reason


def test_first_unreadable_elements_are_listed_and_the_rest_counted() -> None:
    listing = Structurer().listing([{}] * 5_000 + [COUNTER], Counter, "/", house_id=1)
    assert [counter.id for counter in listing] == [COUNTER["id"]]
    *listed, rest = listing.unreadable
    assert {bad.reason for bad in listed} == {"`id` is missing"}
    assert len(listed) == 1_000
    assert (rest.kind, rest.id, rest.raw) == ("counter", None, None)
    assert rest.reason == "4000 more elements cannot be read"


def test_exactly_the_maximum_of_unreadable_elements_is_listed() -> None:
    listing = Structurer().listing([{}] * 1_000, Counter, "/", house_id=1)
    assert {bad.reason for bad in listing.unreadable} == {"`id` is missing"}


@pytest.mark.not_quick
@pytest.mark.parametrize("type_", [House, Device, Counter, WirelessSensor])
def test_list_is_read_up_to_a_maximum_length(type_: type[Entity]) -> None:
    payload = [{"id": 1, "name": "A", "type": 100, "device": 1, "value": 1}] * 50_001
    each = sensor_list_fields(payload) if type_ is WirelessSensor else None
    listing = Structurer().listing(
        payload, type_, "/", element_fields=each, house_id=1, device_id=2
    )
    assert len(listing) == 50_000
    (rest,) = listing.unreadable
    assert rest.reason == "only 50000 of 50001 elements were read"


def test_unexpected_value_is_logged_once_across_threads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    structurer = Structurer()
    payload = [COUNTER | {"name": at} for at in range(100)]
    together = Barrier(8)

    def read() -> int:
        together.wait()
        return len(structurer.listing(payload, Counter, "/", house_id=1))

    with ThreadPoolExecutor(8) as threads:
        assert [read.result() for read in [threads.submit(read) for _ in range(8)]] == [100] * 8
    assert caplog.text.count("Counter.name") == 1


def test_invalid_optional_fields_become_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    structurer = Structurer()
    invalid = COUNTER | {"name": 5, "line": "x", "for_hot_water": "perhaps", "step": [10]}
    for _ in range(3):
        counter = structurer.one(invalid, Counter, "/", house_id=1)
    assert (counter.name, counter.line, counter.water, counter.step_l) == (None, None, None, None)
    assert counter.raw["for_hot_water"] == "perhaps"
    assert caplog.text.count("Counter.name") == 1


def test_an_unknown_value_keeps_its_text_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    structurer = Structurer()
    parsed = json.dumps({"access_status": "hibernating"})
    for _ in range(3):
        device = structurer.one(DEVICE | {"parsed_configuration": parsed}, Device, "/")
    assert device.access_status == "hibernating"
    assert caplog.text.count("hibernating") == 1


@pytest.mark.parametrize("parsed", ["", "   ", "{", "[]", "null", None, 5, {"access_status": 1}])
def test_unreadable_parsed_configuration_is_ignored(parsed: Any) -> None:
    device = Structurer().one(DEVICE | {"parsed_configuration": parsed}, Device, "/")
    assert device.access_status is None


def test_unknown_fields_are_kept_only_in_raw() -> None:
    structurer = Structurer()
    plain = structurer.one(COUNTER, Counter, "/", house_id=1)
    extended = structurer.one(COUNTER | {"colour": "blue"}, Counter, "/", house_id=1)
    assert extended == plain
    assert extended.raw["colour"] == "blue"
    assert "blue" not in repr(extended)


def test_model_and_point_id_are_never_taken_from_a_payload() -> None:
    own = {"model": "Toaster", "point_id": "mine"}
    assert Structurer().one(DEVICE | own, Device, "/").model == "Neptun Smart"
    assert Structurer().one(COUNTER | own, Counter, "/", house_id=1).point_id == str(COUNTER["id"])


@pytest.mark.parametrize(
    ("type_", "reason"), [(None, "`type` is missing"), ("x", "`type` is not a whole number")]
)
def test_device_without_a_type_number_is_unreadable(type_: Any, reason: str) -> None:
    listing = Structurer().listing([DEVICE | {"type": type_}], Device, "/", house_id=1)
    assert [(bad.id, bad.reason) for bad in listing.unreadable] == [(DEVICE["id"], reason)]


def test_unencodable_characters_in_a_name_are_replaced() -> None:
    counter = Structurer().one(COUNTER | {"name": "tap \ud800"}, Counter, "/", house_id=1)
    assert counter.name == "tap ?"


def test_lines_enabled_is_read_under_both_names() -> None:
    other = {key: value for key, value in DEVICE.items() if key != "lines_enabled"}
    device = Structurer().one(other | {"lines_enable": ["on", "off"]}, Device, "/")
    assert device.lines_enabled == ("on", "off")


@pytest.mark.parametrize("ranges", [[["06:30:00"]], [["a", "b"]], [5], 5, ["06:30:00"]])
def test_invalid_time_ranges_are_ignored(ranges: Any) -> None:
    setting = DEVICE["time_setting"] | {"workday_time_range": ranges}
    device = Structurer().one(DEVICE | {"time_setting": setting}, Device, "/")
    assert device.time_setting is not None
    assert device.time_setting.workday_time_range == ()


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


@pytest.mark.skipif(not RECORDED.is_dir(), reason=NO_RECORDINGS)
class TestRecordedPayloads:
    """Recordings of real accounts, if they are available."""

    def test_recorded_house_is_read(self) -> None:
        house = Structurer().one(recorded("house_jarvis_2019.json"), House, "/")
        assert (house.id, house.timezone, house.report_date) == (9086, "Europe/Moscow", 24)
        assert house.workdays is not None
        assert house.workdays.vacations == (5, 6)

    def test_recorded_counters_are_read(self) -> None:
        payload = recorded("house_counters_jarvis_2019.json")
        cold, hot = Structurer().listing(payload, Counter, "/", house_id=9086)
        assert (cold.water, cold.value_l, cold.step_l) == (Water.COLD, 319881, 10)
        assert (hot.water, hot.value_l, hot.line) == (Water.HOT, 346911, 3)

    @pytest.mark.parametrize(
        "name", sorted(path.name for path in RECORDED.glob("*.json")) if RECORDED.is_dir() else []
    )
    def test_every_recording_is_read_as_device_configuration(self, name: str) -> None:
        payload = recorded(name)
        outer = {"id": 1, "house": 2, "type": 7, "parsed_configuration": json.dumps(payload)}
        device = Structurer().one(outer, Device, "/")
        expected = payload.get("access_status") if isinstance(payload, dict) else None
        assert device.access_status == expected
