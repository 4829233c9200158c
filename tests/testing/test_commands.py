"""Commands: which are accepted, in which form, and when they take effect."""

import json
from typing import Any

import aiohttp
import pytest

from sst_cloud import ManualClock
from sst_cloud.testing import Drop, FakeAccount, FakeCloud, FakeDevice, FakeHouse, SeenCommand

from .conftest import ApiClient

SMART = {"first_group_valves_state": "closed", "second_group_valves_state": "closed"}


async def test_command_takes_effect_after_the_settle_time(api: ApiClient) -> None:
    body = {"valve_settings": "closed"}
    assert await api.send("ProW+", "valve_settings", body) == (200, body)
    assert (await api.parsed("ProW+"))["settings"]["valve_settings"] == "opened"
    api.clock.advance(4.9)
    assert (await api.parsed("ProW+"))["settings"]["valve_settings"] == "opened"
    api.clock.advance(0.1)
    payload = await api.get(api.path("ProW+"))
    assert json.loads(payload["parsed_configuration"])["settings"]["valve_settings"] == "closed"
    assert payload["updated_at"].startswith("2026-01-01T00:00:05")


async def test_commands_can_be_settled_manually_or_immediately(api: ApiClient) -> None:
    await api.send("Smart", "module_settings", {"washing_floors_mode": "on"}, "PATCH")
    api.cloud.settle_now()
    status = (await api.parsed("Smart"))["module_settings"]["module_status"]
    assert status["washing_floors_mode"] == "on"
    api.cloud.settle = 0
    await api.send("ProW+", "dry_flag", {"dry_flag": "on"})
    assert (await api.parsed("ProW+"))["settings"]["dry_flag"] == "on"
    await api.send("ProW+", "dry_flag", {"dry_flag": "off"})
    assert (await api.parsed("ProW+"))["settings"]["status"]["dry_flag"] == "off"


async def groups(api: ApiClient, name: str) -> list[str]:
    api.cloud.settle_now()
    config = (await api.parsed(name))["module_settings"]["module_config"]
    return [config["first_group_valves_state"], config["second_group_valves_state"]]


async def test_single_valve_group_needs_both_states(api: ApiClient) -> None:
    for group in SMART:
        config = {group: "closed"}
        status, _ = await api.send("Smart", "module_settings", {"module_config": config}, "PATCH")
        assert status == 200
        assert await groups(api, "Smart") == ["opened", "opened"]
    await api.send("Smart", "module_settings", {"module_config": SMART}, "PATCH")
    assert await groups(api, "Smart") == ["closed", "closed"]


async def test_two_valve_groups_are_set_separately(api: ApiClient) -> None:
    name = "Smart, two groups"
    body = {"module_config": {"second_group_valves_state": "closed"}}
    await api.send(name, "module_settings", body, "PATCH")
    assert await groups(api, name) == ["opened", "closed"]
    await api.send(name, "module_settings", {"module_config": SMART}, "PATCH")
    assert await groups(api, name) == ["closed", "closed"]


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
async def test_thermostat_commands_take_effect(
    api: ApiClient, command: str, body: Any, where: str, value: Any
) -> None:
    status, _ = await api.send("EcoSmart 25", command, body)
    assert status == 200
    api.clock.advance(5)
    assert (await api.parsed("EcoSmart 25"))["settings"][where] == value


@pytest.mark.parametrize("name", ["MCS300", "MCS350", "Equation", "OKE-20", "EcoSmart 25"])
async def test_every_thermostat_has_target_power_and_mode(api: ApiClient, name: str) -> None:
    for command, body in (
        ("temperature", {"temperature_manual": 19, "temperature_vacation": 15}),
        ("status", {"status": "off"}),
        ("mode", {"mode": "chart"}),
    ):
        assert await api.send(name, command, body) == (200, body)
    api.clock.advance(5)
    settings = (await api.parsed(name))["settings"]
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
async def test_bad_values_are_refused_without_effect(
    api: ApiClient, name: str, command: str, body: Any, answer: Any
) -> None:
    before = await api.parsed(name)
    assert await api.send(name, command, body) == (400, answer)
    api.clock.advance(60)
    assert await api.parsed(name) == before


async def test_bad_nested_values_are_refused(api: ApiClient) -> None:
    async def send(body: Any) -> Any:
        status, answer = await api.send("Smart", "module_settings", body, "PATCH")
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
async def test_unsupported_command_is_not_found(
    api: ApiClient, name: str, command: str, method: str
) -> None:
    assert await api.send(name, command, {}, method) == (404, {"detail": "Not found."})
    assert api.cloud.commands == []


@pytest.mark.parametrize(
    ("name", "command", "method"),
    [
        ("Smart", "module_settings", "POST"),
        ("ProW+", "valve_settings", "PATCH"),
        ("ProW+", "valve_settings", "GET"),
        ("OKE-20", "mode", "PUT"),
    ],
)
async def test_wrong_method_is_not_allowed(
    api: ApiClient, name: str, command: str, method: str
) -> None:
    status, body = await api.send(name, command, {}, method)
    assert (status, body) == (405, {"detail": f'Method "{method}" not allowed.'})


