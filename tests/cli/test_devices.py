"""The commands for devices: valves, thermostat, tree, watch and dump."""

import base64
import json

import pytest

from sst_cloud import tlv_frame
from sst_cloud.testing import FakeCloud, FakeDevice, Latency, Status

from .conftest import Run


def device_named(cloud: FakeCloud, name: str) -> FakeDevice:
    return next(device for device in cloud.devices if device.name == name)


@pytest.fixture
def immediate_cloud(logged_in: FakeCloud) -> FakeCloud:
    """A cloud that applies commands immediately: its clock is not that of the program."""
    logged_in.settle = 0
    return logged_in


def test_valves_are_closed_and_opened(sst: Run, immediate_cloud: FakeCloud) -> None:
    status, out, _ = sst("valves", "close", "--device", "Bathroom")
    assert (status, out) == (0, "Bathroom: valves closed, confirmed by the device.\n")
    assert not any(device_named(immediate_cloud, "Bathroom").module.opened.values())
    assert sst("valves", "open", "--device", "Bathroom").status == 0
    assert all(device_named(immediate_cloud, "Bathroom").module.opened.values())


def test_all_modules_of_a_house_are_closed(sst: Run, immediate_cloud: FakeCloud) -> None:
    status, out, _ = sst("valves", "close", "--house", "Flat", "--all", "--json")
    assert status == 0
    assert [(done["device"], done["confirmed"]) for done in json.loads(out)] == [
        ("Bathroom", True),
        ("Kitchen", True),
    ]
    assert device_named(immediate_cloud, "Well").module.opened[1]


def test_device_must_be_named_if_there_are_several(sst: Run, immediate_cloud: FakeCloud) -> None:
    status, _, err = sst("valves", "close")
    assert status == 1
    assert "choose one with --device, or use --all; there are: Bathroom (" in err
    assert immediate_cloud.commands == []


def test_the_only_module_need_not_be_named(sst: Run, immediate_cloud: FakeCloud) -> None:
    assert sst("valves", "close", "--house", "Summer house").status == 0
    assert not device_named(immediate_cloud, "Well").module.opened[1]


@pytest.mark.parametrize("words", [("--device", "Attic"), ("--device", "Bathroom floor")])
def test_unknown_device_is_an_error(
    sst: Run, immediate_cloud: FakeCloud, words: tuple[str, ...]
) -> None:
    status, _, err = sst("valves", "close", *words)
    assert status == 1
    assert "this account has: Bathroom (" in err


def test_valves_do_not_open_during_a_leak(sst: Run, immediate_cloud: FakeCloud) -> None:
    device_named(immediate_cloud, "Bathroom").module.wet_lines.add(1)
    status, _, err = sst("valves", "open", "--device", "Bathroom")
    assert status == 1
    assert "reports a leak" in err
    assert "to open them anyway, use --despite-alarm" in err
    assert immediate_cloud.commands == []
    words = ("valves", "open", "--device", "Bathroom", "--despite-alarm", "--no-wait")
    status, out, _ = sst(*words)
    assert (status, out) == (0, "Bathroom: valves opened, accepted.\n")


def test_unconfirmed_command_is_an_error(sst: Run, immediate_cloud: FakeCloud) -> None:
    device_named(immediate_cloud, "Well").obeys = False
    status, out, _ = sst("valves", "close", "--device", "Well", "--limit", "5")
    assert status == 1
    assert "is it online?" in out


def test_unknown_valve_group_is_an_error(sst: Run, immediate_cloud: FakeCloud) -> None:
    status, _, err = sst("valves", "close", "--device", "Well", "--group", "2")
    assert (status, immediate_cloud.commands) == (1, [])
    assert "has only one zone" in err


def test_thermostat_settings_are_sent(sst: Run, immediate_cloud: FakeCloud) -> None:
    words = ("--temperature", "27", "--mode", "manual", "--on", "--brightness", "3")
    status, out, _ = sst("thermostat", "set", *words)
    assert status == 0
    assert out.splitlines() == [
        "Bathroom floor: switched on, confirmed by the device.",
        "Bathroom floor: mode manual, confirmed by the device.",
        "Bathroom floor: target 27 °C, confirmed by the device.",
        "Bathroom floor: brightness 3, confirmed by the device.",
    ]
    floor = device_named(immediate_cloud, "Bathroom floor").thermostat
    assert (floor.on, floor.mode, floor.manual, floor.bright) == (True, "manual", 27, 3)


