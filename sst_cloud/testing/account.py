"""What a fake cloud holds: accounts, houses, devices, counters; and how the cloud writes them."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs

from sst_cloud.enums import DeviceType

from .household import EPOCH, WaterUse

REFRESH: Final = timedelta(minutes=10)
"""How often the cloud learns new values from a module."""

_LEAK_MODULES: Final = frozenset(
    {DeviceType.NEPTUN_PROW, DeviceType.EQUATION_PROW, DeviceType.NEPTUN_SMART}
)


def refreshed(now: datetime) -> datetime:
    """The last moment at which the cloud learned new values."""
    return now - (now - EPOCH) % REFRESH


@attrs.define(kw_only=True)
class FakeCounter:
    """A water meter. Set `daily_l` to 0 for one that stands still."""

    name: str | None = None
    hot: bool = False
    id: int = 0
    """0 means: numbered by the cloud."""
    line: int = 0
    """0 means: numbered by the device."""
    step_l: int = 10
    start_l: int = 0
    """What the meter showed at the start of 2024, litres."""
    daily_l: float = 150.0
    """Litres used on an average weekday."""
    glitches: list[int] = attrs.field(factory=list)
    """Values that the next answers show in place of the true one, each once."""
    _use: WaterUse | None = attrs.field(default=None, init=False, repr=False, eq=False)

    def value_l(self, now: datetime, utc_offset: timedelta = timedelta(hours=3)) -> int:
        """The total in litres that the cloud knows at this moment, in whole pulses."""
        if self._use is None or self._use.daily_l != self.daily_l:
            self._use = WaterUse(self.daily_l, self.id, utc_offset)
        used = self._use.litres(refreshed(now))
        return self.start_l + int(used // self.step_l) * self.step_l

    def payload(self, now: datetime, device: "FakeDevice", utc_offset: timedelta) -> dict[str, Any]:
        """The meter as the cloud writes it."""
        value = self.value_l(now, utc_offset)
        return {
            "id": self.id,
            "name": self.name,
            "line": self.line,
            "for_hot_water": self.hot,
            "max_value": 0,
            "step": self.step_l,
            "value": self.glitches.pop(0) if self.glitches else value,
            "prev_value": self.value_l(now - REFRESH, utc_offset),
            "prev_step": self.step_l,
            "device": device.id,
        }


@attrs.define(kw_only=True)
class FakeDevice:
    """A device of any type."""

    name: str = "Neptun"
    type: int = DeviceType.NEPTUN_SMART
    counters: list[FakeCounter] = attrs.field(factory=list)
    id: int = 0
    access_status: str = "available"
    line_names: list[str] = attrs.field(factory=list)
    overrides: dict[str, Any] = attrs.field(factory=dict)
    """Fields of the payload to replace or add, for odd cases."""

    @property
    def mac_address(self) -> str:
        """Made from the id, locally administered."""
        return ":".join(f"{part:02X}" for part in (2, 0, *self.id.to_bytes(4, "big")))

    def payload(self, now: datetime, house: "FakeHouse") -> dict[str, Any]:
        """The device as the cloud writes it."""
        leak_module = self.type in _LEAK_MODULES
        hardware = "N5115" if leak_module else "T5124"
        parsed = {
            "device_id": hardware,
            "mac_address": self.mac_address,
            "signal_level": 4,
            "access_status": self.access_status,
        }
        return {
            "id": self.id,
            "configuration": frame(
                {
                    "I": hardware.encode(),
                    "M": self.mac_address.encode(),
                    "A": b"\0",
                    "D": str(int(refreshed(now).timestamp())).encode(),
                }
            ),
            "parsed_configuration": json.dumps(parsed, ensure_ascii=False),
            "timeout": 180,
            "time_setting": {
                "id": self.id + 7,
                "workday_time_range": [["06:30:00", "09:00:00"], ["18:00:00", "23:00:00"]],
                "vacation_time_range": [["08:00:00", "23:30:00"]],
                "device": self.id,
            },
            "group": None,
            "active_network": house.id,
            "specific_settings": {},
            "created_at": "2024-01-01T09:12:44.120934Z",
            "updated_at": _django_time(refreshed(now)),
            "name": self.name,
            "type": int(self.type),
            "previous_mode": "",
            "is_active": True,
            "is_connected": self.access_status == "available",
            "mac_address": self.mac_address,
            "power": 0 if leak_module else 1500,
            "power_relay_time": "0",
            "chart_temperature_comfort": 26,
            "chart_temperature_economical": 20,
            "wireless_sensors_names": [],
            "line_names": self.line_names,
            "lines_enabled": [True, True, True, True],
            "house": house.id,
            **self.overrides,
        }


@attrs.define(kw_only=True)
class FakeHouse:
    """A house with its devices."""

    name: str = "Flat"
    timezone: str = "Europe/Moscow"
    devices: list[FakeDevice] = attrs.field(factory=list)
    id: int = 0
    overrides: dict[str, Any] = attrs.field(factory=dict)

    @property
    def utc_offset(self) -> timedelta:
        """That of the time zone in winter."""
        return ZoneInfo(self.timezone).utcoffset(EPOCH.replace(tzinfo=None)) or timedelta()

    def payload(self, now: datetime, account: "FakeAccount") -> dict[str, Any]:
        """The house as the cloud writes it."""
        weekend = now.astimezone(ZoneInfo(self.timezone)).weekday() in (5, 6)
        return {
            "id": self.id,
            "owner": account.email,
            "workdays": {
                "id": self.id - 6,
                "current_day": "vacation" if weekend else "workday",
                "workdays_count": 2,
                "vacations_count": 2,
                "current_week": 0,
                "is_custom": False,
                "vacations": [5, 6],
                "start_date": None,
                "next_workday": None,
                "next_vacation": None,
                "start_day": 0,
                "house": self.id,
            },
            "timezone": self.timezone,
            "created_at": "2024-01-01T09:10:02.551872Z",
            "updated_at": _django_time(refreshed(now)),
            "uid": _digest("uid", account.email, str(self.id))[:10],
            "name": self.name,
            "in_home": True,
            "behaviour": "noth",
            "close_valves": 2,
            "report_date": 20,
            "users": [account.id],
            **self.overrides,
        }

    def counters(self, now: datetime, device: FakeDevice | None = None) -> list[dict[str, Any]]:
        """The counters of the house, or of one of its devices, as the cloud writes them."""
        return [
            counter.payload(now, owner, self.utc_offset)
            for owner in ([device] if device else self.devices)
            for counter in owner.counters
        ]


@attrs.define(kw_only=True)
class FakeAccount:
    """An account: who may log in, and what is seen then."""

    email: str = "demo@example.com"
    password: str = "correct-horse"  # noqa: S105  of a cloud that is not real
    houses: list[FakeHouse] = attrs.field(factory=list)
    id: int = 0
    generation: int = 1
    """Tokens and sessions of earlier generations are no longer valid."""

    @property
    def token(self) -> str:
        """The token that is valid now: 40 hexadecimal digits."""
        return _digest("token", self.email, str(self.generation))[:40]

    @property
    def session(self) -> str:
        """The `sessionid` cookie that is valid now."""
        return _digest("session", self.email, str(self.generation))[:32]

    @property
    def csrf(self) -> str:
        """The `csrftoken` cookie that is valid now."""
        return _digest("csrf", self.email, str(self.generation))[:64]

    def payload(self) -> dict[str, Any]:
        """The user as the cloud writes it."""
        return {
            "pk": self.id,
            "username": self.email,
            "email": self.email,
            "profile": {
                "id": self.id + 11,
                "phone": "+79990000000",
                "first_name": "Demo",
                "last_name": None,
                "language": "ru",
                "user": self.id,
            },
        }

    def house(self, house_id: int) -> FakeHouse | None:
        """One of the houses."""
        return next((house for house in self.houses if house.id == house_id), None)


def demo_account() -> FakeAccount:
    """A flat with two modules, four meters and a warm floor, and a summer house."""
    bathroom = FakeDevice(
        name="Bathroom",
        counters=[
            FakeCounter(name="Bath cold", step_l=1, start_l=118_240, daily_l=140),
            FakeCounter(name="Bath hot", hot=True, step_l=1, start_l=84_510, daily_l=95),
        ],
    )
    kitchen = FakeDevice(
        name="Kitchen",
        type=DeviceType.NEPTUN_PROW,
        line_names=["Sink", "Dishwasher", "Cold", "Hot"],
        counters=[
            FakeCounter(name="Kitchen cold", line=3, start_l=52_070, daily_l=55),
            FakeCounter(name="Kitchen hot", line=4, hot=True, start_l=31_880, daily_l=40),
        ],
    )
    floor = FakeDevice(name="Bathroom floor", type=DeviceType.ECOSMART_25)
    well = FakeDevice(
        name="Well",
        type=DeviceType.NEPTUN_PROW,
        counters=[FakeCounter(name="Garden", line=1, start_l=9_300, daily_l=70)],
    )
    flat = FakeHouse(name="Flat", devices=[bathroom, kitchen, floor])
    summer_house = FakeHouse(name="Summer house", devices=[well])
    return FakeAccount(houses=[flat, summer_house])


def number(accounts: list[FakeAccount]) -> None:
    """Give ids, unlike each other, to all that have none."""
    users, houses, devices, counters = count(301), count(1201), count(24001), count(38001)
    for account in accounts:
        account.id = account.id or next(users)
        for house in account.houses:
            house.id = house.id or next(houses)
            for device in house.devices:
                device.id = device.id or next(devices)
                _number_counters(device, counters)


def _number_counters(device: FakeDevice, ids: Iterator[int]) -> None:
    for line, counter in enumerate(device.counters, start=1):
        counter.id = counter.id or next(ids)
        counter.line = counter.line or line


def frame(values: dict[str, bytes]) -> str:
    """The binary frame of a module's answer in base64: tags, lengths, values and a CRC-16."""
    body = b"".join(
        tag.encode() + len(value).to_bytes(2, "big") + value for tag, value in values.items()
    )
    whole = b"\x02\x54AR" + len(body).to_bytes(2, "big") + body
    return base64.b64encode(whole + binascii.crc_hqx(whole, 0xFFFF).to_bytes(2, "big")).decode()


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def _django_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "417306Z"
