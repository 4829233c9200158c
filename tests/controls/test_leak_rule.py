"""Over any sequence of leaks and commands, no valve is opened where the module shows a leak."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import product

import attrs
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud import (
    Command,
    CommandError,
    Controls,
    Device,
    Grouping,
    LeakModule,
    ManualClock,
    SetValves,
    ValveGroup,
    ValveState,
    WiredLine,
)

from .plant import CLOSED, OPENED, prow, smart

BOTH = frozenset({1, 2})


@attrs.frozen
class State:
    """Zones with a leak, and how the module shows it."""

    leaks: frozenset[int] = frozenset()
    is_joined: bool = False
    is_smart: bool = True
    shows_alarms: bool = True
    """If not, alarms are unknown, and a wet line shows the leak."""
    is_online: bool = True

    def zones(self, groups: Sequence[int]) -> frozenset[int]:
        """The zones whose valves move when these groups are set."""
        return BOTH if self.is_joined or not self.is_smart else BOTH & frozenset(groups)

    def module(self, opened: frozenset[int]) -> LeakModule:
        """What a look at the module shows."""
        is_split = self.is_smart and not self.is_joined
        valve_groups = tuple(
            ValveGroup(
                number=min(zones),
                state=OPENED if zones & opened else CLOSED,
                alarm=bool(zones & self.leaks) if self.shows_alarms else None,
            )
            for zones in ([frozenset({1}), frozenset({2})] if is_split else [BOTH])
        )
        fields = {
            "lines": (WiredLine(point_id="1", number=1, leak=bool(self.leaks)),),
            "is_connected": self.is_online,
        }
        if not self.is_smart:
            return prow(*valve_groups, **fields)
        grouping = Grouping.ONE_GROUP if self.is_joined else Grouping.TWO_GROUPS
        return smart(*valve_groups, grouping=grouping, **fields)


@attrs.frozen
class Order:
    """A command, as somebody gives it."""

    state: ValveState
    group: int | None
    despite_alarm: bool
    wait: bool
    read: State
    """What the module was when it was read."""
    meanwhile: State | None
    """What the module has become when the command reaches it."""


@attrs.define
class World(Controls):
    """A module whose zones are known; it records what opened where a leak had been shown."""

    state: State
    opened: frozenset[int] = frozenset()
    last_look: State | None = None
    order: Order | None = None
    breaches: list[SetValves] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._clock = ManualClock()

    async def device(self, house_id: int, device_id: int) -> Device:
        self.last_look = self.state
        return self.state.module(self.opened)

    async def _send(self, command: Command) -> None:
        assert isinstance(command, SetValves)
        assert self.order is not None
        if command.state is OPENED and not self.order.despite_alarm:
            look = self.last_look
            if look is None or not look.is_online or look.zones(command.groups) & look.leaks:
                self.breaches.append(command)
            if self.order.meanwhile:
                self.state = attrs.evolve(self.order.meanwhile, is_smart=self.state.is_smart)
        if self.state.is_joined and command.groups == (2,):
            return  # ignored by the module
        zones = self.state.zones(command.groups)
        self.opened = self.opened | zones if command.state is OPENED else self.opened - zones

    async def give(self, order: Order, module: LeakModule) -> None:
        self.last_look, self.order = None, order
        with suppress(CommandError):
            result = await self.set_valves(
                module,
                order.state,
                order.group,
                despite_alarm=order.despite_alarm,
                wait=order.wait,
                limit=5,
            )
            if order.state is OPENED and order.wait and not order.despite_alarm:
                assert result.confirmed is not None


states = st.builds(
    State,
    leaks=st.frozensets(st.sampled_from([1, 2])),
    is_joined=st.booleans(),
    shows_alarms=st.booleans(),
    is_online=st.sampled_from([True] * 5 + [False]),
)
orders = st.builds(
    Order,
    state=st.sampled_from([OPENED, OPENED, CLOSED]),
    group=st.sampled_from([None, 1, 2]),
    despite_alarm=st.sampled_from([False] * 5 + [True]),
    wait=st.booleans(),
    read=states,
    meanwhile=st.none() | states,
)


@given(st.booleans(), st.lists(st.tuples(states, orders), min_size=1, max_size=8))
def test_no_valve_opens_where_the_module_shows_a_leak(
    is_smart: bool, sequence: list[tuple[State, Order]]
) -> None:
    async def live() -> World:
        world = World(State())
        for state, order in sequence:
            world.state = attrs.evolve(state, is_smart=is_smart)
            read = attrs.evolve(order.read, is_smart=is_smart)
            await world.give(order, read.module(world.opened))
        return world

    assert asyncio.run(live()).breaches == []


async def test_no_single_opening_of_a_smart_breaks_the_rule() -> None:
    leaks = (frozenset[int](), frozenset({1}), frozenset({2}), BOTH)
    every_state = [State(*fields) for fields in product(leaks, (False, True))]
    for state, read, group, meanwhile in product(
        every_state, (State(), State(is_joined=True)), (None, 1, 2), (None, *every_state)
    ):
        world = World(state)
        order = Order(OPENED, group, False, meanwhile is not None, read, meanwhile)
        await world.give(order, read.module(world.opened))
        assert world.breaches == []


def test_the_world_of_this_test_notices_a_breach() -> None:
    async def open_by_force() -> World:
        world = World(State(leaks=BOTH))
        world.order = Order(
            OPENED, None, despite_alarm=False, wait=False, read=State(), meanwhile=None
        )
        await world.device(5, 1)
        await world._send(SetValves(world.state.module(frozenset()), OPENED))
        return world

    assert len(asyncio.run(open_by_force()).breaches) == 1