@pytest.mark.parametrize("how", ["form", "multipart"])
async def test_commands_are_accepted_as_forms(api: ApiClient, how: str) -> None:
    async def send(method: str, path: str, fields: dict[str, str]) -> int:
        form = aiohttp.FormData(default_to_multipart=how == "multipart")
        for name, value in fields.items():
            form.add_field(name, value)
        async with api.http.request(method, path, data=form) as response:
            return response.status

    path = api.path("ProW+") + "valve_settings/"
    assert await send("POST", path, {"valve_settings": "closed"}) == 200
    path = api.path("OKE-20") + "temperature/"
    assert await send("POST", path, {"temperature_manual": "30"}) == 200
    path = api.path("Smart") + "module_settings/"
    dotted = {f"module_config.{group}": state for group, state in SMART.items()}
    assert await send("PATCH", path, dotted) == 200
    api.clock.advance(5)
    assert (await api.parsed("ProW+"))["settings"]["valve_settings"] == "closed"
    assert (await api.parsed("OKE-20"))["settings"]["temperature_manual"] == 30
    assert await groups(api, "Smart") == ["closed", "closed"]


async def test_session_needs_a_csrf_token_for_commands(api: ApiClient) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    path = api.path("ProW+") + "dry_flag/"
    async with aiohttp.ClientSession(api.cloud.url, cookie_jar=jar) as http:
        async with http.post(path, json={"dry_flag": "on"}) as response:
            assert response.status == 401
        credentials = {"username": api.cloud.email, "password": api.cloud.password}
        async with http.post("/auth/login/", json=credentials) as response:
            csrf = {"X-CSRFToken": response.cookies["csrftoken"].value}
        async with http.post(path, json={"dry_flag": "on"}) as response:
            assert response.status == 403
        async with http.post(path, json={"dry_flag": "on"}, headers=csrf) as response:
            assert response.status == 200
    assert len(api.cloud.commands) == 1


async def test_received_commands_are_recorded(api: ApiClient) -> None:
    await api.send("EcoSmart 25", "bright", {"bright": 3})
    api.clock.advance(1)
    await api.send("EcoSmart 25", "bright", {"bright": "dim"})
    device = api.device("EcoSmart 25")
    first, second = api.cloud.commands
    path = api.path(device.name) + "bright/"
    assert first == SeenCommand(first.time, "POST", path, device.id, "bright", {"bright": 3}, 200)
    assert (second.body, second.status) == ({"bright": "dim"}, 400)
    assert (second.time - first.time).total_seconds() == 1


async def test_command_takes_effect_although_its_answer_is_lost(api: ApiClient) -> None:
    api.cloud.inject(Drop(after=True), method="POST", times=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.send("ProW+", "dry_flag", {"dry_flag": "on"})
    api.clock.advance(5)
    assert (await api.parsed("ProW+"))["settings"]["dry_flag"] == "on"


async def test_command_to_a_disobedient_device_has_no_effect(api: ApiClient) -> None:
    api.device("ProW+").obeys = False
    status, _ = await api.send("ProW+", "dry_flag", {"dry_flag": "on"})
    api.clock.advance(3600)
    assert (status, len(api.cloud.commands)) == (200, 1)
    assert (await api.parsed("ProW+"))["settings"]["dry_flag"] == "off"


async def test_offline_devices_do_not_change(api: ApiClient) -> None:
    smart, oke = api.device("Smart"), api.device("OKE-20")
    await api.send("OKE-20", "temperature", {"temperature_manual": 40})
    api.clock.advance(3600)
    smart.offline = oke.offline = True
    frozen: dict[str, Any] = {}
    for hours in range(4):
        seen = {
            "smart": await api.get(api.path("Smart")),
            "counters": await api.get(api.path("Smart") + "counters/"),
            "sensors": await api.sensors("Smart"),
            "oke": await api.get(api.path("OKE-20")),
        }
        frozen = frozen or seen
        assert seen == frozen
        body = {"module_config": SMART}
        status, _ = await api.send("Smart", "module_settings", body, "PATCH")
        assert status == 200
        smart.sensors[0].leak = True
        smart.module.wet_lines = {1}
        api.clock.advance(3600 * (hours + 1))
    parsed = json.loads(frozen["smart"]["parsed_configuration"])
    assert parsed["access_status"] == "unavailable"
    assert frozen["smart"]["is_connected"] is False
    assert frozen["smart"]["updated_at"].startswith("2026-01-01T01:00:00")
    assert frozen["oke"]["is_connected"] is False
    smart.offline = False
    back = await api.get(api.path("Smart"))
    status_now = json.loads(back["parsed_configuration"])["module_settings"]["module_status"]
    assert status_now["first_group_alarm"] == "yes"
    assert back["updated_at"] > frozen["smart"]["updated_at"]


async def test_device_payload_is_frozen_when_it_goes_offline(api: ApiClient) -> None:
    api.device("ProW+").access_status = "asleep"
    api.clock.advance(7200)
    payload = await api.get(api.path("ProW+"))
    assert payload["updated_at"].startswith("2026-01-01T00:00:00")
    assert json.loads(payload["parsed_configuration"])["access_status"] == "asleep"


async def test_pending_command_is_lost_if_the_device_goes_offline(api: ApiClient) -> None:
    await api.send("ProW+", "dry_flag", {"dry_flag": "on"})
    api.device("ProW+").offline = True
    api.clock.advance(60)
    api.device("ProW+").offline = False
    assert (await api.parsed("ProW+"))["settings"]["dry_flag"] == "off"


async def test_device_may_be_offline_from_the_start() -> None:
    device = FakeDevice(type=3, access_status="asleep", id=5)
    account = FakeAccount(houses=[FakeHouse(devices=[device])])
    async with FakeCloud([account], clock=ManualClock()) as cloud:
        assert device.offline
        now = cloud.clock.now()
        first = device.payload(now, cloud.houses[0])
        assert first["is_connected"] is False
        assert device.seen(now) == now