@pytest.mark.parametrize(
    ("words", "status"), [((), 2), (("--temperature", "50"), 1), (("--mode", "warm"), 2)]
)
def test_invalid_thermostat_settings_are_refused(
    sst: Run, immediate_cloud: FakeCloud, words: tuple[str, ...], status: int
) -> None:
    assert sst("thermostat", "set", *words).status == status
    assert immediate_cloud.commands == []


def test_tree_shows_houses_devices_and_states(sst: Run, logged_in: FakeCloud) -> None:
    device_named(logged_in, "Kitchen").module.wet_lines.add(1)
    status, out, _ = sst("tree")
    assert status == 0
    assert "Flat  Europe/Moscow" in out
    assert "Bath cold  cold " in out
    assert "Sink  leak yes" in out
    assert "valve group 1  valve open" in out
    assert "target temperature" in out
    assert logged_in.email not in out


def test_tree_shows_meters_of_unreadable_devices(sst: Run, logged_in: FakeCloud) -> None:
    (flat,) = [house for house in logged_in.houses if house.name == "Flat"]
    logged_in.inject(Status(500), path=f"/houses/{flat.id}/devices/")
    status, out, err = sst("tree", "--house", "Flat")
    assert status == 0
    assert "Bath cold  cold " in out
    assert f"device {device_named(logged_in, 'Kitchen').id}\n" in out
    assert "devices" in err


def test_devices_of_several_houses_are_requested_in_parallel(
    sst: Run, logged_in: FakeCloud
) -> None:
    logged_in.inject(Latency(0.02), path="/houses/*/devices/")
    assert sst("valves", "close", "--device", "Well", "--no-wait").status == 0
    assert logged_in.most_at_once == len(logged_in.houses) == 2


def test_tree_as_json_has_all_parts(sst: Run, logged_in: FakeCloud) -> None:
    tree = json.loads(sst("tree", "--json", "--house", "Flat").out)
    bathroom, kitchen, floor = tree["devices"]
    assert bathroom["valve_groups"][0]["state"] == "opened"
    assert kitchen["lines"][0]["point_id"]
    assert floor["schedule"]["entries"][0] == {"minute": 540, "temperature": 24}
    assert tree["wireless_sensors"]
    assert "mac_address" not in bathroom


def test_watch_shows_readings_and_retries(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Status(500), path="/houses/", times=1)
    status, out, _ = sst("watch", "--polls", "3", "--every", "2s")
    assert status == 0
    assert "Bath hot" in out
    assert "valve group 1" in out
    assert "retrying" in out


def test_watch_shows_alarms_first_and_fits_the_terminal(
    sst_on_terminal: Run, logged_in: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_named(logged_in, "Kitchen").module.wet_lines.add(1)
    monkeypatch.setenv("LINES", "12")
    status, out, _ = sst_on_terminal(80, "watch", "--polls", "1")
    assert status == 0
    screen = out[out.rindex("house ") :]  # the last screen that was drawn
    head, valves, leak, *points, more = filter(None, screen.splitlines())
    assert "Ctrl-C to stop\n" in out
    assert head.split() == ["house", "device", "point", "reports"]
    assert "Kitchen" in valves
    assert "  leak, valve open" in valves
    assert leak.split() == ["Flat", "Kitchen", "Sink", "leak"]
    assert more.startswith("… and ")
    assert len(points) == 6
    assert all(len(line) <= 80 for line in points)


def test_dump_is_redacted(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Status(500), path="*/groups/")
    status, out, err = sst("dump")
    assert (status, err) == (0, "")
    pages = json.loads(out)
    house, device = logged_in.houses[0], logged_in.devices[0]
    path = f"/houses/{house.id}/devices/{device.id}/"
    assert {"/auth/user/", "/news/", "/houses/", path, f"{path}wireless_sensors/"} <= set(pages)
    assert "ServiceUnavailableError" in pages[f"/houses/{house.id}/groups/"]["error"]
    for secret in (logged_in.email, logged_in.token, device.mac_address, "79990000000"):
        assert secret not in out
    payload = pages[path]
    assert payload["mac_address"] == "00:00:00:00:00:00"
    assert json.loads(payload["parsed_configuration"])["access_status"] == "available"
    decoded = tlv_frame.decode(payload["configuration"])
    assert decoded.tags["M"] == b"00:00:00:00:00:00"
    assert decoded.clock is not None
    original = base64.b64decode(device.payload(logged_in.clock.now(), house)["configuration"])
    assert len(base64.b64decode(payload["configuration"])) == len(original)


def test_unredacted_dump_warns_of_secrets(sst: Run, logged_in: FakeCloud) -> None:
    status, out, err = sst("dump", "--no-redact")
    assert status == 0
    assert "this contains secrets" in err
    assert json.loads(out)["/auth/user/"]["email"] == logged_in.email
