"""Commands: the requests, the refusals, and the confirmation."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from sst_cloud import (
    AlarmActiveError,
    Command,
    CommandError,
    CommandRejectedError,
    Device,
    DeviceType,
    LeakModule,
    ManualClock,
    NeptunSmart,
    PasswordAuth,
    ServiceUnavailableError,
    SSTCloud,
    SSTCloudError,
    Thermostat,
    ThermostatMode,
    ValveState,
)
from sst_cloud.testing import Drop, FakeCloud, FakeDevice, Status, every_device_account

T = TypeVar("T", bound=Device)
OPENED, CLOSED = ValveState.OPENED, ValveState.CLOSED


@pytest.fixture
async def fake(clock: ManualClock) -> AsyncIterator[FakeCloud]:
    """A cloud with a device of every type, which shares its clock with the client."""
    async with FakeCloud([every_device_account()], clock=clock) as cloud:
        yield cloud


@pytest.fixture
async def client(fake: FakeCloud, clock: ManualClock) -> AsyncIterator[SSTCloud]:
    auth = PasswordAuth(fake.email, fake.password)
    async with SSTCloud(auth, base_url=fake.url, clock=clock, random=lambda: 0.5) as cloud:
        yield cloud


class Home:
    """The devices by name: those of the fake, and as the client reads them."""

    def __init__(self, fake: FakeCloud, client: SSTCloud) -> None:
        self.fake = fake
        self.client = client

    def of_fake(self, name: str) -> FakeDevice:
        return next(device for device in self.fake.devices if device.name == name)

    async def read(self, name: str, kind: type[T]) -> T:
        device = await self.client.device(self.fake.houses[0].id, self.of_fake(name).id)
        assert isinstance(device, kind)
        return device

    def sent(self) -> list[tuple[str, str, Any]]:
        """Method, last part of the path and body of every command received."""
        return [
            (command.method, command.path.rstrip("/").rpartition("/")[2], command.body)
            for command in self.fake.commands
        ]


@pytest.fixture
def home(fake: FakeCloud, client: SSTCloud) -> Home:
    return Home(fake, client)


BOTH = {"first_group_valves_state": "closed", "second_group_valves_state": "closed"}
VALVES = [
    ("ProW+", None, "POST", "valve_settings", {"valve_settings": "closed"}),
    ("ProW+", 1, "POST", "valve_settings", {"valve_settings": "closed"}),
    ("Equation ProW+", None, "POST", "valve_settings", {"valve_settings": "closed"}),
    ("Smart", None, "PATCH", "module_settings", {"module_config": BOTH}),
    ("Smart", 1, "PATCH", "module_settings", {"module_config": BOTH}),
    ("Smart, two groups", None, "PATCH", "module_settings", {"module_config": BOTH}),
    (
        "Smart, two groups",
        2,
        "PATCH",
        "module_settings",
        {"module_config": {"second_group_valves_state": "closed"}},
    ),
]


@pytest.mark.parametrize(("name", "group", "method", "page", "body"), VALVES)
async def test_closing_valves_sends_the_right_request(  # noqa: PLR0917
    home: Home, client: SSTCloud, name: str, group: int | None, method: str, page: str, body: Any
) -> None:
    module = await home.read(name, LeakModule)
    result = await client.set_valves(module, CLOSED, group)
    assert home.sent() == [(method, page, body)]
    assert result.confirmed is True
    assert isinstance(result.device, LeakModule)
    closed = {g.number for g in result.device.valve_groups if g.state is CLOSED}
    open_ = {g.number for g in result.device.valve_groups if g.state is OPENED}
    assert closed == ({group} if group else {1, 2} if name == "Smart, two groups" else {1})
    assert open_ == ({1} if (name, group) == ("Smart, two groups", 2) else set())
    assert module.valve_groups[0].state is OPENED  # what was read is not changed


async def test_command_waits_until_the_cloud_shows_the_change(
    home: Home, client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    module = await home.read("ProW+", LeakModule)
    fake.settle = 11
    before = clock.now()
    result = await client.set_valves(module, CLOSED)
    assert result.confirmed is True
    assert 11 <= (clock.now() - before).total_seconds() < 20


async def test_unconfirmed_command_is_reported_after_30_seconds(
    home: Home, client: SSTCloud, clock: ManualClock
) -> None:
    home.of_fake("ProW+").obeys = False
    module = await home.read("ProW+", LeakModule)
    before = clock.now()
    result = await client.set_valves(module, CLOSED, limit=30)
    assert result.confirmed is False
    assert isinstance(result.device, LeakModule)
    assert result.device.valve_groups[0].state is OPENED
    assert (clock.now() - before).total_seconds() == 30


async def test_cloud_errors_during_confirmation_do_not_fail_the_command(
    home: Home, client: SSTCloud, fake: FakeCloud
) -> None:
    module = await home.read("ProW+", LeakModule)
    fake.inject(Status(500), method="GET", times=2)
    assert (await client.set_valves(module, CLOSED)).confirmed is True
    fake.inject(Status(500), method="GET")
    result = await client.set_valves(module, OPENED, despite_alarm=True)
    assert (result.confirmed, result.device) == (False, module)


async def test_confirmation_stops_on_a_permanent_error(
    home: Home, client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    module = await home.read("ProW+", LeakModule)
    before = clock.now()
    fake.inject(Status(403), method="GET")
    result = await client.set_valves(module, CLOSED)
    assert (result.confirmed, result.device) == (False, module)
    assert (clock.now() - before).total_seconds() == 2
    assert len(home.sent()) == 1


async def test_result_is_unconfirmed_without_waiting(
    home: Home, client: SSTCloud, clock: ManualClock
) -> None:
    module = await home.read("ProW+", LeakModule)
    before = clock.now()
    result = await client.set_valves(module, CLOSED, wait=False)
    assert (result.confirmed, result.device) == (None, module)
    assert clock.now() == before


@pytest.mark.parametrize("name", ["ProW+", "Equation ProW+", "Smart"])
async def test_valves_do_not_open_during_a_leak(home: Home, client: SSTCloud, name: str) -> None:
    module = await home.read(name, LeakModule)
    home.of_fake(name).module.wet_lines.add(1)
    with pytest.raises(AlarmActiveError, match="reports a leak") as caught:
        await client.set_valves(module, OPENED)
    assert caught.value.__notes__ == ["To open them anyway, pass despite_alarm=True."]
    assert home.sent() == []
    await client.set_valves(module, OPENED, despite_alarm=True, wait=False)
    assert len(home.sent()) == 1


async def test_leak_in_one_group_does_not_block_the_other(home: Home, client: SSTCloud) -> None:
    fake = home.of_fake("Smart, two groups")
    fake.module.opened = {1: False, 2: False}
    fake.module.wet_lines.add(1)  # of group 1
    module = await home.read("Smart, two groups", NeptunSmart)
    assert [group.alarm for group in module.valve_groups] == [True, False]
    with pytest.raises(AlarmActiveError):
        await client.set_valves(module, OPENED, 1)
    with pytest.raises(AlarmActiveError):
        await client.set_valves(module, OPENED)
    assert (await client.set_valves(module, OPENED, 2)).confirmed is True


async def test_groups_joined_since_the_last_read_share_their_alarm(
    home: Home, client: SSTCloud
) -> None:
    fake = home.of_fake("Smart, two groups")
    module = await home.read("Smart, two groups", NeptunSmart)
    fake.module.two_groups = False
    fake.module.sensors[0].leak = True
    with pytest.raises(AlarmActiveError):
        await client.set_valves(module, OPENED, 2)
    assert home.sent() == []


async def test_closing_valves_does_not_read_alarms_first(home: Home, client: SSTCloud) -> None:
    module = await home.read("Smart", LeakModule)
    home.of_fake("Smart").module.wet_lines.add(1)
    before = len(home.fake.requests)
    await client.set_valves(module, CLOSED, wait=False)
    assert len(home.fake.requests) - before == 1


@pytest.mark.parametrize(
    ("name", "page"),
    [("ProW+", "dry_flag"), ("Equation ProW+", "dry_flag"), ("Smart", "module_settings")],
)
async def test_floor_washing_is_switched_on_and_off(
    home: Home, client: SSTCloud, name: str, page: str
) -> None:
    module = await home.read(name, LeakModule)
    for on in (True, False):
        result = await client.set_floor_washing(module, on)
        assert result.confirmed is True
        assert isinstance(result.device, LeakModule)
        assert result.device.floor_washing is on
    method, field = ("PATCH", "washing_floors_mode") if name == "Smart" else ("POST", "dry_flag")
    assert home.sent() == [(method, page, {field: "on"}), (method, page, {field: "off"})]


THERMOSTATS = ["MCS300", "MCS350", "Equation", "OKE-20", "EcoSmart 25"]


@pytest.mark.parametrize("name", THERMOSTATS)
async def test_thermostat_commands_are_sent_and_confirmed(
    home: Home, client: SSTCloud, name: str
) -> None:
    device = await home.read(name, Thermostat)
    for result in (
        await client.set_power(device, False),
        await client.set_power(device, True),
        await client.set_mode(device, ThermostatMode.MANUAL),
        await client.set_target_temperature(device, 31.0),
    ):
        assert result.confirmed is True
    assert home.sent() == [
        ("POST", "status", {"status": "off"}),
        ("POST", "status", {"status": "on"}),
        ("POST", "mode", {"mode": "manual"}),
        ("POST", "temperature", {"temperature_manual": 31}),
    ]
    now = await home.read(name, Thermostat)
    assert (now.is_on, now.mode, now.manual_temperature) == (True, ThermostatMode.MANUAL, 31)


async def test_brightness_is_sent_and_confirmed(home: Home, client: SSTCloud) -> None:
    device = await home.read("EcoSmart 25", Thermostat)
    result = await client.set_brightness(device, 9)
    assert result.confirmed is True
    assert home.sent() == [("POST", "bright", {"bright": 9})]


async def test_unsupported_commands_are_refused_before_any_request(
    home: Home, client: SSTCloud
) -> None:
    prow = await home.read("ProW+", LeakModule)
    joined = await home.read("Smart", NeptunSmart)
    floor = await home.read("MCS300", Thermostat)
    novelty = await home.read("Novelty", Device)
    assert novelty.model == "type 42"
    eco = await home.read("EcoSmart 25", Thermostat)
    module: Any
    odd: Any
    before = len(home.fake.requests)
    for module in (floor, novelty):
        with pytest.raises(CommandError, match="is not a leak module"):
            await client.set_valves(module, CLOSED)
        with pytest.raises(CommandError, match="is not a leak module"):
            await client.set_floor_washing(module, True)
    for module in (prow, novelty):
        with pytest.raises(CommandError, match="is not a thermostat"):
            await client.set_power(module, True)
        with pytest.raises(CommandError, match="is not a thermostat"):
            await client.set_mode(module, ThermostatMode.CHART)
        with pytest.raises(CommandError, match="is not a thermostat"):
            await client.set_target_temperature(module, 20)
        with pytest.raises(CommandError, match="is not a thermostat"):
            await client.set_brightness(module, 5)
    with pytest.raises(CommandError, match="has no brightness"):
        await client.set_brightness(floor, 5)
    for group in (0, 3, 2):
        with pytest.raises(CommandError, match="group"):
            await client.set_valves(prow, CLOSED, group)
    with pytest.raises(CommandError, match="are joined"):
        await client.set_valves(joined, CLOSED, 2)
    for celsius in (11, 46, 20.5, True, float("nan"), float("inf")):
        with pytest.raises(CommandError, match="degrees"):
            await client.set_target_temperature(eco, celsius)
    level: Any
    for level in (-1, 10, True, 5.0, "5"):
        with pytest.raises(CommandError, match="brightness"):
            await client.set_brightness(eco, level)
    for on in ("off", "on", 0, 1, None):
        odd = on
        with pytest.raises(CommandError, match="True or False"):
            await client.set_power(eco, odd)
        with pytest.raises(CommandError, match="True or False"):
            await client.set_floor_washing(prow, odd)
    odd = "ajar"
    with pytest.raises(CommandError, match="opened or closed"):
        await client.set_valves(prow, odd)
    with pytest.raises(CommandError, match="manual or chart"):
        await client.set_mode(eco, odd)
    assert len(home.fake.requests) == before


async def test_a_command_of_other_sources_is_refused_before_any_request(
    home: Home, client: SSTCloud
) -> None:
    class SetAlarmVolume(Command):
        def is_in_effect(self, device: Device) -> bool:
            return True

    module = await home.read("ProW+", LeakModule)
    before = len(home.fake.requests)
    with pytest.raises(CommandError, match="SST Cloud has no command SetAlarmVolume"):
        await client._send(SetAlarmVolume(module))
    assert len(home.fake.requests) == before


async def test_command_rejected_by_the_cloud_is_an_error(
    home: Home, client: SSTCloud, fake: FakeCloud
) -> None:
    module = await home.read("ProW+", LeakModule)
    fake.inject(Status(400, "Not now."), method="POST", times=1)
    with pytest.raises(CommandRejectedError, match="Not now"):
        await client.set_valves(module, CLOSED)
    fake.houses[0].devices.clear()
    with pytest.raises(CommandRejectedError):
        await client.set_valves(module, CLOSED)


@pytest.mark.parametrize("fault", [Drop(), Status(503), Status(429), Status(504)])
async def test_failed_command_is_never_sent_twice(
    home: Home, client: SSTCloud, fake: FakeCloud, fault: Any
) -> None:
    module = await home.read("ProW+", LeakModule)
    fake.inject(fault, path="*/valve_settings/")
    with pytest.raises(SSTCloudError):
        await client.set_valves(module, CLOSED)
    arrived = [r for r in fake.requests if r.path.endswith("/valve_settings/")]
    assert len(arrived) == 1


async def test_a_command_with_a_stale_token_is_sent_after_one_login(
    home: Home, client: SSTCloud, fake: FakeCloud
) -> None:
    module = await home.read("ProW+", LeakModule)
    fake.expire_tokens()
    assert (await client.set_valves(module, CLOSED)).confirmed is True
    assert len(home.sent()) == 1


async def test_concurrent_target_temperatures_are_merged(home: Home, client: SSTCloud) -> None:
    floor = await home.read("EcoSmart 25", Thermostat)
    results = await asyncio.gather(
        *(client.set_target_temperature(floor, celsius) for celsius in (20, 21, 22, 23))
    )
    assert home.sent() == [("POST", "temperature", {"temperature_manual": 23})]
    assert {result.confirmed for result in results} == {True}


async def test_target_temperatures_set_during_a_request_are_merged(
    home: Home, client: SSTCloud
) -> None:
    floor = await home.read("EcoSmart 25", Thermostat)
    first = asyncio.create_task(client.set_target_temperature(floor, 20))
    for _ in range(3):
        await asyncio.sleep(0)
    later = [asyncio.create_task(client.set_target_temperature(floor, c)) for c in (21, 22, 23)]
    outcomes = await asyncio.gather(first, *later)
    sent = [body["temperature_manual"] for _, _, body in home.sent()]
    assert sent == [20, 23]
    assert [outcome.confirmed for outcome in outcomes[1:]] == [True] * 3


async def test_targets_of_two_thermostats_are_not_merged(home: Home, client: SSTCloud) -> None:
    one, two = await home.read("MCS300", Thermostat), await home.read("OKE-20", Thermostat)
    await asyncio.gather(
        client.set_target_temperature(one, 20, wait=False),
        client.set_target_temperature(two, 25, wait=False),
    )
    assert sorted(body["temperature_manual"] for _, _, body in home.sent()) == [20, 25]


async def test_merged_targets_fail_together(home: Home, client: SSTCloud, fake: FakeCloud) -> None:
    floor = await home.read("MCS300", Thermostat)
    fake.inject(Status(500), method="POST")
    outcomes = await asyncio.gather(
        *(client.set_target_temperature(floor, c) for c in (20, 21)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {ServiceUnavailableError}
    fake.clear_faults()
    assert (await client.set_target_temperature(floor, 22)).confirmed is True


async def test_closing_the_client_cancels_pending_commands(
    home: Home, client: SSTCloud, fake: FakeCloud
) -> None:
    floor = await home.read("MCS300", Thermostat)
    task = asyncio.create_task(client.set_target_temperature(floor, 20))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert home.sent() == []


async def test_every_device_type_has_its_class(home: Home, client: SSTCloud) -> None:
    devices = await client.devices(home.fake.houses[0].id)
    kinds = {device.raw["type"]: type(device).__name__ for device in devices}
    assert kinds == {
        DeviceType.MCS300: "Thermostat",
        DeviceType.MCS350: "Thermostat",
        DeviceType.NEPTUN_PROW: "NeptunProW",
        DeviceType.EQUATION: "Thermostat",
        DeviceType.EQUATION_PROW: "NeptunProW",
        DeviceType.OKE_20: "Thermostat",
        DeviceType.ECOSMART_25: "Thermostat",
        DeviceType.NEPTUN_SMART: "NeptunSmart",
        42: "UnknownDevice",
    }
