"""Commands from the shell, the tree, the watch, the dump."""

import base64
import json

import pytest

from sst_cloud import tlv_frame
from sst_cloud.testing import FakeCloud, FakeDevice, Latency, Status

from .conftest import Run


def named(cloud: FakeCloud, name: str) -> FakeDevice:
    return next(device for device in cloud.devices if device.name == name)


@pytest.fixture
def at_once(logged_in: FakeCloud) -> FakeCloud:
    """A cloud that shows commands without delay: its clock is not the program's here."""
    logged_in.settle = 0
    return logged_in


def test_closing_and_opening(sst: Run, at_once: FakeCloud) -> None:
    status, out, _ = sst("valves", "close", "--device", "Bathroom")
    assert (status, out) == (0, "Bathroom: valves closed, confirmed by the device.\n")
    assert not any(named(at_once, "Bathroom").module.opened.values())
    assert sst("valves", "open", "--device", "Bathroom").status == 0
    assert all(named(at_once, "Bathroom").module.opened.values())


def test_all_modules_of_a_house(sst: Run, at_once: FakeCloud) -> None:
    status, out, _ = sst("valves", "close", "--house", "Flat", "--all", "--json")
    assert status == 0
    assert [(done["device"], done["confirmed"]) for done in json.loads(out)] == [
        ("Bathroom", True),
        ("Kitchen", True),
    ]
    assert named(at_once, "Well").module.opened[1]


def test_one_of_several_has_to_be_named(sst: Run, at_once: FakeCloud) -> None:
    status, _, err = sst("valves", "close")
    assert status == 1
    assert "choose one with --device, or use --all; there are: Bathroom (" in err
    assert at_once.commands == []


def test_the_only_one_need_not_be_named(sst: Run, at_once: FakeCloud) -> None:
    assert sst("valves", "close", "--house", "Summer house").status == 0
    assert not named(at_once, "Well").module.opened[1]


@pytest.mark.parametrize("words", [("--device", "Attic"), ("--device", "Bathroom floor")])
def test_a_device_that_is_not_there(sst: Run, at_once: FakeCloud, words: tuple[str, ...]) -> None:
    status, _, err = sst("valves", "close", *words)
    assert status == 1
    assert "this account has: Bathroom (" in err


def test_a_leak_keeps_valves_closed(sst: Run, at_once: FakeCloud) -> None:
    named(at_once, "Bathroom").module.wet_lines.add(1)
    status, _, err = sst("valves", "open", "--device", "Bathroom")
    assert status == 1
    assert "reports a leak" in err
    assert at_once.commands == []
    words = ("valves", "open", "--device", "Bathroom", "--despite-alarm", "--no-wait")
    status, out, _ = sst(*words)
    assert (status, out) == (0, "Bathroom: valves opened, accepted by the cloud.\n")


def test_a_module_that_does_not_obey(sst: Run, at_once: FakeCloud) -> None:
    named(at_once, "Well").obeys = False
    status, out, _ = sst("valves", "close", "--device", "Well", "--limit", "5")
    assert status == 1
    assert "is it online?" in out


def test_a_group_that_is_not_there(sst: Run, at_once: FakeCloud) -> None:
    status, _, err = sst("valves", "close", "--device", "Well", "--group", "2")
    assert (status, at_once.commands) == (1, [])
    assert "has only one zone" in err


def test_setting_a_thermostat(sst: Run, at_once: FakeCloud) -> None:
    words = ("--temperature", "27", "--mode", "manual", "--on", "--brightness", "3")
    status, out, _ = sst("thermostat", "set", *words)
    assert status == 0
    assert out.splitlines() == [
        "Bathroom floor: switched on, confirmed by the device.",
        "Bathroom floor: mode manual, confirmed by the device.",
        "Bathroom floor: target 27 °C, confirmed by the device.",
        "Bathroom floor: brightness 3, confirmed by the device.",
    ]
    floor = named(at_once, "Bathroom floor").thermostat
    assert (floor.on, floor.mode, floor.manual, floor.bright) == (True, "manual", 27, 3)


@pytest.mark.parametrize(
    ("words", "status"), [((), 2), (("--temperature", "50"), 1), (("--mode", "warm"), 2)]
)
def test_settings_that_are_none(
    sst: Run, at_once: FakeCloud, words: tuple[str, ...], status: int
) -> None:
    assert sst("thermostat", "set", *words).status == status
    assert at_once.commands == []


