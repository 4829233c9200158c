"""How third-party clients use the API, each reproduced over raw HTTP.

They log in with JSON, a form or multipart, use a token, a session or both, leave slashes
out, and fail on missing fields: every field that one of them reads is read here.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sst_cloud import ManualClock
from sst_cloud.testing import FakeAccount, FakeCloud, FakeDevice, FakeHouse, every_device_account

LEAK_MODULES, THERMOSTATS = (2, 4, 7), (0, 1, 3, 5, 6)


def make_demo() -> FakeCloud:
    return FakeCloud()


def make_every_device() -> FakeCloud:
    return FakeCloud([every_device_account()], clock=ManualClock())


@pytest.fixture(params=[make_demo, make_every_device])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[FakeCloud]:
    async with request.param() as cloud:
        yield cloud


@pytest.fixture
async def http(cloud: FakeCloud) -> AsyncIterator[aiohttp.ClientSession]:
    """A session without a cookie jar: the tests set the cookies."""
    async with aiohttp.ClientSession(cloud.url, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def read(http: aiohttp.ClientSession, path: str, **headers: str) -> Any:
    async with http.get(path, headers=headers) as response:
        assert response.status == 200, path
        return json.loads(await response.text())


async def write(
    http: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str], **sent: Any
) -> None:
    async with http.request(method, path, headers=headers, **sent) as response:
        assert response.status == 200, await response.text()


def credentials(cloud: FakeCloud, **more: str) -> dict[str, str]:
    return {"username": cloud.email, "password": cloud.password, **more}


def multipart(fields: dict[str, str]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def key_by_json(cloud: FakeCloud, http: aiohttp.ClientSession) -> dict[str, str]:
    body = credentials(cloud, email=cloud.email)
    async with http.post("/auth/login/", json=body) as response:
        return {"Authorization": "Token " + (await response.json())["key"]}


def whole(value: Any) -> bool:
    """Whether a statically typed client can store the value in an int."""
    return isinstance(value, int) and not isinstance(value, bool)


class TestHomeAssistantIntegration:
    """SL: JSON login, token, no slashes on reads, every device asked for again by itself."""

    async def test_every_entity_has_its_field(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        token = await key_by_json(cloud, http)
        entities = []
        for house in await read(http, "/houses", **token):
            for listed in await read(http, f"/houses/{house['id']}/devices", **token):
                base = f"/houses/{house['id']}/devices/{listed['id']}"
                device = await read(http, base, **token)
                parsed = json.loads(device["parsed_configuration"])
                assert parsed["access_status"] == "available"
                assert device["house"] == house["id"]
                if device["type"] in LEAK_MODULES:
                    self.leak_module(device, parsed)
                    for counter in await read(http, base + "/counters", **token):
                        assert whole(counter["value"] + counter["id"])
                        assert "name" in counter
                    sensors = await read(http, base + "/wireless_sensors", **token)
                    self.radio_sensors(device["type"], sensors)
                elif device["type"] in THERMOSTATS:
                    self.thermostat(device["type"], parsed)
                entities.append(device["name"])
        assert entities == [device.name for device in cloud.devices]

    @staticmethod
    def leak_module(device: Any, parsed: Any) -> None:
        if device["type"] == 7:
            settings = parsed["module_settings"]
            assert parsed["device_id"]
            config, status = settings["module_config"], settings["module_status"]
            assert config["grouping"] in ("one_group", "two_groups")
            for ordinal in ("first", "second"):
                assert config[f"{ordinal}_group_valves_state"] in ("opened", "closed")
                assert status[f"{ordinal}_group_alarm"] in ("yes", "no")
            assert status["washing_floors_mode"] in ("on", "off")
            lines = settings["wire_lines_status"]
        else:
            assert parsed["settings"]["valve_settings"] in ("opened", "closed")
            assert parsed["settings"]["dry_flag"] in ("on", "off")
            assert parsed["settings"]["status"]["alert"] in ("on", "off")
            lines = parsed["lines_status"]
        named = [(device["line_names"][place], lines[line]) for place, line in enumerate(lines)]
        assert len(named) == 4

    @staticmethod
    def radio_sensors(type_: int, sensors: Any) -> None:
        for sensor in sensors:
            assert isinstance(sensor["attention"], bool)
            assert 0 <= sensor["battery"] <= 100
            if type_ == 7:
                assert isinstance(sensor["sensor_lost"], bool)
                assert isinstance(sensor["battery_discharge"], bool)
                assert sensor["serial_number"]
            else:
                assert sensor["name"] + "line" + str(sensor["line"])

    @staticmethod
    def thermostat(type_: int, parsed: Any) -> None:
        settings, now = parsed["settings"], parsed["current_temperature"]
        assert settings["status"] in ("on", "off")
        assert settings["mode"] in ("manual", "chart")
        assert whole(settings["temperature_manual"])
        if type_ == 0:
            assert whole(now)
        elif type_ == 5:
            assert whole(now["temperature_floor"])
        else:
            assert whole(now["temperature_floor"] + now["temperature_air"])
        if type_ == 6:
            assert 0 <= settings["bright"] <= 9
            chosen = [settings["sensor_set"][sensor] for sensor in ("air", "floor")]
            assert sorted(chosen) == ["selected", "unselected"]

    async def test_every_button_sends_an_accepted_command(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        token = await key_by_json(cloud, http)
        presses: dict[int, list[tuple[str, str, Any]]] = {
            type_: [
                ("POST", "temperature", {"temperature_manual": 25.0}),
                ("POST", "status", {"status": "on"}),
                ("POST", "mode", {"mode": "chart"}),
                ("POST", "mode", {"mode": "manual"}),
            ]
            for type_ in THERMOSTATS
        }
        presses[6].append(("POST", "bright", {"bright": 3}))
        for type_ in (2, 4):
            presses[type_] = [
                ("POST", "valve_settings", {"valve_settings": "closed"}),
                ("POST", "dry_flag", {"dry_flag": "on"}),
            ]
        both = {"first_group_valves_state": "closed", "second_group_valves_state": "closed"}
        presses[7] = [
            ("PATCH", "module_settings", {"washing_floors_mode": "on"}),
            ("PATCH", "module_settings", {"module_config": both}),
        ]
        for house in cloud.houses:
            for device in house.devices:
                for method, name, body in presses.get(device.type, []):
                    path = f"/houses/{house.id}/devices/{device.id}/{name}/"
                    await write(http, method, path, token, json=body)
        cloud.settle_now()
        for device in cloud.devices:
            if device.type in LEAK_MODULES:
                assert not device.module.opened[1]
                assert device.module.washing
            elif device.type in THERMOSTATS:
                assert (device.thermostat.manual, device.thermostat.mode) == (25, "manual")
        assert all(command.status == 200 for command in cloud.commands)


class TestNodeWrapper:
    """SR: form login with two fields, then the `sessionid` cookie alone, reads only."""

    async def test_all_pages_are_read_by_cookie(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        async with http.post("/auth/login/", data=credentials(cloud)) as response:
            cookie = {"Cookie": f"sessionid={response.cookies['sessionid'].value}"}
        user = await read(http, "/auth/user/", **cookie)
        assert {"pk", "username", "email", "profile"} <= set(user)
        for listed in await read(http, "/houses/", **cookie):
            house = await read(http, f"/houses/{listed['id']}/", **cookie)
            for network in await read(http, f"/houses/{house['id']}/networks/", **cookie):
                path = f"/houses/{house['id']}/networks/{network['id']}/"
                assert await read(http, path, **cookie) == network
                assert {"id", "house", "devices", "created_at", "updated_at", "name"} <= set(
                    network
                )
            for device in await read(http, f"/houses/{house['id']}/devices/", **cookie):
                path = f"/houses/{house['id']}/devices/{device['id']}/"
                one = await read(http, path, **cookie)
                assert {
                    "id", "house", "active_network", "created_at", "updated_at", "name",
                    "is_active", "is_connected", "type",
                } <= set(one)  # fmt: skip
                await read(http, path + "counters/", **cookie)
                for sensor in await read(http, path + "wireless_sensors/", **cookie):
                    assert {"name", "battery", "attention"} <= set(sensor)
                    assert "signal_level" in sensor or device["type"] == 7
        for news in await read(http, "/news/", **cookie):
            assert {"id", "title", "body", "pub_date"} <= set(news)
            assert await read(http, f"/news/{news['id']}", **cookie) == news

    async def test_refused_login_has_an_error_message(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        form = {"username": cloud.email, "password": "wrong"}
        async with http.post("/auth/login/", data=form) as response:
            assert response.status == 400
            assert (await response.json())["non_field_errors"]


class TestPythonClientOf2019:
    """ZA: JSON login, all cookies and X-CSRFToken on everything; one house of leak modules."""

    @pytest.fixture
    async def cloud(self) -> AsyncIterator[FakeCloud]:
        account = every_device_account()
        (house,) = account.houses
        house.devices = [device for device in house.devices if device.type in (2, 4)]
        async with FakeCloud([account]) as cloud:
            yield cloud

    async def test_reads_and_commands_work_with_cookies_and_csrf(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        body = credentials(cloud, email=cloud.email, language="ru")
        async with http.post("/auth/login/", json=body) as response:
            cookies = {name: morsel.value for name, morsel in response.cookies.items()}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-CSRFToken": cookies["csrftoken"],
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }
        (house,) = await read(http, "/houses/", **headers)
        devices = await read(http, f"/houses/{house['id']}/devices/", **headers)
        watching = []
        for device in devices:
            base = f"/houses/{device['house']}/devices/{device['id']}"
            parsed = json.loads(device["parsed_configuration"])
            settings = parsed["settings"]
            for line, kind in settings["lines_in"].items():
                if kind == "wired_sensor":
                    watching.append(parsed["lines_status"][line])
            assert {"close_valve_flag", "dry_flag", "valve_settings"} <= set(settings)
            assert {"alert", "dry_flag", "sensors_lost"} <= set(settings["status"])
            assert whole(parsed["signal_level"])
            for counter in await read(http, base + "/counters", **headers):
                assert counter["device"] == device["id"]
            for command, value in (("valve_settings", "closed"), ("dry_flag", "on")):
                path = f"{base}/{command}/"
                await write(http, "POST", path, headers, json={command: value})
        assert watching == ["no"] * 5
        cloud.settle_now()
        assert not any(device.module.opened[1] for device in cloud.devices)


class TestGoKit:
    """MK: JSON login, cookies and CSRF, some reads without a slash, strictly typed structures."""

    async def test_all_fields_have_the_right_types(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        body = credentials(cloud, email=cloud.email, language="en")
        async with http.post("/auth/login/", json=body) as response:
            cookies = response.cookies
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "X-CSRFToken": cookies["csrftoken"].value,
            "Cookie": "; ".join(f"{name}={cookies[name].value}" for name in cookies),
        }
        user = await read(http, "/auth/user/", **headers)
        assert whole(user["pk"] + user["profile"]["id"] + user["profile"]["user"])
        for listed in await read(http, "/houses/", **headers):
            house = await read(http, f"/houses/{listed['id']}", **headers)
            assert whole(house["workdays"]["id"])
            assert all(whole(day) for day in house["workdays"]["vacations"])
            assert house["owner"] == cloud.email
            for device in await read(http, f"/houses/{house['id']}/devices/", **headers):
                one = await read(http, f"/houses/{house['id']}/devices/{device['id']}", **headers)
                self.check_device(one)
                if one["type"] in THERMOSTATS:
                    path = f"/houses/{house['id']}/devices/{device['id']}/"
                    await write(http, "POST", path + "status/", headers, json={"status": "off"})
                    warmth = {"temperature_manual": 22, "temperature_air": 30}
                    await write(http, "POST", path + "temperature/", headers, json=warmth)
        async with http.post("/auth/logout/", headers=headers, data=b"") as response:
            assert "logged out" in await response.text()

    @staticmethod
    def check_device(device: Any) -> None:
        for name in (
            "configuration", "parsed_configuration", "created_at", "updated_at", "name",
            "previous_mode", "mac_address", "power_relay_time",
        ):  # fmt: skip
            assert isinstance(device[name], str), name
        for name in (
            "id", "timeout", "active_network", "type", "power", "house",
            "chart_temperature_comfort", "chart_temperature_economical",
        ):  # fmt: skip
            assert whole(device[name]), name
        for name in ("is_active", "is_connected"):
            assert isinstance(device[name], bool), name
        assert all(name is None or isinstance(name, str) for name in device["line_names"])
        assert all(
            name is None or isinstance(name, str) for name in device["wireless_sensors_names"]
        )
        assert {"id", "device", "workday_time_range", "vacation_time_range"} <= set(
            device["time_setting"]
        )
        if device["type"] == 1:
            parsed = json.loads(device["parsed_configuration"])
            settings, now = parsed["settings"], parsed["current_temperature"]
            assert whole(parsed["detector"] + parsed["open_window_minutes"])
            assert set(settings["self_training"]) == {"air", "floor", "status", "open_window"}
            for name in ("temperature_air", "temperature_manual", "temperature_correction_air"):
                assert whole(settings[name])
            assert all(whole(value) for value in now.values())
            assert {"event", "day_of_week", "temperature_air", "temperature_floor"} == set(now)


class TestAliceGateway:
    """AG: JSON login in English, token, slashes; skips devices without inner configuration."""

    async def test_voice_commands_are_accepted(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        cloud.devices[-1].unparsed = True
        body = credentials(cloud, email=cloud.email, language="en")
        async with http.post("/auth/login/", json=body) as response:
            token = {"Authorization": "Token " + (await response.json())["key"]}
        for house in await read(http, "/houses/", **token):
            for device in await read(http, f"/houses/{house['id']}/devices/", **token):
                assert all(isinstance(line, bool) for line in device["lines_enabled"])
                assert device["specific_settings"] == {}
                if not device["parsed_configuration"] or device["type"] != 1:
                    continue
                parsed = json.loads(device["parsed_configuration"])
                assert whole(parsed["settings"]["temperature_vacation"])
                assert parsed["relay_status"] in ("on", "off")
                path = f"/houses/{house['id']}/devices/{device['id']}/"
                warmth = {"temperature_manual": 45}
                await write(http, "POST", path + "temperature/", token, json=warmth)
                await write(http, "POST", path + "status/", token, json={"status": "off"})


class TestMajorDoMo:
    """MD: multipart login, 32 and 64 characters cut from the headers, token and CSRF together."""

    async def test_houses_groups_devices_and_properties_are_read(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        form = multipart(credentials(cloud, email=cloud.email, language="ru"))
        async with http.post("/auth/login/", data=form) as response:
            head = "\r\n".join(f"{name}: {value}" for name, value in response.headers.items())
            key = (await response.json())["key"]
        csrf, session = (
            head[(start := head.index(name) + len(name)) : start + length]
            for name, length in (("csrftoken=", 64), ("sessionid=", 32))
        )
        headers = {
            "Accept": "application/json",
            "X-CSRFToken": csrf,
            "Authorization": f"Token {key}",
        }
        by_cookie = {"Cookie": f"sessionid={session}; csrftoken={csrf}"}
        assert await read(http, "/houses/", **by_cookie) == await read(http, "/houses/", **headers)
        for house in await read(http, "/houses/", **headers):
            assert {"id", "name", "owner"} <= set(house)
            for group in await read(http, f"/houses/{house['id']}/groups/", **headers):
                assert {"id", "name", "house"} == set(group)
            for device in await read(http, f"/houses/{house['id']}/devices/", **headers):
                assert {"name", "house", "group", "type"} <= set(device)
                parsed = json.loads(device["parsed_configuration"])
                flat = dict(parsed.get("settings", {}))
                if device["type"] in (2, 4):
                    flat |= flat.pop("status")
                    assert {"alert", "sensors_lost", "valve_settings"} <= set(flat)
                path = f"/houses/{house['id']}/devices/{device['id']}/"
                for field, command, value in (
                    ("mode", "mode", "chart"),
                    ("status", "status", "on"),
                    ("temperature_manual", "temperature", "23"),
                    ("temperature_air", "temperature", "33"),
                    ("temperature_correction_air", "temperature", "-1"),
                ):
                    if device["type"] in THERMOSTATS:
                        sent = multipart({field: value})
                        await write(http, "POST", f"{path}{command}/", headers, data=sent)
                if device["type"] in (2, 4):
                    sent = multipart({"valve_settings": "closed"})
                    await write(http, "POST", path + "valve_settings/", headers, data=sent)
        async with http.post("/auth/logout/", headers=headers) as response:
            assert response.status == 200
            assert isinstance(await response.json(), dict)

    async def test_failed_login_lists_errors_by_field(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        async with http.post("/auth/login/", data=multipart({"username": "me"})) as response:
            body = await response.json()
        assert body == {"password": ["This field is required."]}


class TestMeterMailer:
    """JV: JSON login, token and a needless header; meters of a house found by its name."""

    async def test_meters_of_a_house_are_read(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        token = await key_by_json(cloud, http) | {"WWW-Authenticate": "Token"}
        houses = await read(http, "/houses/", **token)
        house = next(house for house in houses if house["name"] == cloud.houses[0].name)
        one = await read(http, f"/houses/{house['id']}/", **token)
        assert one["workdays"]["current_day"] in ("workday", "vacation")
        assert 1 <= one["report_date"] <= 31
        counters = await read(http, f"/houses/{house['id']}/counters/", **token)
        assert {counter["for_hot_water"] for counter in counters} == {True, False}
        assert all(whole(counter["value"]) for counter in counters)


class TestHomebridge:
    """HB: form login on every call, the first house, form-encoded valve command to type 2."""

    async def test_valve_switch_in_the_home_app_works(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}

        async def devices() -> tuple[int, Any, dict[str, str]]:
            form = credentials(cloud, email=cloud.email, language="ru")
            async with http.post("/auth/login/", data=form, headers=kind) as response:
                token = {**kind, "Authorization": f"Token {(await response.json())['key']}"}
            house = (await read(http, "/houses", **token))[0]["id"]
            return house, await read(http, f"/houses/{house}/devices/", **token), token

        async def state() -> str:
            _, listed, _ = await devices()
            (module,) = [device for device in listed if device["type"] == 2]
            valve_state: str = json.loads(module["parsed_configuration"])["settings"][
                "valve_settings"
            ]
            return valve_state

        assert await state() == "opened"
        house, listed, token = await devices()
        (module,) = [device for device in listed if device["type"] == 2]
        path = f"/houses/{house}/devices/{module['id']}/valve_settings/"
        await write(http, "POST", path, token, data={"valve_settings": "closed"})
        cloud.settle_now()
        assert await state() == "closed"
        for device in listed:
            if device["type"] == 5:
                assert device["chart_temperature_comfort"] > device["chart_temperature_economical"]
                assert device["time_setting"]["workday_time_range"]


class TestLambda:
    """SEED: a token kept for months, the first house, its counters."""

    async def test_poll_reads_the_counters_of_the_first_house(
        self, cloud: FakeCloud, http: aiohttp.ClientSession
    ) -> None:
        token = {"Authorization": "Token " + cloud.token}
        houses = await read(http, "/houses/", **token)
        counters = await read(http, f"/houses/{houses[0]['id']}/counters/", **token)
        assert counters
        for counter in counters:
            assert whole(counter["id"] + counter["line"] + counter["value"])
            assert isinstance(counter["for_hot_water"], bool)


async def test_client_works_with_one_house_and_one_device() -> None:
    """The smallest possible account has ids, names and answers like the others."""
    account = FakeAccount(houses=[FakeHouse(devices=[FakeDevice(line_names=["a", "b", "c", "d"])])])
    async with FakeCloud([account]) as cloud, aiohttp.ClientSession(cloud.url) as http:
        token = await key_by_json(cloud, http)
        (house,) = await read(http, "/houses", **token)
        (device,) = await read(http, f"/houses/{house['id']}/devices", **token)
        TestHomeAssistantIntegration.leak_module(device, json.loads(device["parsed_configuration"]))
