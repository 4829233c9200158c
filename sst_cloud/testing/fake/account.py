"""The fake cloud's accounts and houses, and their payloads."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from .counter import django_time, last_refresh
from .device import FakeDevice, winter_offset

_CREATED_AT = "2024-01-01T09:10:02.551872Z"


@attrs.define(kw_only=True)
class FakeNetwork:
    """A network of a house. All of the house's devices are in the first one."""

    name: str = "Wi-Fi"
    id: int = 0


@attrs.define(kw_only=True)
class FakeGroup:
    """A group of devices in a house."""

    name: str
    id: int = 0


@attrs.define(kw_only=True)
class FakeNews:
    """An announcement by the vendor."""

    title: str
    body: str = ""
    id: int = 0
    pub_date: str = "2025-02-03T08:00:00.417306Z"

    def payload(self) -> dict[str, Any]:
        """The announcement's payload."""
        return {"id": self.id, "title": self.title, "body": self.body, "pub_date": self.pub_date}


@attrs.define(kw_only=True)
class FakeHouse:
    """A house with its devices."""

    name: str = "Flat"
    timezone: str = "Europe/Moscow"
    devices: list[FakeDevice] = attrs.field(factory=list)
    id: int = 0
    networks: list[FakeNetwork] = attrs.field(factory=lambda: [FakeNetwork()])
    groups: list[FakeGroup] = attrs.field(factory=list)
    overrides: dict[str, Any] = attrs.field(factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    @property
    def utc_offset(self) -> timedelta:
        """The UTC offset of the time zone in winter."""
        return winter_offset(self.zone)

    @property
    def network_id(self) -> int | None:
        """The network that its devices are in."""
        return self.networks[0].id if self.networks else None

    def payload(self, now: datetime, account: "FakeAccount") -> dict[str, Any]:
        """The house's payload."""
        is_weekend = now.astimezone(self.zone).weekday() in (5, 6)
        return {
            "id": self.id,
            "owner": account.email,
            "workdays": {
                "id": self.id - 6,
                "current_day": "vacation" if is_weekend else "workday",
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
            "created_at": _CREATED_AT,
            "updated_at": django_time(last_refresh(now)),
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
        """The payloads of the counters of the house, or of one of its devices."""
        return [
            counter.payload(owner.seen(now), owner.id, self.utc_offset)
            for owner in ([device] if device else self.devices)
            for counter in owner.counters
        ]

    def network_payloads(self) -> list[dict[str, Any]]:
        """The payloads of the networks."""
        return [
            {
                "id": network.id,
                "house": self.id,
                "devices": [device.id for device in self.devices if network is self.networks[0]],
                "created_at": _CREATED_AT,
                "updated_at": _CREATED_AT,
                "name": network.name,
            }
            for network in self.networks
        ]

    def group_payloads(self) -> list[dict[str, Any]]:
        """The payloads of the groups."""
        return [{"id": group.id, "name": group.name, "house": self.id} for group in self.groups]


@attrs.define(kw_only=True)
class FakeAccount:
    """An account, with its credentials, houses and news."""

    email: str = "demo@example.com"
    password: str = "correct-horse"  # noqa: S105  of a fake cloud
    houses: list[FakeHouse] = attrs.field(factory=list)
    id: int = 0
    generation: int = 1
    """Tokens and sessions of earlier generations are no longer valid."""
    news: list[FakeNews] = attrs.field(factory=list)

    @property
    def token(self) -> str:
        """The current token: 40 hexadecimal digits."""
        return _digest("token", self.email, str(self.generation))[:40]

    @property
    def session(self) -> str:
        """The current `sessionid` cookie."""
        return _digest("session", self.email, str(self.generation))[:32]

    @property
    def csrf(self) -> str:
        """The current `csrftoken` cookie."""
        return _digest("csrf", self.email, str(self.generation))[:64]

    def payload(self) -> dict[str, Any]:
        """The user's payload."""
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
        """The house with this id, if any."""
        return next((house for house in self.houses if house.id == house_id), None)


def assign_ids(accounts: list[FakeAccount]) -> None:
    """Give unique ids to everything that has none."""
    users, houses, devices, counters = count(301), count(1201), count(24001), count(38001)
    groups, news, serials = count(701), count(51), count(2977)
    for account in accounts:
        account.id = account.id or next(users)
        for item in account.news:
            item.id = item.id or next(news)
        for house in account.houses:
            house.id = house.id or next(houses)
            for position, network in enumerate(house.networks):
                network.id = network.id or house.id + 1000 * position
            for group in house.groups:
                group.id = group.id or next(groups)
            for device in house.devices:
                device.id = device.id or next(devices)
                _assign_part_ids(device, counters, serials)


def _assign_part_ids(device: FakeDevice, ids: Iterator[int], serials: Iterator[int]) -> None:
    for line, counter in enumerate(device.counters, start=1):
        counter.id = counter.id or next(ids)
        counter.line = counter.line or line
    for sensor in device.sensors:
        sensor.serial = sensor.serial or next(serials)


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
