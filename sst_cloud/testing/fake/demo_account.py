"""Accounts with made-up houses and devices, for demos and tests."""

from sst_cloud.cloud.device_types import DeviceType

from .account import FakeAccount, FakeGroup, FakeHouse, FakeNews
from .counter import FakeCounter
from .device import FakeDevice
from .leak_module import FakeModule, FakeSensor
from .thermostat import FakeThermostat


def demo_account() -> FakeAccount:
    """A flat with two modules, four meters and underfloor heating, and a summer house."""
    in_flat, in_summer_house = demo_devices()
    flat = FakeHouse(name="Flat", devices=in_flat, groups=[FakeGroup(name="Water")])
    summer_house = FakeHouse(name="Summer house", devices=in_summer_house)
    news = [
        FakeNews(title="Maintenance on Sunday", body="The cloud rests from 2 to 4 in the morning."),
        FakeNews(title="A new module", pub_date="2025-06-09T11:30:00.417306Z"),
    ]
    return FakeAccount(houses=[flat, summer_house], news=news)


def every_device_account() -> FakeAccount:
    """One house with a device of each type, including two of type 7 and one of an unknown type."""
    house = FakeHouse(name="Every device", devices=_every_device())
    return FakeAccount(email="every@example.com", houses=[house])


def demo_devices() -> tuple[list[FakeDevice], list[FakeDevice]]:
    """The devices of a flat and of a summer house."""
    bathroom = FakeDevice(
        name="Bathroom",
        line_names=["Bathtub", "Basin", "Washing machine", "Riser"],
        counters=[
            FakeCounter(name="Bath cold", step_l=1, start_l=118_240, daily_l=140),
            FakeCounter(name="Bath hot", hot=True, step_l=1, start_l=84_510, daily_l=95),
        ],
        state=FakeModule(
            sensors=[
                FakeSensor(name="Under the bathtub", battery=86),
                FakeSensor(name="Toilet", battery=72, signal=2),
            ],
        ),
    )
    kitchen = FakeDevice(
        name="Kitchen",
        type=DeviceType.NEPTUN_PROW,
        line_names=["Sink", "Dishwasher", "Cold", "Hot"],
        counters=[
            FakeCounter(name="Kitchen cold", line=3, start_l=52_070, daily_l=55),
            FakeCounter(name="Kitchen hot", line=4, hot=True, start_l=31_880, daily_l=40),
        ],
        state=FakeModule(
            sensors=[
                FakeSensor(name="Behind the fridge", line=2, battery=64, signal=4),
                FakeSensor(name="Water heater", line=2, battery=91),
            ],
        ),
    )
    floor = FakeDevice(
        name="Bathroom floor",
        type=DeviceType.ECOSMART_25,
        state=FakeThermostat(mode="chart"),
    )
    well = FakeDevice(
        name="Well",
        type=DeviceType.NEPTUN_PROW,
        line_names=["Pump", "Boiler", "Cellar", "Shower"],
        counters=[FakeCounter(name="Garden", line=1, start_l=9_300, daily_l=70)],
    )
    return [bathroom, kitchen, floor], [well]


def _every_device() -> list[FakeDevice]:
    """A device of each type in order, type 7 with one group and with two, and an unknown type."""
    lines, rooms = ["Bathtub", "Basin", "Cold", "Hot"], ["Bathtub", "Basin", "Toilet", "Kitchen"]
    return [
        FakeDevice(name="MCS300", type=DeviceType.MCS300),
        FakeDevice(name="MCS350", type=DeviceType.MCS350, state=FakeThermostat(mode="chart")),
        FakeDevice(
            name="ProW+",
            type=DeviceType.NEPTUN_PROW,
            line_names=lines,
            counters=[
                FakeCounter(name="ProW+ cold", line=3, start_l=52_070),
                FakeCounter(name="ProW+ hot", line=4, hot=True, start_l=31_880),
            ],
            state=FakeModule(
                sensors=[
                    FakeSensor(name="Toilet", line=2, battery=49, signal=2),
                    FakeSensor(name="Boiler", line=2, lost=True),
                ],
            ),
        ),
        FakeDevice(name="Equation", type=DeviceType.EQUATION),
        FakeDevice(
            name="Equation ProW+",
            type=DeviceType.EQUATION_PROW,
            line_names=lines,
            counters=[FakeCounter(name="Equation cold", line=3, start_l=7_410)],
        ),
        FakeDevice(name="OKE-20", type=DeviceType.OKE_20),
        FakeDevice(
            name="EcoSmart 25",
            type=DeviceType.ECOSMART_25,
            state=FakeThermostat(mode="chart", sensor="air"),
        ),
        FakeDevice(
            name="Smart",
            line_names=rooms,
            counters=[
                FakeCounter(name="Smart cold", step_l=1, start_l=118_240),
                FakeCounter(name="Smart hot", step_l=1, hot=True, start_l=84_510),
            ],
            state=FakeModule(
                sensors=[
                    FakeSensor(name="Washing machine"),
                    FakeSensor(name=None, battery=8, signal=1),
                ],
            ),
        ),
        FakeDevice(
            name="Smart, two groups",
            line_names=rooms,
            counters=[FakeCounter(name=None, start_l=2_720)],
            state=FakeModule(
                two_groups=True,
                sensors=[
                    FakeSensor(name="Bathroom", group=1),
                    FakeSensor(name="Kitchen", group=2, lost=True),
                ],
            ),
        ),
        FakeDevice(name="Novelty", type=42),
    ]
