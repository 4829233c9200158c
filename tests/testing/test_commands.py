"""Commands: what is taken from whom, in which form, and when it shows."""

import json
from typing import Any

import aiohttp
import pytest

from sst_cloud import ManualClock
from sst_cloud.testing import Drop, FakeAccount, FakeCloud, FakeDevice, FakeHouse, SeenCommand

from .conftest import Hand

SMART = {"first_group_valves_state": "closed", "second_group_valves_state": "closed"}


async def test_a_command_shows_when_it_has_settled(hand: Hand) -> None:
    body = {"valve_settings": "closed"}
    assert await hand.send("ProW+", "valve_settings", body) == (200, body)
    assert (await hand.parsed("ProW+"))["settings"]["valve_settings"] == "opened"
    hand.clock.advance(4.9)
    assert (await hand.parsed("ProW+"))["settings"]["valve_settings"] == "opened"
    hand.clock.advance(0.1)
    payload = await hand.get(hand.path("ProW+"))
    assert json.loads(payload["parsed_configuration"])["settings"]["valve_settings"] == "closed"
    assert payload["updated_at"].startswith("2026-01-01T00:00:05")


async def test_settled_by_hand_or_at_once(hand: Hand) -> None:
    await hand.send("Smart", "module_settings", {"washing_floors_mode": "on"}, "PATCH")
    hand.cloud.settle_now()
    status = (await hand.parsed("Smart"))["module_settings"]["module_status"]
    assert status["washing_floors_mode"] == "on"
    hand.cloud.settle = 0
    await hand.send("ProW+", "dry_flag", {"dry_flag": "on"})
    assert (await hand.parsed("ProW+"))["settings"]["dry_flag"] == "on"
    await hand.send("ProW+", "dry_flag", {"dry_flag": "off"})
    assert (await hand.parsed("ProW+"))["settings"]["status"]["dry_flag"] == "off"


async def groups(hand: Hand, name: str) -> list[str]:
    hand.cloud.settle_now()
    config = (await hand.parsed(name))["module_settings"]["module_config"]
    return [config["first_group_valves_state"], config["second_group_valves_state"]]


async def test_one_group_heeds_only_both_states(hand: Hand) -> None:
    for group in SMART:
        config = {group: "closed"}
        status, _ = await hand.send("Smart", "module_settings", {"module_config": config}, "PATCH")
        assert status == 200
        assert await groups(hand, "Smart") == ["opened", "opened"]
    await hand.send("Smart", "module_settings", {"module_config": SMART}, "PATCH")
    assert await groups(hand, "Smart") == ["closed", "closed"]


async def test_two_groups_heed_each(hand: Hand) -> None:
    name = "Smart, two groups"
    body = {"module_config": {"second_group_valves_state": "closed"}}
    await hand.send(name, "module_settings", body, "PATCH")
    assert await groups(hand, name) == ["opened", "closed"]
    await hand.send(name, "module_settings", {"module_config": SMART}, "PATCH")
    assert await groups(hand, name) == ["closed", "closed"]


@pytest.mark.parametrize(
    ("command", "body", "where", "value"),
    [
        ("temperature", {"temperature_manual": 31}, "temperature_manual", 31),
        ("temperature", {"temperature_manual": "31"}, "temperature_manual", 31),
        ("temperature", {"temperature_manual": 31.0}, "temperature_manual", 31),
        ("temperature", {"temperature_correction_air": -2}, "temperature_correction_air", -2),
        ("temperature", {"curr_temperature": 22}, "curr_temperature", 22),
        ("temperature", {"temperature_air": 30, "unknown": 1}, "temperature_air", 30),
        ("status", {"status": "off"}, "status", "off"),
        ("mode", {"mode": "manual"}, "mode", "manual"),
        ("bright", {"bright": 9}, "bright", 9),
    ],
)
async def test_thermostats_obey(
    hand: Hand, command: str, body: Any, where: str, value: Any
) -> None:
    status, _ = await hand.send("EcoSmart 25", command, body)
    assert status == 200
    hand.clock.advance(5)
    assert (await hand.parsed("EcoSmart 25"))["settings"][where] == value


@pytest.mark.parametrize("name", ["MCS300", "MCS350", "Equation", "OKE-20", "EcoSmart 25"])
async def test_every_thermostat_has_target_power_and_mode(hand: Hand, name: str) -> None:
    for command, body in (
        ("temperature", {"temperature_manual": 19, "temperature_vacation": 15}),
        ("status", {"status": "off"}),
        ("mode", {"mode": "chart"}),
    ):
        assert await hand.send(name, command, body) == (200, body)
    hand.clock.advance(5)
    settings = (await hand.parsed(name))["settings"]
    assert settings["temperature_manual"] == 19
    assert (settings["status"], settings["mode"]) == ("off", "chart")
    if name == "MCS350":
        assert settings["temperature_vacation"] == 15


