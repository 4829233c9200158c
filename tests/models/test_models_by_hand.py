"""Models built by hand, as any source can: no `raw`, and only what it knows."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from sst_cloud import (
    Counter,
    Device,
    House,
    LineKind,
    Listing,
    NeptunProW,
    NeptunSmart,
    Schedule,
    ScheduleEntry,
    Snapshot,
    Thermostat,
    ThermostatMode,
    ValveGroup,
    ValveState,
    Water,
    WiredLine,
    WirelessSensor,
    readings_frame,
    readings_from,
)
from sst_cloud.display.terminal import snapshot_tree

TIME = datetime(2026, 11, 23, 9, 2, tzinfo=UTC)
PROW = NeptunProW(
    id=2,
    house_id=1,
    name="Boiler room",
    model="Neptun ProW+ 2027",
    valve_groups=(ValveGroup(number=1, state=ValveState.CLOSED, alarm=True),),
    lines=(
        WiredLine(point_id="a", number=1, name="Sink", leak=True, kind=LineKind.WIRED_SENSOR),
        WiredLine(point_id="b", number=2, kind=LineKind.COUNTER),
    ),
)
SMART = NeptunSmart(id=3, house_id=1, valve_groups=(ValveGroup(number=1),))
FLOOR = Thermostat(
    id=4,
    house_id=1,
    name="Bathroom floor",
    model="Own thermostat",
    is_on=True,
    mode=ThermostatMode.CHART,
    floor_temperature=24.5,
    schedule=Schedule(entries=(ScheduleEntry(minute=0, temperature=21),)),
)
PLUG = Device(id=5, house_id=1, is_connected=True)
COLD = Counter(
    id=7, house_id=1, device_id=2, point_id="slot-1", value_l=12_345, water=Water.COLD, name="Cold"
)
HOT = Counter(id=8, house_id=1, device_id=3, value_l=678, water=Water.HOT)
SENSOR = WirelessSensor(house_id=1, device_id=3, point_id="0x1f", name="Bath", battery_percent=80)


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot(
        time=TIME,
        houses=(House(id=1, name="Cottage", timezone="Europe/Moscow"),),
        devices=(PROW, SMART, FLOOR, PLUG),
        counters=(COLD, HOT),
        wireless_sensors=(SENSOR,),
    )


def test_readings_are_extracted(snapshot: Snapshot) -> None:
    readings = [(r.device_id, r.quantity, r.point_id, r.value) for r in readings_from(snapshot)]
    assert readings == [
        (2, "volume", "slot-1", 12_345),
        (3, "volume", "8", 678),
        (2, "valve_open", "1", False),
        (2, "leak", "1", True),
        (2, "leak", "a", True),
        (4, "floor_temperature", "thermostat", 24.5),
        (4, "target_temperature", "thermostat", 21),
        (5, "online", "module", True),
        (3, "battery", "0x1f", 80),
    ]
    assert {r.quality for r in readings_from(snapshot)} == {"good"}


def test_every_device_has_a_model_in_its_readings(snapshot: Snapshot) -> None:
    """An empty model means that the device was not read: its totals would not be trusted."""
    models = {reading.device_id: reading.model for reading in readings_from(snapshot)}
    assert models == {2: "Neptun ProW+ 2027", 3: "unknown", 4: "Own thermostat", 5: "unknown"}


def test_snapshot_is_shown_in_a_notebook(snapshot: Snapshot) -> None:
    content = snapshot._repr_html_()
    for text in ("Cottage", "Boiler room", "Neptun ProW+ 2027", "12.345 m³", "24.5 °C"):
        assert text in content


@pytest.mark.parametrize(
    ("device", "head"),
    [(PROW, "Neptun ProW+ 2027 · 2"), (SMART, "NeptunSmart · 3"), (PLUG, "Device · 5")],
)
def test_device_is_shown_by_its_model_or_else_its_class(device: Device, head: str) -> None:
    content = device._repr_html_()
    assert content.count(head) == 1
    assert "raw" not in content
    assert f"<b>{device.name}</b>" in content or not device.name
    assert device.model in Listing([device])._repr_html_()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_snapshot_becomes_a_data_frame(snapshot: Snapshot, library: str) -> None:
    pytest.importorskip(library)
    frame = readings_frame(snapshot, library=library)  # type: ignore[call-overload]
    assert list(frame["point_id"])[:2] == ["slot-1", "8"]
    assert list(frame["model"])[:2] == ["Neptun ProW+ 2027", "unknown"]


def test_snapshot_is_drawn_as_a_tree(snapshot: Snapshot) -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(snapshot_tree(snapshot))
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    for text in ("Cottage", "Boiler room  Neptun ProW+ 2027", "12.345 m³", "80 %", "24.5 °C"):
        assert text in drawn


def test_models_compare_by_what_is_known() -> None:
    assert Counter(id=8, house_id=1, device_id=3, value_l=678, water=Water.HOT) == HOT
    assert hash(HOT) != hash(COLD)
    assert "point_id='8'" in repr(HOT)


def test_models_of_different_classes_are_never_equal() -> None:
    module, device = NeptunProW(id=2, house_id=1), Device(id=2, house_id=1)
    assert module != device
    assert device == Device(id=2, house_id=1, raw={"id": "2"})
    assert len({module, device, Device(id=2, house_id=1)}) == 2


def test_sensitive_fields_are_masked_in_a_repr() -> None:
    assert repr(House(id=1, owner="me@example.com", raw={"id": 1})) == (
        "House(id=1, name='', timezone=None, workdays=None, created_at=None, updated_at=None, "
        "uid=None, in_home=None, behaviour=None, close_valves=None, report_date=None, "
        "owner='***', users=())"
    )
