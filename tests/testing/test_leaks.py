"""Leaks, lost sensors and valves, as the modules treat them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.testing import FakeModule, FakeSensor

from .conftest import Hand


async def valves(hand: Hand, name: str) -> list[str]:
    parsed = await hand.parsed(name)
    if "settings" in parsed:
        return [parsed["settings"]["valve_settings"]]
    config = parsed["module_settings"]["module_config"]
    return [config["first_group_valves_state"], config["second_group_valves_state"]]


async def status(hand: Hand, name: str) -> Any:
    return (await hand.parsed(name))["module_settings"]["module_status"]


async def test_a_leak_on_a_line_closes_a_prow(hand: Hand) -> None:
    hand.device("ProW+").module.wet_lines.add(2)
    parsed = await hand.parsed("ProW+")
    assert parsed["lines_status"]["line_2"] == "yes"
    assert parsed["settings"]["status"]["alert"] == "on"
    assert parsed["settings"]["valve_settings"] == "closed"


async def test_a_line_that_counts_does_not_watch(hand: Hand) -> None:
    hand.device("ProW+").module.wet_lines.add(3)
    parsed = await hand.parsed("ProW+")
    assert parsed["lines_status"]["line_3"] == "no"
    assert parsed["settings"]["valve_settings"] == "opened"


async def test_a_radio_sensor_closes_its_group_and_no_other(hand: Hand) -> None:
    name = "Smart, two groups"
    hand.device(name).sensors[1].leak = True
    assert await valves(hand, name) == ["opened", "closed"]
    now = await status(hand, name)
    assert (now["first_group_alarm"], now["second_group_alarm"]) == ("no", "yes")
    assert [sensor["attention"] for sensor in await hand.sensors(name)] == [False, True]


async def test_wired_lines_have_groups(hand: Hand) -> None:
    name = "Smart, two groups"
    hand.device(name).module.wet_lines = {1}
    assert await valves(hand, name) == ["closed", "opened"]


async def test_one_group_closes_as_one(hand: Hand) -> None:
    hand.device("Smart").module.wet_lines = {4}
    assert await valves(hand, "Smart") == ["closed", "closed"]
    assert (await status(hand, "Smart"))["first_group_alarm"] == "yes"


async def test_dry_again_the_alarm_ends_and_the_valves_stay_closed(hand: Hand) -> None:
    module = hand.device("Smart").module
    module.wet_lines = {1}
    await valves(hand, "Smart")
    module.wet_lines = set()
    assert await valves(hand, "Smart") == ["closed", "closed"]
    assert (await status(hand, "Smart"))["first_group_alarm"] == "no"


async def test_opened_over_a_leak_they_stay_open_until_the_next(hand: Hand) -> None:
    module = hand.device("ProW+").module
    module.wet_lines = {1}
    assert await valves(hand, "ProW+") == ["closed"]
    await hand.send("ProW+", "valve_settings", {"valve_settings": "opened"})
    hand.clock.advance(5)
    assert await valves(hand, "ProW+") == ["opened"]
    module.wet_lines.add(2)
    assert await valves(hand, "ProW+") == ["closed"]


async def test_washing_floors_water_is_welcome(hand: Hand) -> None:
    module = hand.device("Smart").module
    module.washing = True
    module.wet_lines = {1}
    assert await valves(hand, "Smart") == ["opened", "opened"]
    now = await status(hand, "Smart")
    assert (now["washing_floors_mode"], now["first_group_alarm"]) == ("on", "no")
    module.washing = False
    assert await valves(hand, "Smart") == ["closed", "closed"]


async def test_a_lost_sensor_closes_only_if_it_shall(hand: Hand) -> None:
    name = "Smart, two groups"
    assert await valves(hand, name) == ["opened", "opened"]
    hand.device(name).module.close_on_lost = True
    assert await valves(hand, name) == ["opened", "closed"]
    now = await status(hand, name)
    assert now["close_valves_for_lost_sensor_at_first_group"] == "no"
    assert now["close_valves_for_lost_sensor_at_second_group"] == "yes"
    assert (await status(hand, "Smart"))["close_valves_for_lost_sensor_at_first_group"] == "no"


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
def test_only_a_hand_opens_valves_and_every_new_leak_closes_them(
    steps: list[tuple[str, int]], two_groups: bool
) -> None:
    sensors = [FakeSensor(group=1), FakeSensor(group=2)]
    module = FakeModule(sensors=sensors, two_groups=two_groups)
    for what, which in steps:
        before = dict(module.opened)
        known = set(module.wet_lines)
        if what == "wet":
            module.wet_lines.add(which)
        elif what == "dry":
            module.wet_lines.discard(which)
        elif what == "leak":
            sensors[which].leak = not sensors[which].leak
        elif what == "open":
            module.set_valves(which, opened=True)
        else:
            module.washing = bool(which)
        module.react()
        if what != "open":
            assert all(before[group] or not module.opened[group] for group in before)
        if what == "wet" and which not in known and not module.washing:
            assert not module.opened[module.line_groups[which - 1]]
        if not two_groups:
            assert module.opened[1] == module.opened[2]