@pytest.mark.parametrize(
    ("name", "command", "body", "answer"),
    [
        (
            "ProW+",
            "valve_settings",
            {"valve_settings": "ajar"},
            {"valve_settings": ['"ajar" is not a valid choice.']},
        ),
        ("ProW+", "dry_flag", {}, {"dry_flag": ["This field is required."]}),
        ("ProW+", "dry_flag", {"dry_flag": None}, {"dry_flag": ["This field may not be null."]}),
        ("ProW+", "dry_flag", {"dry_flag": []}, {"dry_flag": ['"[]" is not a valid choice.']}),
        (
            "OKE-20",
            "temperature",
            {"temperature_manual": 46},
            {"temperature_manual": ["Ensure this value is less than or equal to 45."]},
        ),
        (
            "OKE-20",
            "temperature",
            {"temperature_manual": 11},
            {"temperature_manual": ["Ensure this value is greater than or equal to 12."]},
        ),
        (
            "OKE-20",
            "temperature",
            {"temperature_manual": 24.5},
            {"temperature_manual": ["A valid integer is required."]},
        ),
        (
            "OKE-20",
            "temperature",
            {"temperature_manual": True},
            {"temperature_manual": ["A valid integer is required."]},
        ),
        (
            "EcoSmart 25",
            "bright",
            {"bright": 10},
            {"bright": ["Ensure this value is less than or equal to 9."]},
        ),
        ("MCS300", "mode", {"mode": "love"}, {"mode": ['"love" is not a valid choice.']}),
        ("MCS300", "mode", [], {"non_field_errors": ["Invalid data. Expected a dictionary."]}),
    ],
)
async def test_bad_values(hand: Hand, name: str, command: str, body: Any, answer: Any) -> None:
    before = await hand.parsed(name)
    assert await hand.send(name, command, body) == (400, answer)
    hand.clock.advance(60)
    assert await hand.parsed(name) == before


async def test_bad_values_inside(hand: Hand) -> None:
    async def send(body: Any) -> Any:
        status, answer = await hand.send("Smart", "module_settings", body, "PATCH")
        assert status == 400
        return answer

    ajar = {"module_config": {"first_group_valves_state": "ajar"}}
    assert await send(ajar) == {
        "module_config": {"first_group_valves_state": ['"ajar" is not a valid choice.']}
    }
    (message,) = (await send({"module_config": 1}))["module_config"]["non_field_errors"]
    assert message == "Invalid data. Expected a dictionary, but got int."
    assert "module_config" in (await send({}))["non_field_errors"][0]


@pytest.mark.parametrize(
    ("name", "command", "method"),
    [
        ("Smart", "valve_settings", "POST"),
        ("Smart", "dry_flag", "POST"),
        ("Smart", "temperature", "POST"),
        ("ProW+", "module_settings", "PATCH"),
        ("ProW+", "status", "POST"),
        ("MCS300", "bright", "POST"),
        ("Equation", "valve_settings", "POST"),
        ("Novelty", "status", "POST"),
    ],
)
async def test_devices_without_that_command(
    hand: Hand, name: str, command: str, method: str
) -> None:
    assert await hand.send(name, command, {}, method) == (404, {"detail": "Not found."})
    assert hand.cloud.commands == []


@pytest.mark.parametrize(
    ("name", "command", "method"),
    [
        ("Smart", "module_settings", "POST"),
        ("ProW+", "valve_settings", "PATCH"),
        ("ProW+", "valve_settings", "GET"),
        ("OKE-20", "mode", "PUT"),
    ],
)
async def test_methods_that_are_not_allowed(
    hand: Hand, name: str, command: str, method: str
) -> None:
    status, body = await hand.send(name, command, {}, method)
    assert (status, body) == (405, {"detail": f'Method "{method}" not allowed.'})


@pytest.mark.parametrize("how", ["form", "multipart"])
async def test_commands_as_forms(hand: Hand, how: str) -> None:
    async def send(method: str, path: str, fields: dict[str, str]) -> int:
        form = aiohttp.FormData(default_to_multipart=how == "multipart")
        for name, value in fields.items():
            form.add_field(name, value)
        async with hand.http.request(method, path, data=form) as response:
            return response.status

    path = hand.path("ProW+") + "valve_settings/"
    assert await send("POST", path, {"valve_settings": "closed"}) == 200
    path = hand.path("OKE-20") + "temperature/"
    assert await send("POST", path, {"temperature_manual": "30"}) == 200
    path = hand.path("Smart") + "module_settings/"
    dotted = {f"module_config.{group}": state for group, state in SMART.items()}
    assert await send("PATCH", path, dotted) == 200
    hand.clock.advance(5)
    assert (await hand.parsed("ProW+"))["settings"]["valve_settings"] == "closed"
    assert (await hand.parsed("OKE-20"))["settings"]["temperature_manual"] == 30
    assert await groups(hand, "Smart") == ["closed", "closed"]


