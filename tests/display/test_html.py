"""The HTML of models in a notebook: complete, escaped, without secrets."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud import (
    Counter,
    Device,
    House,
    Listing,
    NeptunSmart,
    Schedule,
    ScheduleEntry,
    Snapshot,
    SSTCloud,
    Thermostat,
    TokenAuth,
    Unreadable,
    ValveGroup,
    WiredLine,
    WirelessSensor,
)
from sst_cloud.testing import FakeCloud, every_device_account

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VOID = frozenset({"br"})
TAGS = {"b", "details", "div", "span", "summary", *VOID}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"style", "open", "scope"}


class Page(HTMLParser):
    """A piece of HTML parsed strictly: every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.unfolded: list[bool] = []
        self.alarms: list[str] = []
        """The texts with a background colour."""
        self._open: list[str] = []
        self._alarming = False
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag == "details":
            self.unfolded.append("open" in dict(attributes))
        self._alarming = "background:" in (dict(attributes).get("style") or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._alarming:
            self.alarms.append(data)
            self._alarming = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(value: Any) -> Page:
    return Page(value._repr_html_())


async def everything(client: SSTCloud) -> Sequence[Any]:
    """An object of every kind in an account."""
    house = (await client.houses())[0]
    devices = await client.devices(house.id)
    module = next(device for device in devices if isinstance(device, NeptunSmart))
    return [
        await client.snapshot(),
        await client.houses(),
        devices,
        await client.counters(house.id),
        await client.wireless_sensors(house.id, module.id),
        await client.networks(house.id),
        await client.groups(house.id),
        await client.news(),
        await client.user(),
        house,
        *devices,
        *(await client.counters(house.id)),
    ]


@pytest.fixture
async def objects() -> Sequence[Any]:
    async with FakeCloud([every_device_account()]) as cloud:
        for device in cloud.devices:
            device.overrides["power_relay_time"] = f"<b>{device.mac_address}"
        auth = TokenAuth(cloud.token)
        async with SSTCloud(auth, base_url=cloud.url, clock=cloud.clock) as client:
            return await everything(client)


async def test_html_of_all_objects_contains_no_secrets(objects: Sequence[Any]) -> None:
    whole = ""
    for each in objects:
        parsed = page(each)
        assert parsed.tags <= TAGS
        assert parsed.attributes <= ATTRIBUTES
        whole += parsed.text
    for secret in ("every@example.com", "02:00:00", "+7999", "Demo"):
        assert secret not in whole
    assert whole.count("***") > 10
    assert "Neptun ProW+ WiFi" in whole


async def test_plain_repr_is_unchanged(client: SSTCloud) -> None:
    house = (await client.houses())[0]
    assert repr(house).startswith("House(id=1201, name='Flat'")
    assert repr(Listing([house])) == f"[{house!r}]"


async def test_snapshot_is_shown_as_a_tree_of_readings(fake: FakeCloud) -> None:
    fake.device("Bathroom").sensors[0].leak = True
    fake.device("Kitchen").offline = True
    async with SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=fake.clock) as client:
        parsed = page(await client.snapshot())
    assert parsed.text.startswith(
        "2026-01-01 00:00 UTC 2 houses · 4 devices · 5 meters · 4 radio sensors "
        "Flat Europe/Moscow Bathroom Neptun Smart leak Bath cold ● cold "
    )
    assert "valve group 1 valve open no leak Bathtub" in parsed.text
    assert "Kitchen Neptun ProW+ WiFi silent Kitchen cold stale: ● cold" in parsed.text
    assert "module offline stale: signal 4" in parsed.text
    assert "thermostat online yes signal 4 air temperature" in parsed.text
    assert parsed.unfolded == [True] * 6


async def test_alarms_are_highlighted(fake: FakeCloud) -> None:
    sensor = fake.device("Bathroom").sensors[0]
    sensor.leak, sensor.battery = True, 9
    async with SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=fake.clock) as client:
        snapshot = await client.snapshot()
        module = await client.device(1201, fake.device("Bathroom").id)
    alarms = page(snapshot).alarms
    assert alarms.count("leak") > 1
    assert "battery 9 %" in alarms
    assert {"leak", "yes"} <= set(page(module).alarms)
    sensor.leak, sensor.battery = False, 50
    async with SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=fake.clock) as client:
        assert page(await client.snapshot()).alarms == []


