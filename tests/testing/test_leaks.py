"""Leaks, lost sensors and valves, as the fake modules handle them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.testing import FakeModule, FakeSensor

from .conftest import ApiClient


async def valves(api: ApiClient, name: str) -> list[str]:
    parsed = await api.parsed(name)
    if "settings" in parsed:
        return [parsed["settings"]["valve_settings"]]
    config = parsed["module_settings"]["module_config"]
    return [config["first_group_valves_state"], config["second_group_valves_state"]]


async def status(api: ApiClient, name: str) -> Any:
    return (await api.parsed(name))["module_settings"]["module_status"]


async def test_leak_on_a_wired_line_closes_a_prow_module(api: ApiClient) -> None:
    api.device("ProW+").module.wet_lines.add(2)
    parsed = await api.parsed("ProW+")
    assert parsed["lines_status"]["line_2"] == "yes"
    assert parsed["settings"]["status"]["alert"] == "on"
    assert parsed["settings"]["valve_settings"] == "closed"


async def test_line_with_a_meter_detects_no_leak(api: ApiClient) -> None:
    api.device("ProW+").module.wet_lines.add(3)
    parsed = await api.parsed("ProW+")
    assert parsed["lines_status"]["line_3"] == "no"
    assert parsed["settings"]["valve_settings"] == "opened"


async def test_leak_at_a_radio_sensor_closes_only_its_group(api: ApiClient) -> None:
    name = "Smart, two groups"
    api.device(name).sensors[1].leak = True
    assert await valves(api, name) == ["opened", "closed"]
    now = await status(api, name)
    assert (now["first_group_alarm"], now["second_group_alarm"]) == ("no", "yes")
    assert [sensor["attention"] for sensor in await api.sensors(name)] == [False, True]


async def test_leak_on_a_wired_line_closes_only_its_group(api: ApiClient) -> None:
    name = "Smart, two groups"
    api.device(name).module.wet_lines = {1}
    assert await valves(api, name) == ["closed", "opened"]


async def test_leak_closes_both_valves_of_a_single_group(api: ApiClient) -> None:
    api.device("Smart").module.wet_lines = {4}
    assert await valves(api, "Smart") == ["closed", "closed"]
    assert (await status(api, "Smart"))["first_group_alarm"] == "yes"


async def test_valves_stay_closed_after_the_leak_ends(api: ApiClient) -> None:
    module = api.device("Smart").module
    module.wet_lines = {1}
    await valves(api, "Smart")
    module.wet_lines = set()
    assert await valves(api, "Smart") == ["closed", "closed"]
    assert (await status(api, "Smart"))["first_group_alarm"] == "no"


async def test_valves_opened_during_a_leak_stay_open_until_a_new_leak(api: ApiClient) -> None:
    module = api.device("ProW+").module
    module.wet_lines = {1}
    assert await valves(api, "ProW+") == ["closed"]
    await api.send("ProW+", "valve_settings", {"valve_settings": "opened"})
    api.clock.advance(5)
    assert await valves(api, "ProW+") == ["opened"]
    module.wet_lines.add(2)
    assert await valves(api, "ProW+") == ["closed"]


async def test_floor_washing_suppresses_leak_alarms(api: ApiClient) -> None:
    module = api.device("Smart").module
    module.washing = True
    module.wet_lines = {1}
    assert await valves(api, "Smart") == ["opened", "opened"]
    now = await status(api, "Smart")
    assert (now["washing_floors_mode"], now["first_group_alarm"]) == ("on", "no")
    module.washing = False
    assert await valves(api, "Smart") == ["closed", "closed"]


async def test_lost_sensor_closes_valves_only_if_configured(api: ApiClient) -> None:
    name = "Smart, two groups"
    assert await valves(api, name) == ["opened", "opened"]
    api.device(name).module.close_on_lost = True
    assert await valves(api, name) == ["opened", "closed"]
    now = await status(api, name)
    assert now["close_valves_for_lost_sensor_at_first_group"] == "no"
    assert now["close_valves_for_lost_sensor_at_second_group"] == "yes"
    assert (await status(api, "Smart"))["close_valves_for_lost_sensor_at_first_group"] == "no"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wet"), st.integers(1, 4)),
        st.tuples(st.just("dry"), st.integers(1, 4)),
        st.tuples(st.just("leak"), st.integers(0, 1)),
        st.tuples(st.just("open"), st.integers(1, 2)),
        st.tuples(st.just("wash"), st.integers(0, 1)),
    ),
    max_size=20,
)


@given(steps, st.booleans())
def test_valves_open_only_by_command_and_close_on_every_new_leak(
    steps: list[tuple[str, int]], two_groups: bool
) -> None:
    sensors = [FakeSensor(group=1), FakeSensor(group=2)]
    module = FakeModule(sensors=sensors, two_groups=two_groups)
    for action, which in steps:
        before = dict(module.opened)
        wet_before = set(module.wet_lines)
        if action == "wet":
            module.wet_lines.add(which)
        elif action == "dry":
            module.wet_lines.discard(which)
        elif action == "leak":
            sensors[which].leak = not sensors[which].leak
        elif action == "open":
            module.set_valves(which, opened=True)
        else:
            module.washing = bool(which)
        module.react()
        if action != "open":
            assert all(before[group] or not module.opened[group] for group in before)
        if action == "wet" and which not in wet_before and not module.washing:
            assert not module.opened[module.line_groups[which - 1]]
        if not two_groups:
            assert module.opened[1] == module.opened[2]