async def test_a_session_commands_with_csrf_only(hand: Hand) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    path = hand.path("ProW+") + "dry_flag/"
    async with aiohttp.ClientSession(hand.cloud.url, cookie_jar=jar) as http:
        async with http.post(path, json={"dry_flag": "on"}) as response:
            assert response.status == 401
        who = {"username": hand.cloud.email, "password": hand.cloud.password}
        async with http.post("/auth/login/", json=who) as response:
            csrf = {"X-CSRFToken": response.cookies["csrftoken"].value}
        async with http.post(path, json={"dry_flag": "on"}) as response:
            assert response.status == 403
        async with http.post(path, json={"dry_flag": "on"}, headers=csrf) as response:
            assert response.status == 200
    assert len(hand.cloud.commands) == 1


async def test_what_arrived_is_remembered(hand: Hand) -> None:
    await hand.send("EcoSmart 25", "bright", {"bright": 3})
    hand.clock.advance(1)
    await hand.send("EcoSmart 25", "bright", {"bright": "dim"})
    device = hand.device("EcoSmart 25")
    first, second = hand.cloud.commands
    path = hand.path(device.name) + "bright/"
    assert first == SeenCommand(first.time, "POST", path, device.id, "bright", {"bright": 3}, 200)
    assert (second.body, second.status) == ({"bright": "dim"}, 400)
    assert (second.time - first.time).total_seconds() == 1


async def test_an_answer_lost_after_the_deed(hand: Hand) -> None:
    hand.cloud.inject(Drop(after=True), method="POST", times=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await hand.send("ProW+", "dry_flag", {"dry_flag": "on"})
    hand.clock.advance(5)
    assert (await hand.parsed("ProW+"))["settings"]["dry_flag"] == "on"


async def test_a_device_that_does_not_obey(hand: Hand) -> None:
    hand.device("ProW+").obeys = False
    status, _ = await hand.send("ProW+", "dry_flag", {"dry_flag": "on"})
    hand.clock.advance(3600)
    assert (status, len(hand.cloud.commands)) == (200, 1)
    assert (await hand.parsed("ProW+"))["settings"]["dry_flag"] == "off"


async def test_out_of_reach_everything_stands_still(hand: Hand) -> None:
    smart, oke = hand.device("Smart"), hand.device("OKE-20")
    await hand.send("OKE-20", "temperature", {"temperature_manual": 40})
    hand.clock.advance(3600)
    smart.offline = oke.offline = True
    frozen: dict[str, Any] = {}
    for hours in range(4):
        seen = {
            "smart": await hand.get(hand.path("Smart")),
            "counters": await hand.get(hand.path("Smart") + "counters/"),
            "sensors": await hand.sensors("Smart"),
            "oke": await hand.get(hand.path("OKE-20")),
        }
        frozen = frozen or seen
        assert seen == frozen
        body = {"module_config": SMART}
        status, _ = await hand.send("Smart", "module_settings", body, "PATCH")
        assert status == 200
        smart.sensors[0].leak = True
        smart.module.wet_lines = {1}
        hand.clock.advance(3600 * (hours + 1))
    parsed = json.loads(frozen["smart"]["parsed_configuration"])
    assert parsed["access_status"] == "unavailable"
    assert frozen["smart"]["is_connected"] is False
    assert frozen["smart"]["updated_at"].startswith("2026-01-01T01:00:00")
    assert frozen["oke"]["is_connected"] is False
    smart.offline = False
    back = await hand.get(hand.path("Smart"))
    status_now = json.loads(back["parsed_configuration"])["module_settings"]["module_status"]
    assert status_now["first_group_alarm"] == "yes"
    assert back["updated_at"] > frozen["smart"]["updated_at"]


async def test_it_stands_still_from_the_moment_it_goes(hand: Hand) -> None:
    hand.device("ProW+").access_status = "asleep"
    hand.clock.advance(7200)
    payload = await hand.get(hand.path("ProW+"))
    assert payload["updated_at"].startswith("2026-01-01T00:00:00")
    assert json.loads(payload["parsed_configuration"])["access_status"] == "asleep"


async def test_a_command_under_way_is_lost_with_the_device(hand: Hand) -> None:
    await hand.send("ProW+", "dry_flag", {"dry_flag": "on"})
    hand.device("ProW+").offline = True
    hand.clock.advance(60)
    hand.device("ProW+").offline = False
    assert (await hand.parsed("ProW+"))["settings"]["dry_flag"] == "off"


async def test_born_out_of_reach() -> None:
    device = FakeDevice(type=3, access_status="asleep", id=5)
    account = FakeAccount(houses=[FakeHouse(devices=[device])])
    async with FakeCloud([account], clock=ManualClock()) as cloud:
        assert device.offline
        now = cloud.clock.now()
        first = device.payload(now, cloud.houses[0])
        assert first["is_connected"] is False
        assert device.seen(now) == now
