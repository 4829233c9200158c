"""The binary frame: any input gives a valid frame or a ValueError."""

import base64
import binascii
import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import payload_files as files
from sst_cloud import Device, NeptunSmart, tlv_frame
from sst_cloud.cloud.structuring import Structurer
from sst_cloud.testing.fake.tlv_frames import encode_frame as build

SMART = files.load("neptun_smart/device_lost_sensor")["configuration"]
tags = st.dictionaries(
    st.sampled_from("IMACWwRSDLTX\0"),
    st.binary(max_size=40),
    max_size=8,
)


def everything(decoded: tlv_frame.Frame) -> tuple[object, ...]:
    """All attributes of a frame; reading them never fails."""
    return (
        decoded.device_id,
        decoded.clock,
        decoded.open_valves,
        decoded.counters,
        decoded.sensors,
        decoded.chart,
        repr(decoded),
    )


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: b"\x02\x54AR" + rest))
def test_any_bytes_decode_or_raise_value_error(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    try:
        decoded = tlv_frame.decode(text)
    except ValueError:
        assert tlv_frame.mask(text) is None
    else:
        everything(decoded)


@given(st.text())
def test_any_text_is_refused_with_a_value_error(text: str) -> None:
    """Text is never accidentally valid, because it lacks the start byte."""
    with pytest.raises(ValueError, match=r"base64|frame|checksum|length|truncated"):
        tlv_frame.decode(text)
    assert tlv_frame.mask(text) is None


@given(tags)
def test_decoded_frame_has_the_tags_it_was_built_from(values: dict[str, bytes]) -> None:
    decoded = tlv_frame.decode(build(values))
    assert decoded.tags == values
    everything(decoded)


@given(tags, st.data())
def test_flipped_bit_is_detected(values: dict[str, bytes], data: st.DataObject) -> None:
    whole = bytearray(base64.b64decode(build(values)))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"frame|checksum"):
        tlv_frame.decode(base64.b64encode(whole).decode())


@given(tags)
def test_masked_frame_is_valid_without_hardware_address(values: dict[str, bytes]) -> None:
    values["M"] = b"02:5C:00:00:A0:4F"
    masked = tlv_frame.mask(build(values))
    assert masked is not None
    decoded = tlv_frame.decode(masked)
    assert decoded.tags["M"] == b"00:00:00:00:00:00"
    assert {**decoded.tags, "M": b""} == {**values, "M": b""}


@given(st.binary(max_size=12))
def test_clock_is_a_utc_time_or_none(digits: bytes) -> None:
    clock = tlv_frame.decode(build({"D": digits})).clock
    assert clock is None or clock.tzinfo is UTC


@pytest.mark.parametrize(
    "digits", [b"", b"soon", b"-5", b"9" * 12, b"9" * 5000, b"\xff" * 8, "²".encode()]
)
def test_invalid_clock_is_none(digits: bytes) -> None:
    assert tlv_frame.decode(build({"D": digits})).clock is None


def test_frame_of_a_neptun_smart_is_decoded() -> None:
    decoded = tlv_frame.decode(SMART)
    assert decoded.device_id == "N5121"
    assert decoded.clock == datetime(2026, 11, 23, 8, 58, 30, tzinfo=UTC)
    assert decoded.open_valves == (False, True)
    assert decoded.counters == (
        tlv_frame.FrameCounter(is_on=True, value_l=28450, step_l=10, error=0),
        tlv_frame.FrameCounter(is_on=True, value_l=9120, step_l=10, error=0),
    )
    first, second = decoded.sensors
    assert (first.serial_number, first.groups, first.battery, first.lost) == (3217, 1, 93, True)
    assert (second.signal_level, second.battery_low, second.lost, second.leak) == (
        2,
        True,
        False,
        False,
    )
    assert decoded.chart == ()
    assert "02:5C" not in repr(decoded)


def test_frame_of_a_thermostat_is_decoded() -> None:
    decoded = tlv_frame.decode(files.load("ecosmart_25/device_schedule_in_frame")["configuration"])
    assert (len(decoded.chart), decoded.chart[0], decoded.chart[-1]) == (56, (60, 18), (9960, 19))
    assert (decoded.counters, decoded.sensors, decoded.open_valves) == ((), (), None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a frame"),
        (b"\x02\x55AR\0\0\0\0", "not a frame"),
        (b"\x02\x54AR\0\0\0\0", "wrong checksum"),
    ],
)
def test_invalid_frames_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tlv_frame.decode(base64.b64encode(data).decode())


def test_wrong_length_with_a_valid_checksum_is_refused() -> None:
    for body, reason in (
        (b"\x02\x54AR\0\x05I\0\x01N", "wrong length"),
        (b"\x02\x54AR\0\x04I\0\x09N", "truncated"),
        (b"\x02\x54AR\0\x02I\0", "truncated"),
    ):
        whole = body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2)
        with pytest.raises(ValueError, match=reason):
            tlv_frame.decode(base64.b64encode(whole).decode())


def test_broken_frame_is_logged_once_and_the_device_is_still_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    broken = files.load("neptun_smart/device_broken_frame")
    structurer = Structurer()
    for _ in range(3):
        first, good, last = structurer.listing(
            [broken, files.load("neptun_smart/device"), broken], Device, "/"
        )
    (line,) = [record for record in caplog.records if "frame" in record.getMessage()]
    assert line.levelno == logging.INFO
    assert "checksum" in line.getMessage()
    assert broken["configuration"] not in caplog.text
    assert (first.reported_at, good.reported_at is None, last) == (None, False, first)
    assert isinstance(first, NeptunSmart)
    assert isinstance(good, NeptunSmart)
    assert (first.valve_groups, first.lines, first.slots) == (
        good.valve_groups,
        good.lines,
        good.slots,
    )
    assert first.firmware == good.firmware


@pytest.mark.skipif(not files.RECORDED.is_dir(), reason=files.NO_RECORDINGS)
def test_recorded_frame_is_decoded() -> None:
    name = "configuration_frame_type7_opened.json"
    text = json.loads((files.RECORDED / name).read_text(encoding="utf-8"))["opened"]
    decoded = tlv_frame.decode(text)
    assert decoded.device_id == "N5115"
    assert decoded.clock == datetime(2023, 2, 8, 13, 12, 27, tzinfo=UTC)
    assert decoded.open_valves == (True, True)
    assert [(meter.value_l, meter.step_l) for meter in decoded.counters] == [
        (11910, 10),
        (2720, 10),
    ]
    assert [(sensor.signal_level, sensor.lost) for sensor in decoded.sensors] == [
        (3, False),
        (2, False),
    ]
    assert tlv_frame.mask(text) is not None
