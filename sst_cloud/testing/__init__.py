"""For tests and experiments: a fake cloud, and conformance suites for sinks and sources.

async with FakeCloud() as cloud:
    client = SSTCloud(PasswordAuth(cloud.email, cloud.password), base_url=cloud.url)
    bathroom = cloud.device("Bathroom")
    bathroom.sensors[0].leak = True  # the next response shows it, and the valves closed
    bathroom.offline = True  # from now on its data stay frozen
    cloud.clock.advance(600)
"""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "fake.account": (
            "FakeAccount",
            "FakeGroup",
            "FakeHouse",
            "FakeNetwork",
            "FakeNews",
        ),
        "fake.cloud": (
            "FakeCloud",
            "SeenRequest",
        ),
        "fake.counter": ("FakeCounter",),
        "fake.demo_account": (
            "demo_account",
            "every_device_account",
        ),
        "fake.device": ("FakeDevice",),
        "fake.faults": (
            "Drop",
            "Fault",
            "Hang",
            "Html",
            "Latency",
            "Status",
            "Truncated",
        ),
        "fake.leak_module": (
            "FakeModule",
            "FakeSensor",
        ),
        "fake.routes": ("SeenCommand",),
        "fake.thermostat": ("FakeThermostat",),
        "sink_contract": ("SinkContract",),
        "source_contract": ("SourceContract",),
    },
)