async def test_only_devices_with_alarms_are_unfolded_among_many() -> None:
    async with FakeCloud([every_device_account()]) as cloud:
        cloud.device("Smart").sensors[1].battery = 90
        cloud.device("Equation").offline = True
        auth = TokenAuth(cloud.token)
        async with SSTCloud(auth, base_url=cloud.url, clock=cloud.clock) as client:
            parsed = page(await client.snapshot())
    names = ["the house", *(device.name for device in cloud.devices)]
    unfolded = [name for name, is_open in zip(names, parsed.unfolded, strict=True) if is_open]
    assert unfolded == ["the house", "ProW+", "Equation", "Smart, two groups"]


NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
texts = st.text() | st.just(NASTY)


@given(texts, texts, texts)
def test_names_are_escaped_as_text(name: str, other: str, reason: str) -> None:
    module = NeptunSmart(
        id=2,
        house_id=1,
        model=other,
        name=name,
        access_status=other,
        line_names=(other, None),
        valve_groups=(ValveGroup(number=1, state=other),),
        lines=(WiredLine(point_id=name, number=1, name=other, leak=False),),
    )
    house = House(id=1, name=name, timezone=other, behaviour=name)
    counter = Counter(id=3, house_id=1, device_id=2, value_l=5, name=name)
    sensor = WirelessSensor(house_id=1, device_id=2, point_id=other, name=name, leak=True)
    bad = Unreadable(kind="device", id=7, reason=reason)
    snapshot = Snapshot(
        time=NOW,
        houses=(house,),
        devices=(module,),
        counters=(counter,),
        wireless_sensors=(sensor,),
        unreadable=(bad,),
    )
    for each in (module, house, counter, snapshot, Listing([module]), Listing([house], [bad])):
        parsed = page(each)
        assert parsed.tags <= TAGS
        assert parsed.attributes <= ATTRIBUTES


def test_text_that_looks_like_a_secret_is_masked_in_every_field() -> None:
    house = House(id=1, name="of me@example.com", behaviour="02:00:00:00:5D:C1")
    assert page(house).text == "of *** House · 1 behaviour ***"


def test_unreadable_elements_are_listed() -> None:
    assert page(Listing()).text == "nothing in this list"
    bad = [
        Unreadable(kind="device", id=7, reason="no name"),
        Unreadable(kind="houses", id=None, reason="no answer"),
    ]
    assert page(Listing([], bad)).text == (
        "nothing in this list unreadable device 7: no name unreadable houses: no answer"
    )
    assert page(Listing([1, "two", None])).text == "1 two"


def test_long_list_is_rendered_in_linear_time() -> None:
    """It once took minutes, when the style of each cell was computed from the whole column."""
    many = Listing(Counter(id=n, house_id=1, device_id=2, value_l=n) for n in range(10_000))
    assert many._repr_html_().count("<tr>") == 10_001


def test_meters_of_a_missing_device_are_shown() -> None:
    counters = (Counter(id=3, house_id=1, device_id=2, value_l=5_120, name="Cold"),)
    snapshot = Snapshot(time=NOW, houses=(House(id=1),), counters=counters)
    assert page(snapshot).text.endswith("house 1 device 2 Cold volume 5.120 m³")


def test_device_without_readings_shows_nothing_to_report() -> None:
    device = Device(id=2, house_id=1, model="type 42")
    snapshot = Snapshot(time=NOW, houses=(House(id=1, name="Home"),), devices=(device,))
    assert page(snapshot).text.endswith("Home 2 type 42 nothing to report")


@pytest.mark.parametrize(
    ("entries", "lines"),
    [
        ([(540, 24), (1380, 20)], "Mon: 09:00 24 °C, 23:00 20 °C Tue-Sun: as before"),
        (
            [(day * 1440 + 480, 22 if day < 5 else 25) for day in range(7)],
            "Mon-Fri: 08:00 22 °C Sat-Sun: 08:00 25 °C",
        ),
    ],
)
def test_schedule_is_shown_by_days(entries: list[tuple[int, int]], lines: str) -> None:
    schedule = Schedule(entries=tuple(ScheduleEntry(minute=m, temperature=t) for m, t in entries))
    floor = Thermostat(id=1, house_id=1, name="Floor", model="MCS350", schedule=schedule)
    dashes = page(floor).text.replace("\N{EN DASH}", "-")
    assert dashes.startswith(f"Floor MCS350 · 1 schedule {lines} house id 1")


def test_fields_specific_to_a_device_are_shown_first() -> None:
    module = NeptunSmart(
        id=1, house_id=1, model="Neptun Smart", keyboard_blocked=True, floor_washing=False
    )
    assert page(module).text == (
        "Neptun Smart · 1 keyboard blocked yes floor washing no house id 1"
    )
