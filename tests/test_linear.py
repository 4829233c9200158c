"""Lists from the cloud may be very long: processing time per element stays constant."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, Final

import attrs
import pytest
from rich.console import Console

from linear import LIMIT, Run, growth
from sst_cloud import (
    Counter,
    Device,
    House,
    Listing,
    NeptunProW,
    NeptunSmart,
    Point,
    Quantity,
    Reading,
    SelectedHouses,
    Snapshot,
    SSTCloud,
    TokenAuth,
    Unreadable,
    WirelessSensor,
    readings_frame,
    readings_from,
    tlv_frame,
)
from sst_cloud.cli.output import print_json, warn_missing
from sst_cloud.cli.selection import Selection
from sst_cloud.cloud.devices.wireless_sensor import sensor_list_fields
from sst_cloud.cloud.structuring import Structurer
from sst_cloud.collector.metrics import exposition
from sst_cloud.display.grouping import by_house, by_point
from sst_cloud.display.meter_titles import meter_titles, natural_key
from sst_cloud.display.terminal import SnapshotTable, UsageTable, snapshot_tree
from sst_cloud.metering.bracketing import totals_around
from sst_cloud.metering.usage import Usage, usage
from sst_cloud.metering.utility_report import report
from sst_cloud.models import LeakModule, Network, News, Slot
from sst_cloud.monitoring import AlarmRules, ValidationRules
from sst_cloud.monitoring.alarms import AlarmState, detect_alarms
from sst_cloud.monitoring.validation import ValidationState, validate
from sst_cloud.outbox import Status
from sst_cloud.outbox.state_folder import houses_note

pytestmark = [pytest.mark.slow, pytest.mark.source]

NOW: Final = datetime(2026, 11, 23, 17, 20, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)

Prepared = Callable[[int], Run]


def listing(type_: Any, element: Callable[[int], Any], **given: Any) -> Prepared:
    """A list of these elements."""

    def prepared(size: int) -> Run:
        payload = [element(at) for at in range(size)]
        return lambda: Structurer().listing(payload, type_, "/", **given)

    return prepared


def device(type_: int, fields: Callable[[int], Mapping[str, Any]], **parsed: Any) -> Prepared:
    """One device with fields of this size, some of them in its nested JSON."""

    def prepared(size: int) -> Run:
        inside = {name: make(size) for name, make in parsed.items()}
        payload = {"id": 1, "type": type_, "parsed_configuration": json.dumps(inside)}
        payload |= fields(size)
        return lambda: Structurer().one(payload, Device, "/", house_id=1)

    return prepared


def nothing(_: int) -> dict[str, Any]:
    return {}


def sensor_ids(names: Callable[[int], Sequence[Any]]) -> Prepared:
    """The generated ids of sensors with these names."""

    def prepared(size: int) -> Run:
        payload = [{"line": 1, "name": name} for name in names(size)]
        return lambda: sensor_list_fields(payload)

    return prepared


def sensors(size: int) -> Run:
    payload = [{"name": "a", "battery": 90, "signal_level": 0} for _ in range(size)]
    return lambda: Structurer().listing(
        payload,
        WirelessSensor,
        "/",
        element_fields=sensor_list_fields(payload),
        house_id=1,
        device_id=2,
    )


def encoded(body: bytes) -> str:
    whole = b"\x02\x54AR" + len(body).to_bytes(2) + body
    return base64.b64encode(whole + binascii.crc_hqx(whole, 0xFFFF).to_bytes(2)).decode()


def of_frame(use: Callable[[str], object], body: Callable[[int], bytes]) -> Prepared:
    def prepared(size: int) -> Run:
        text = encoded(body(size))
        return lambda: use(text)

    return prepared


def slots(size: int) -> Run:
    value = b"\x04\0" * size
    whole = tlv_frame.decode(encoded(b"S" + len(value).to_bytes(2) + value))
    return lambda: whole.counters


def account(size: int, *, houses: int, several: int = 1) -> Snapshot:
    """This many devices, counters and sensors; each id occurs `several` times."""
    ids = [(at % houses, at // several) for at in range(size)]
    return Snapshot(
        time=NOW,
        houses=tuple(House(id=at % houses, name="Home") for at in range(max(houses, several))),
        devices=tuple(
            NeptunProW(id=id_, house_id=house, name="Module",
                       sensors_lost=True, signal_level=1)
            for house, id_ in ids
        ),
        counters=tuple(
            Counter(id=id_, house_id=house, device_id=id_, value_l=at, name="Kitchen")
            for at, (house, id_) in enumerate(ids)
        ),
        wireless_sensors=tuple(
            WirelessSensor(house_id=house, device_id=id_, point_id=str(at), leak=bool(at % 2),
                           battery=5, battery_percent=5)
            for at, (house, id_) in enumerate(ids)
        ),
        unreadable=tuple(Unreadable(kind="device", id=at, reason="odd") for at in range(size)),
    )  # fmt: skip


def ordinary(size: int) -> Snapshot:
    """All in one house."""
    return account(size, houses=1)


def scattered(size: int) -> Snapshot:
    """Every device in a house of its own."""
    return account(size, houses=size)


def repeated(size: int) -> Snapshot:
    """One house many times, with one device many times, and one counter."""
    return account(size, houses=1, several=size)


def of_snapshot(use: Callable[[Snapshot], object], make: Callable[[int], Snapshot]) -> Prepared:
    def prepared(size: int) -> Run:
        snapshot = make(size)
        return lambda: use(snapshot)

    return prepared


def of_readings(
    use: Callable[[list[Reading]], object], make: Callable[[int], Snapshot] = ordinary
) -> Prepared:
    def prepared(size: int) -> Run:
        readings = readings_from(make(size))
        return lambda: use(readings)

    return prepared


def volumes(size: int, *, meters: int) -> list[Reading]:
    """Hourly totals of this many meters."""
    return [
        Reading(time=NOW + at // meters * HOUR, quantity=Quantity.VOLUME, value=at // meters * 10,
                house_id=1, house="Home", device_id=2, device="Module", model="",
                point=Point.COUNTER, point_id=str(at % meters))
        for at in range(size)
    ]  # fmt: skip


def of_volumes(use: Callable[[list[Reading]], object], *, polls: int | None = None) -> Prepared:
    """With a growing number of meters, or with `polls` None of polls of one meter."""

    def prepared(size: int) -> Run:
        readings = volumes(size, meters=size // polls if polls else 1)
        return lambda: use(readings)

    return prepared


def validated(readings: list[Reading]) -> ValidationState:
    return validate(ValidationState(), readings, (), ValidationRules()).state


def watched(readings: list[Reading]) -> AlarmState:
    return detect_alarms(AlarmState(), readings, NOW, zones={}, rules=AlarmRules())[1]


def one_meter_after_a_jump(size: int) -> Run:
    """A counter that occurs many times in one poll, while its old total may still be true."""
    rules = ValidationRules(confirmations=0)
    reading = volumes(1, meters=1)[0]
    state = validated([reading])
    jumped = attrs.evolve(reading, time=NOW + HOUR, value=10**9)
    state = validate(state, [jumped], (), rules).state
    again = [attrs.evolve(jumped, time=NOW + 2 * HOUR)] * size
    return lambda: validate(state, again, (), rules)


class Past:
    """A store that can be read."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    async def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        for reading in self._readings:
            if (since is None or since <= reading.time) and (until is None or reading.time < until):
                yield reading

    async def latest(self) -> Sequence[Reading]:
        return list({reading.series: reading for reading in self._readings}.values())


