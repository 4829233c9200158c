"""For tests and experiments: a fake cloud, and a conformance suite for sinks.

async with FakeCloud() as cloud:
    client = SSTCloud(PasswordAuth(cloud.email, cloud.password), base_url=cloud.url)
    bathroom = cloud.device("Bathroom")
    bathroom.sensors[0].leak = True  # the next response shows it, and the valves closed
    bathroom.offline = True  # from now on its data stay frozen
    cloud.clock.advance(600)
"""

from typing import TYPE_CHECKING

from sst_cloud._lazy import lazily

from .account import (
    FakeAccount,
    FakeGroup,
    FakeHouse,
    FakeNetwork,
    FakeNews,
    demo_account,
    every_device_account,
)
from .counter import FakeCounter
from .device import FakeDevice
from .fake_cloud import FakeCloud, SeenRequest
from .faults import Drop, Fault, Hang, Html, Latency, Status, Truncated
from .module import FakeModule, FakeSensor
from .routes import SeenCommand
from .thermostat import FakeThermostat

if TYPE_CHECKING:
    from .sink_contract import SinkContract

__all__ = [
    "Drop",
    "FakeAccount",
    "FakeCloud",
    "FakeCounter",
    "FakeDevice",
    "FakeGroup",
    "FakeHouse",
    "FakeModule",
    "FakeNetwork",
    "FakeNews",
    "FakeSensor",
    "FakeThermostat",
    "Fault",
    "Hang",
    "Html",
    "Latency",
    "SeenCommand",
    "SeenRequest",
    "SinkContract",
    "Status",
    "Truncated",
    "demo_account",
    "every_device_account",
]


if not TYPE_CHECKING:  # it needs pytest, which users of the fake cloud may not have
    __getattr__ = lazily(__name__, {"SinkContract": "sink_contract"})