def test_the_tree(sst: Run, logged_in: FakeCloud) -> None:
    named(logged_in, "Kitchen").module.wet_lines.add(1)
    status, out, _ = sst("tree")
    assert status == 0
    assert "Flat  Europe/Moscow" in out
    assert "Bath cold  cold " in out
    assert "Sink  leak yes" in out
    assert "valve group 1  valve open" in out
    assert "target temperature" in out
    assert logged_in.email not in out


def test_the_tree_shows_meters_of_devices_that_cannot_be_read(
    sst: Run, logged_in: FakeCloud
) -> None:
    (flat,) = [house for house in logged_in.houses if house.name == "Flat"]
    logged_in.inject(Status(500), path=f"/houses/{flat.id}/devices/")
    status, out, err = sst("tree", "--house", "Flat")
    assert status == 0
    assert "Bath cold  cold " in out
    assert f"device {named(logged_in, 'Kitchen').id}\n" in out
    assert "devices" in err


def test_devices_of_several_houses_are_asked_for_together(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Latency(0.02), path="/houses/*/devices/")
    assert sst("valves", "close", "--device", "Well", "--no-wait").status == 0
    assert logged_in.most_at_once == len(logged_in.houses) == 2


def test_the_tree_as_json(sst: Run, logged_in: FakeCloud) -> None:
    found = json.loads(sst("tree", "--json", "--house", "Flat").out)
    bathroom, kitchen, floor = found["devices"]
    assert bathroom["valve_groups"][0]["state"] == "opened"
    assert kitchen["lines"][0]["point_id"]
    assert floor["schedule"]["entries"][0] == {"minute": 540, "temperature": 24}
    assert found["wireless_sensors"]
    assert "mac_address" not in bathroom


def test_the_watch(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Status(500), path="/houses/", times=1)
    status, out, _ = sst("watch", "--polls", "3", "--every", "2s")
    assert status == 0
    assert "Bath hot" in out
    assert "valve group 1" in out
    assert "retrying" in out


def test_the_watch_on_a_terminal_shows_troubles_first_and_what_there_is_room_for(
    sst_on_terminal: Run, logged_in: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(logged_in, "Kitchen").module.wet_lines.add(1)
    monkeypatch.setenv("LINES", "12")
    status, out, _ = sst_on_terminal(80, "watch", "--polls", "1")
    assert status == 0
    screen = out[out.rindex("house ") :]  # the last one of all that were painted
    head, valves, leak, *points, more = filter(None, screen.splitlines())
    assert "Ctrl-C to stop\n" in out
    assert head.split() == ["house", "device", "point", "reports"]
    assert "Kitchen" in valves
    assert "  leak, valve open" in valves
    assert leak.split() == ["Flat", "Kitchen", "Sink", "leak"]
    assert more.startswith("… and ")
    assert len(points) == 6
    assert all(len(line) <= 80 for line in points)


def test_the_dump_is_fit_to_be_passed_on(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Status(500), path="*/groups/")
    status, out, err = sst("dump")
    assert (status, err) == (0, "")
    found = json.loads(out)
    house, device = logged_in.houses[0], logged_in.devices[0]
    path = f"/houses/{house.id}/devices/{device.id}/"
    assert {"/auth/user/", "/news/", "/houses/", path, f"{path}wireless_sensors/"} <= set(found)
    assert "ServiceUnavailableError" in found[f"/houses/{house.id}/groups/"]["error"]
    for secret in (logged_in.email, logged_in.token, device.mac_address, "79990000000"):
        assert secret not in out
    shown = found[path]
    assert shown["mac_address"] == "00:00:00:00:00:00"
    assert json.loads(shown["parsed_configuration"])["access_status"] == "available"
    decoded = tlv_frame.decode(shown["configuration"])
    assert decoded.tags["M"] == b"00:00:00:00:00:00"
    assert decoded.clock is not None
    original = base64.b64decode(device.payload(logged_in.clock.now(), house)["configuration"])
    assert len(base64.b64decode(shown["configuration"])) == len(original)


def test_the_dump_as_it_comes(sst: Run, logged_in: FakeCloud) -> None:
    status, out, err = sst("dump", "--no-redact")
    assert status == 0
    assert "this contains secrets" in err
    assert json.loads(out)["/auth/user/"]["email"] == logged_in.email
