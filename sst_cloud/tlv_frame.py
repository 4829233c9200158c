"""The binary frame in a device's `configuration`, encoded in base64.

Layout, according to public analyses of recorded frames: 02 54, then `A`nswer or `Q`uestion, then
`R`ead or `W`rite, a length, tagged values, and a CRC-16 (CCITT-FALSE) over everything before it.
It is read as an independent check, above all for the device's own clock. Frames are never written
here: writing one also unassigns the module's wired lines.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

_START: Final = b"\x02\x54"
_HEADER: Final = 6
_CRC: Final = 2
_COUNTERS_SLOT: Final = 4


@attrs.frozen
class FrameCounter:
    """A meter as counted by the module itself."""

    is_on: bool
    value_l: int
    """Litres."""
    step_l: int
    """Litres per pulse."""
    error: int


@attrs.frozen
class FrameSensor:
    """A wireless sensor as seen by the module itself."""

    serial_number: int
    groups: int
    """Bit mask of the valve groups that it closes."""
    battery: int
    """Percent."""
    leak: bool
    battery_low: bool
    lost: bool
    signal_level: int


@attrs.frozen
class Frame:
    """A frame with a valid checksum. What the device does not report is None or empty."""

    tags: Mapping[str, bytes] = attrs.field(repr=False)
    """The raw values by tag, including the MAC address."""

    @property
    def device_id(self) -> str | None:
        """Two characters for the model, then the firmware's digits, such as `N5115`."""
        return self._ascii("I")

    @property
    def clock(self) -> datetime | None:
        """The device's own clock when it last reported, UTC."""
        text = self._ascii("D")
        if text is None or not text.isdecimal():
            return None
        try:
            return datetime.fromtimestamp(int(text), UTC)
        except (OverflowError, OSError, ValueError):
            return None

    @property
    def open_valves(self) -> tuple[bool, bool] | None:
        """Neptun Smart only: whether the valves of group 1 and of group 2 are open."""
        config = self.tags.get("C", b"")
        return (bool(config[0] & 1), bool(config[0] & 2)) if len(config) == 7 else None

    @property
    def counters(self) -> tuple[FrameCounter, ...]:
        """Neptun Smart only: the meters in its counter slots."""
        return tuple(
            FrameCounter(
                is_on=record[0] == 1,
                value_l=int.from_bytes(record[1:5]),
                step_l=record[5],
                error=record[7],
            )
            for kind, data in self._slots()
            if kind == _COUNTERS_SLOT
            for record in _records(data, 8)
        )

    @property
    def sensors(self) -> tuple[FrameSensor, ...]:
        """Neptun Smart only: its wireless sensors."""
        identities = _records(self.tags.get("W", b"")[1:], 3)
        states = _records(self.tags.get("w", b"")[1:], 2)
        return tuple(
            FrameSensor(
                serial_number=int.from_bytes(identity[:2]),
                groups=identity[2],
                battery=state[0],
                leak=bool(state[1] & 1),
                battery_low=bool(state[1] & 2),
                lost=bool(state[1] & 4),
                signal_level=state[1] >> 3 & 7,
            )
            for identity, state in zip(identities, states, strict=False)
        )

    @property
    def chart(self) -> tuple[tuple[int, int], ...]:
        """Thermostats only: the schedule as pairs of a minute and degrees Celsius."""
        chart = self.tags.get("C", b"")
        if len(chart) % 3 or len(chart) < 21:
            return ()
        return tuple((int.from_bytes(entry[:2]), entry[2]) for entry in _records(chart, 3))

    def _ascii(self, tag: str) -> str | None:
        value = self.tags.get(tag)
        return value.decode("ascii") if value and value.isascii() else None

    def _slots(self) -> Iterator[tuple[int, bytes]]:
        slots, position = self.tags.get("S", b""), 0
        while position + 1 < len(slots):
            kind, end = slots[position], position + 2 + slots[position + 1]
            yield kind, slots[position + 2 : end]
            position = end


def decode(text: str) -> Frame:
    """Decode a frame. Raises ValueError if it is not a frame or its checksum is wrong."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    body, crc = data[:-_CRC], data[-_CRC:]
    if len(data) < _HEADER + _CRC or not data.startswith(_START):
        raise ValueError("not a frame")
    if binascii.crc_hqx(body, 0xFFFF) != int.from_bytes(crc):
        raise ValueError("wrong checksum")
    if len(body) != _HEADER + int.from_bytes(body[4:6]):
        raise ValueError("wrong length")
    return Frame(dict(_tags(body[_HEADER:])))


def mask(text: str) -> str | None:
    """The same frame with a fake MAC address and a valid checksum; None if it is not a frame."""
    try:
        decode(text)
    except ValueError:
        return None
    body = bytearray(base64.b64decode(text)[:-_CRC])
    position = _HEADER
    while position < len(body):
        length = int.from_bytes(body[position + 1 : position + 3])
        if body[position] == ord("M"):
            body[position + 3 : position + 3 + length] = re.sub(
                rb"[0-9A-Fa-f]", b"0", body[position + 3 : position + 3 + length]
            )
        position += 3 + length
    return base64.b64encode(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2)).decode()


def _tags(values: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position < len(values):
        start = position + 3
        end = start + int.from_bytes(values[position + 1 : start])
        if max(start, end) > len(values):
            raise ValueError("a value is truncated")
        yield chr(values[position]), values[start:end]
        position = end


def _records(data: bytes, size: int) -> list[bytes]:
    return [data[position : position + size] for position in range(0, len(data) - size + 1, size)]
