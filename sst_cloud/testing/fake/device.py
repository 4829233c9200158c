"""A device of the fake cloud: its payload, and when its commands take effect."""

import copy
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, Self
from zoneinfo import ZoneInfo

import attrs

from sst_cloud.cloud.device_types import DeviceType

from .counter import FakeCounter, django_time, last_refresh
from .leak_module import LINES, FakeModule, FakeSensor
from .thermostat import (
    COMFORT,
    ECONOMICAL,
    VACATION,
    WORKDAY,
    FakeThermostat,
    daily_chart,
    weekly_chart,
)
from .tlv_frames import encode_frame, smart_tags, thermostat_tags

PROW: Final = frozenset({DeviceType.NEPTUN_PROW, DeviceType.EQUATION_PROW})
MODULES: Final = PROW | {DeviceType.NEPTUN_SMART}
THERMOSTATS: Final = frozenset(DeviceType) - MODULES

_PARSED_KEYS: Final = (
    "chart", "detector", "settings", "device_id", "mac_address", "relay_status", "signal_level",
    "access_status", "current_temperature", "open_window_minutes",
)  # fmt: skip
"""The keys of a thermostat's `parsed_configuration`, in order."""

State = FakeModule | FakeThermostat
Change = Callable[[State], None]


class HouseOfDevice(Protocol):
    """What a device needs of its house."""

    id: int

    @property
    def network_id(self) -> int | None:
        """The network that its devices are in."""
        ...

    @property
    def zone(self) -> ZoneInfo:
        """The house's time zone."""
        ...


def _record_status_change(device: "FakeDevice", _: object, status: str) -> str:
    device.goes(status)
    return status