def nearest_totals(size: int) -> Run:
    """The totals needed for a period of many meters; it ends before their last totals."""
    past = Past(volumes(size * 6, meters=size))

    async def read() -> int:
        until = NOW + 2 * HOUR
        return len([each async for each in totals_around(past, NOW + HOUR, until, NOW + 20 * HOUR)])

    return lambda: asyncio.run(read())


class Cloud(SSTCloud):
    """A client that has already received its answers."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(TokenAuth("token"))
        self._houses = Listing(snapshot.houses)
        self._devices: dict[int, Listing[Device]] = {}
        for each in snapshot.devices:
            self._devices.setdefault(each.house_id, Listing()).append(each)

    async def houses(self) -> Listing[House]:
        return self._houses

    async def devices(self, house_id: int) -> Listing[Device]:
        return self._devices[house_id]

    async def counters(self, house_id: int, device_id: int | None = None) -> Listing[Counter]:
        return Listing(unreadable=[Unreadable(kind="counter", id=None, reason="odd")])

    async def wireless_sensors(self, house_id: int, device_id: int) -> Listing[WirelessSensor]:
        return Listing(unreadable=[Unreadable(kind="wirelesssensor", id=None, reason="odd")])


def polled(snapshot: Snapshot) -> Snapshot:
    return asyncio.run(Cloud(snapshot).snapshot())


def of_other_houses(size: int) -> Run:
    """Houses by id, none of which exist."""
    houses = Listing(House(id=at) for at in range(size))
    house_ids = list(range(size, 2 * size))

    async def poll() -> Snapshot:
        return await SSTCloud(TokenAuth("token")).snapshot(houses=houses, house_ids=house_ids)

    return lambda: asyncio.run(poll())


def joined(size: int) -> Run:
    bad = Unreadable(kind="counter", id=None, reason="odd")
    listings = [Listing([at], [bad]) for at in range(size)]
    return lambda: Listing.joined(listings)


def modules_by_house_name(snapshot: Snapshot) -> object:
    """The modules of all houses of one name."""
    return asyncio.run(
        Selection(LeakModule, ["Home"], ["Module"], all_matching=True).devices(Cloud(snapshot))
    )


def printed(show: Callable[[], object]) -> str:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        show()
    return out.getvalue()


def drawn(shown_object: Any) -> None:
    Console(file=StringIO(), width=250).print(shown_object)


def used(readings: list[Reading]) -> list[Usage]:
    return usage(readings, "hour")


CASES: Final[Mapping[str, tuple[int, Prepared]]] = {
    # Structuring: whole lists
    "houses": (500, listing(House, lambda at: {"id": at, "name": "Home", "timezone": "UTC"})),
    "houses of one id": (500, listing(House, lambda _: {"id": 1})),
    "houses that are empty": (3_000, listing(House, nothing)),
    "houses that are no objects": (3_000, listing(House, int)),
    "counters": (500, listing(Counter, lambda at: {"id": at, "device": 1, "value": at},
                                house_id=1)),
    "counters of one id": (500, listing(Counter, lambda _: {"id": 1, "device": 1, "value": 1},
                                          house_id=1)),
    "counters without a value": (2_000, listing(Counter, lambda _: {"id": 1, "device": 1},
                                                house_id=1)),
    "counters with odd fields": (200, listing(
        Counter, lambda at: {"id": at, "device": 1, "value": 1, "name": at, "step": [at]},
        house_id=1)),
    "modules": (100, listing(Device, lambda at: {"id": at, "type": 2}, house_id=1)),
    "thermostats": (100, listing(Device, lambda at: {"id": at, "type": 1}, house_id=1)),
    "devices of unknown types": (100, listing(Device, lambda at: {"id": at, "type": 100 + at},
                                              house_id=1)),
    "devices that are empty": (3_000, listing(Device, nothing, house_id=1)),
    "networks": (500, listing(Network, lambda at: {"id": at, "devices": [at]}, house_id=1)),
    "news": (500, listing(News, lambda at: {"id": at, "title": "News"})),
    "sensors": (200, sensors),
    "sensors of one name": (2_000, sensor_ids(lambda size: ["a"] * size)),
    "sensors with numbers in their names": (2_000, sensor_ids(
        lambda size: ["a"] * (size // 2) + [f"a#{at}" for at in range(size // 2)])),
    "sensors whose numbers are taken": (2_000, sensor_ids(
        lambda size: [f"a#{at}" for at in range(size // 2, 0, -1)] + ["a"] * (size // 2))),
    "sensors with ever more numbers": (1_000, sensor_ids(
        lambda size: ["a" + "#2" * (at % 50) for at in range(size)])),
    # Structuring: lists within one element
    "users of a house": (5_000, lambda size: listing(
        House, lambda _: {"id": 1, "users": [1] * size})(1)),
    "names of lines": (2_000, device(2, lambda size: {"line_names": ["a"] * size})),
    "lines": (1_000, device(2, nothing, lines_status=lambda size: {str(at): "" for at in
                                                                  range(size)})),
    "lines of one key": (1_000, device(2, nothing, lines_status=lambda size: {
        chr(0xD800 + at % 2048) + chr(0xD800 + at // 2048): "" for at in range(size)})),
    "slots": (1_000, device(7, nothing, slots_settings=lambda size: [{}] * size)),
    "counters of a slot": (1_000, device(7, nothing, slots_settings=lambda size: [
        {"config": {"counters": [{}] * size}}])),
    "schedule": (1_000, device(1, nothing, chart=lambda size: [[0, 20]] * size)),
    "schedule of a frame": (10_000, of_frame(
        lambda text: tlv_frame.decode(text).chart,
        lambda size: b"C" + (size * 3).to_bytes(2) + b"\0\0\x14" * size)),
    "values of a frame": (10_000, of_frame(tlv_frame.decode, lambda size: b"I\0\0" * size)),
    "addresses in a frame": (5_000, of_frame(tlv_frame.mask, lambda size: b"M\0\0" * size)),
    "slots of a frame": (8_000, slots),
    # A snapshot, and what is made of it
    "lists joined": (10_000, joined),
    "snapshot": (50, of_snapshot(polled, scattered)),
    "snapshot of one house": (50, of_snapshot(polled, ordinary)),
    "snapshot of other houses": (2_000, of_other_houses),
    "snapshot of one house repeated": (500, of_snapshot(polled, repeated)),
    "readings": (100, of_snapshot(readings_from, ordinary)),
    "readings of many houses": (100, of_snapshot(readings_from, scattered)),
    "readings of one device repeated": (100, of_snapshot(readings_from, repeated)),
    "validating": (1_000, of_readings(validated)),
    "validating one meter repeated": (500, of_readings(validated, repeated)),
    "validating after a jump": (500, one_meter_after_a_jump),
    "state of validation": (100, of_readings(
        lambda readings: ValidationState.from_json(validated(readings).to_json()))),
    "watching": (100, of_readings(watched)),
    "watching many houses": (100, of_readings(watched, scattered)),
    "watching one device repeated": (100, of_readings(watched, repeated)),
    "state of watching": (50, of_readings(
        lambda readings: AlarmState.from_json(watched(readings).to_json()))),
    "note of houses": (1_000, of_snapshot(lambda it: houses_note(it.houses), scattered)),
    "metrics": (20, of_readings(lambda readings: exposition(Status(), readings))),
    "metrics of one device repeated": (20, of_readings(
        lambda readings: exposition(Status(), readings), repeated)),
    # Display
    "devices by house": (1_000, of_snapshot(lambda it: by_house(it, []), scattered)),
    "readings by point": (200, of_readings(by_point)),
    "html": (30, of_snapshot(lambda it: it._repr_html_(), ordinary)),
    "html of many houses": (30, of_snapshot(lambda it: it._repr_html_(), scattered)),
    "html of one house repeated": (50, of_snapshot(lambda it: it._repr_html_(), repeated)),
    "html of a list": (50, of_snapshot(lambda it: Listing(it.devices)._repr_html_(), ordinary)),
    "html of counters": (50, of_snapshot(lambda it: Listing(it.counters)._repr_html_(), ordinary)),
    "html of what is unreadable": (200, of_snapshot(
        lambda it: Listing([], it.unreadable)._repr_html_(), ordinary)),
    "html of slots": (200, lambda size: NeptunSmart(
        id=1, house_id=1, slots=(Slot(number=1),) * size)._repr_html_),
    "pandas": (200, of_readings(lambda readings: readings_frame(readings, library="pandas"))),
    "polars": (300, of_readings(lambda readings: readings_frame(readings, library="polars"))),
    "tree": (10, of_snapshot(lambda it: drawn(snapshot_tree(it)), ordinary)),
    "tree of many houses": (10, of_snapshot(lambda it: drawn(snapshot_tree(it)), scattered)),
    "tree of one house repeated": (10, of_snapshot(lambda it: drawn(snapshot_tree(it)), repeated)),
    "screen of watch": (8, of_snapshot(lambda it: drawn(SnapshotTable(it)), scattered)),
    "json": (50, of_snapshot(lambda it: printed(lambda: print_json(it)), ordinary)),
    "warnings": (500, of_snapshot(
        lambda it: printed(lambda: warn_missing(it)), ordinary)),
    # Choosing
    "choosing houses": (2_000, of_snapshot(
        lambda it: SelectedHouses(Cloud(it), ["Home"])._part_of(it), scattered)),
    "finding devices": (800, of_snapshot(modules_by_house_name, scattered)),
    "finding devices of one house": (500, of_snapshot(modules_by_house_name, ordinary)),
    # From a store
    "nearest totals": (1_000, nearest_totals),
    "usage of many meters": (500, of_volumes(used, polls=4)),
    "usage of one meter": (500, of_volumes(used)),
    "report of many meters": (500, of_volumes(
        lambda readings: report(readings, NOW, NOW + HOUR), polls=4)),
    "report of one meter": (1_000, of_volumes(lambda readings: report(readings, NOW, NOW + HOUR))),
    "titles of meters": (1_000, of_volumes(meter_titles, polls=1)),
    "usage in a table": (50, of_volumes(
        lambda readings: drawn(UsageTable(used(readings), "hour")), polls=2)),
    "natural order": (10_000, lambda size: lambda: natural_key("7" * size + "a7" * size)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_run_time_grows_linearly_with_input_size(case: str) -> None:
    size, prepared = CASES[case]
    assert growth(prepared, size) <= LIMIT
