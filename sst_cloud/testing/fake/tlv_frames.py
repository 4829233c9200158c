"""The binary frames that devices send and the cloud keeps as `configuration`."""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from .leak_module import FakeModule, FakeSensor
from .thermostat import FakeThermostat

_RADIO, _COUNTERS, _EMPTY = b"\x01\x00", 0x04, b"\xff\x00"
_TUYA: Final = b"\x05\x00"
"""The first slot of recorded modules; the cloud reports it as empty."""


def encode_frame(values: dict[str, bytes]) -> str:
    """The frame of a device's report in base64: tags, lengths, values and a CRC-16."""
    body = b"".join(
        tag.encode() + len(value).to_bytes(2, "big") + value for tag, value in values.items()
    )
    content = b"\x02\x54AR" + len(body).to_bytes(2, "big") + body
    return base64.b64encode(content + binascii.crc_hqx(content, 0xFFFF).to_bytes(2, "big")).decode()


def smart_tags(module: FakeModule, meters: Iterable[tuple[int, int]]) -> dict[str, bytes]:
    """The tags specific to a Neptun Smart; `meters` are (litres, litres per pulse)."""
    return {
        "C": _config(module),
        "W": bytes([len(module.sensors)])
        + b"".join(
            (sensor.serial & 0xFFFF).to_bytes(2, "big") + bytes([module.groups_of(sensor.group)])
            for sensor in module.sensors
        ),
        "w": bytes([len(module.sensors)])
        + b"".join(bytes([sensor.battery, _status(sensor)]) for sensor in module.sensors),
        "R": b"\x03",
        "S": _slots(module, list(meters)),
    }


def thermostat_tags(state: FakeThermostat, temperatures: Iterable[int]) -> dict[str, bytes]:
    """The tags specific to a thermostat: temperatures, settings, schedule.

    Only the schedule's format (u16 minute, u8 degrees) is certain; the settings are made up.
    """
    settings = (state.on, state.mode == "chart", state.manual, state.air_limit, state.bright)
    return {
        "T": bytes(_byte(value) for value in temperatures),
        "S": bytes(_byte(value) for value in (*settings, state.correction)),
        "C": b"".join(
            minute.to_bytes(2, "big") + bytes([_byte(degrees)]) for minute, degrees in state.chart
        ),
    }


def _config(module: FakeModule) -> bytes:
    """The settings byte and the status byte of the module's first register, and four lines."""
    first, second = module.alarms()
    settings = _bits(
        module.opened[1], module.opened[2], module.two_groups, module.close_on_lost, module.locked
    )
    lost = module.closed_by_lost()
    status = _bits(
        module.washing,
        first,
        second,
        any(sensor.battery_low for sensor in module.sensors),
        any(sensor.lost for sensor in module.sensors),
        *lost,
    )
    lines = bytes(module.groups_of(group) for group in module.line_groups)
    return bytes([settings, status]) + lines + b"\0"


def _status(sensor: FakeSensor) -> int:
    """Bits 0 alarm, 1 battery low, 2 lost, 3 to 5 the signal."""
    return _bits(sensor.leak, sensor.battery_low, sensor.lost) | sensor.reported_signal << 3


def _slots(module: FakeModule, meters: list[tuple[int, int]]) -> bytes:
    slots = [_TUYA]
    if module.sensors:
        slots.append(_RADIO)
    for start in range(0, len(meters), 2):
        records = b"".join(
            b"\x01" + (litres & 0xFFFFFFFF).to_bytes(4, "big") + bytes([step & 0xFF, 0, 0])
            for litres, step in meters[start : start + 2]
        )
        slots.append(bytes([_COUNTERS, len(records)]) + records)
    slots += [_EMPTY] * (4 - len(slots))
    return b"".join(slots)


def _bits(*flags: bool) -> int:
    return sum(1 << position for position, flag in enumerate(flags) if flag)


def _byte(value: int) -> int:
    """A signed byte, as corrections can be negative."""
    return int(value) & 0xFF