@attrs.define(kw_only=True, eq=False)
class FakeDevice:
    """A device of any type; `module` or `thermostat` is its state, which tests may set."""

    name: str = "Neptun"
    type: int = DeviceType.NEPTUN_SMART
    counters: list[FakeCounter] = attrs.field(factory=list)
    id: int = 0
    access_status: str = attrs.field(default="available", on_setattr=_record_status_change)
    """Anything but `available` means unreachable: the cloud's data stay frozen."""
    line_names: list[str] = attrs.field(factory=list)
    group: int | None = None
    state: State | None = None
    """A `FakeModule` or a `FakeThermostat`; by default, the usual one for the type."""
    signal_level: int = 4
    obeys: bool = True
    """Whether commands take effect. The cloud accepts them either way."""
    unparsed: bool = False
    """Whether `parsed_configuration` is empty, as it sometimes is."""
    overrides: dict[str, Any] = attrs.field(factory=dict)
    """Payload fields to replace or add, for odd cases."""
    _pending: list[tuple[datetime, Change]] = attrs.field(factory=list, init=False, repr=False)
    _changed_at: datetime | None = attrs.field(default=None, init=False, repr=False)
    _now: Callable[[], datetime] | None = attrs.field(default=None, init=False, repr=False)
    _frozen: tuple[datetime, State | None] | None = attrs.field(
        default=None, init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        default_state = _default_state(self.type)
        if self.state is None:
            self.state = default_state
        elif type(self.state) is not type(default_state):
            wrong_type = type(self.state).__name__
            raise TypeError(f"a device of type {self.type} cannot have a {wrong_type} as its state")
        if isinstance(self.state, FakeThermostat) and not self.state.chart:
            if self.type == DeviceType.ECOSMART_25:
                self.state.chart = weekly_chart()
            elif self.type == DeviceType.MCS350:
                self.state.chart = daily_chart()

    @property
    def module(self) -> FakeModule:
        """The state of a leak module. Raises TypeError for other devices."""
        if not isinstance(self.state, FakeModule):
            raise TypeError(f"{self.name!r}, type {self.type}, is not a leak module")
        return self.state

    @property
    def thermostat(self) -> FakeThermostat:
        """The state of a thermostat. Raises TypeError for other devices."""
        if not isinstance(self.state, FakeThermostat):
            raise TypeError(f"{self.name!r}, type {self.type}, is not a thermostat")
        return self.state

    @property
    def sensors(self) -> list[FakeSensor]:
        """The wireless sensors; none unless it is a leak module."""
        return self.state.sensors if isinstance(self.state, FakeModule) else []

    @property
    def offline(self) -> bool:
        """Whether it is unreachable. The status that the real cloud reports then is not known."""
        return self.access_status != "available"

    @offline.setter
    def offline(self, value: bool) -> None:
        self.access_status = "unavailable" if value else "available"

    @property
    def mac_address(self) -> str:
        """Derived from the id, locally administered."""
        return ":".join(f"{part:02X}" for part in (2, 0, *self.id.to_bytes(4, "big")))

    def goes(self, status: str) -> None:
        """Record when the device becomes unreachable or comes back."""
        if status == "available":
            self._frozen = None
        elif self._frozen is None and self._now is not None:
            now = self._now()
            self.catch_up(now)
            self._freeze(now)

    def bind(self, now: Callable[[], datetime]) -> Self:
        """Use a cloud's clock from now on, and catch up to its current time."""
        self._now = now
        self.catch_up(now())
        return self

    def take(self, change: Change, now: datetime, settle: timedelta) -> None:
        """Accept a command; it takes effect after `settle`, if the device `obeys`."""
        self.catch_up(now)
        if self.obeys and not self.offline:
            self._pending.append((now + settle, change))
            self.catch_up(now)

    def catch_up(self, now: datetime, *, everything: bool = False) -> None:
        """Apply the commands that are due by now, or all of them."""
        if isinstance(self.state, FakeModule) and self.type in PROW:
            self.state.counting = {counter.line for counter in self.counters}
        if self.offline and self._frozen is None:
            self._freeze(now)
        self._react()
        pending, self._pending = self._pending, []
        for due, change in pending:
            if due <= now or everything:
                self._apply(change, min(due, now))
            else:
                self._pending.append((due, change))
        self._react()

    def seen(self, now: datetime) -> datetime:
        """When the cloud last heard from the device: now, unless it is unreachable."""
        return self._frozen[0] if self._frozen else now

    def payload(self, now: datetime, house: HouseOfDevice) -> dict[str, Any]:
        """The device's payload."""
        self.catch_up(now)
        parsed, tags = self._report(self.seen(now), house.zone)
        last_contact = self._last_contact(now)
        is_leak_module = self.type in MODULES
        return {
            "id": self.id,
            "configuration": encode_frame(
                tags | {"D": str(int(last_contact.timestamp())).encode()}
            ),
            "parsed_configuration": "" if self.unparsed else json.dumps(parsed, ensure_ascii=False),
            "timeout": 180,
            "time_setting": {
                "id": self.id + 7,
                "workday_time_range": WORKDAY,
                "vacation_time_range": VACATION,
                "device": self.id,
            },
            "group": self.group,
            "active_network": house.network_id,
            "specific_settings": {},
            "created_at": "2024-01-01T09:12:44.120934Z",
            "updated_at": django_time(last_contact),
            "name": self.name,
            "type": int(self.type),
            "previous_mode": "",
            "is_active": True,
            "is_connected": not self.offline,
            "mac_address": self.mac_address,
            "power": 0 if is_leak_module else 1500,
            "power_relay_time": "0",
            "chart_temperature_comfort": COMFORT,
            "chart_temperature_economical": ECONOMICAL,
            "wireless_sensors_names": [sensor.name for sensor in self.sensors],
            "line_names": self.line_names,
            "lines_enabled": [True] * LINES,
            "house": house.id,
            **self.overrides,
        }

    def wireless_sensors(self, now: datetime) -> list[dict[str, Any]]:
        """The payloads of the wireless sensors."""
        self.catch_up(now)
        state = self._reported_state()
        smart = self.type == DeviceType.NEPTUN_SMART
        sensors = state.sensors if isinstance(state, FakeModule) else []
        return [sensor.payload(smart=smart) for sensor in sensors]

    def _apply(self, change: Change, moment: datetime) -> None:
        if self.obeys and self.state is not None:
            if isinstance(self.state, FakeThermostat):
                self.state.remember(moment)
            change(self.state)
            self._changed_at = moment

    def _react(self) -> None:
        if isinstance(self.state, FakeModule):
            self.state.react()

    def _freeze(self, now: datetime) -> None:
        self._pending.clear()
        self._frozen = now, copy.deepcopy(self.state)

    def _reported_state(self) -> State | None:
        return self._frozen[1] if self._frozen else self.state

    def _last_contact(self, now: datetime) -> datetime:
        """The device's own clock at its last report: every ten minutes, and on every change."""
        last = last_refresh(self.seen(now))
        return max(last, self._changed_at) if self._changed_at else last

    def _report(self, now: datetime, zone: ZoneInfo) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The device's own report: the JSON object, and the tags of its frame."""
        is_leak_module = self.type in MODULES
        device_id = "N5115" if is_leak_module else "T5124"
        parsed: dict[str, Any] = {
            "device_id": device_id,
            "mac_address": self.mac_address,
            "signal_level": self.signal_level,
            "access_status": self.access_status,
        }
        tags = {
            "I": device_id.encode(),
            "M": self.mac_address.encode(),
            "A": b"\1" if self.offline else b"\0",
        }
        state = self._reported_state()
        if isinstance(state, FakeThermostat):
            local = last_refresh(now).astimezone(zone)
            parsed |= state.payload(self.type, local, self.id)
            parsed = {key: parsed[key] for key in _PARSED_KEYS if key in parsed}
            measured = parsed["current_temperature"]
            values = measured.values() if isinstance(measured, dict) else [measured]
            tags |= thermostat_tags(state, values)
        elif isinstance(state, FakeModule) and self.type in PROW:
            parsed |= state.prow()
        elif isinstance(state, FakeModule):
            meters = self._meter_values(now, zone)
            parsed |= state.smart(meters)
            tags |= smart_tags(state, meters)
        return parsed, tags

    def _meter_values(self, now: datetime, zone: ZoneInfo) -> list[tuple[int, int]]:
        offset = winter_offset(zone)
        return [(counter.value_l(now, offset), counter.step_l) for counter in self.counters]


def _default_state(type_: int) -> State | None:
    if type_ in MODULES:
        return FakeModule()
    return FakeThermostat() if type_ in THERMOSTATS else None


def winter_offset(zone: ZoneInfo) -> timedelta:
    """A time zone's UTC offset in winter."""
    return zone.utcoffset(datetime(2024, 1, 1)) or timedelta()  # noqa: DTZ001  it is local time
