"""Third-party packages with sinks and sources."""

from pathlib import Path


def plugin(
    folder: Path, name: str, entry_points: str, code: str = "", group: str = "sst_cloud.sinks"
) -> None:
    """Create a distribution as an installer would."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry_points}\n")
    (folder / f"{name.replace('-', '_')}.py").write_text(code)


ASKING = """
class Sink:
    "Says which secret it gets."
    target, options, guarantee, secrets = "", (), "", ["ASKED"]

    @staticmethod
    def from_url(url):
        from sst_cloud import SinkOptionsError
        raise SinkOptionsError(f"the secret is {url.secrets.get('ASKED')}")
"""


def asking_sink(folder: Path) -> None:
    """The sink `asking:`, which refuses to open and shows its secret ASKED in the error."""
    plugin(folder, "asking-sink", "asking = asking_sink:Sink", ASKING)


CABIN = """
from datetime import UTC, datetime, timedelta

from sst_cloud import Counter, House, RequestTimeoutError, Snapshot, UnknownDevice
from sst_cloud.source import Option


class Cabin:
    "A cabin with one meter."
    target = "NAME"
    options = (Option("litres", "what its meter shows", int),)
    secrets = ("CABIN_KEY",)
    refresh = timedelta(seconds=30)

    def __init__(self, name, litres=5):
        self.name, self.litres = name, litres

    @classmethod
    def from_url(cls, url):
        if not url.target:
            raise url.error(f"the cabin needs a name; its key is {url.secrets.get('CABIN_KEY')}")
        return cls(url.target, **url.convert(cls.options))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        pass

    async def snapshot(self):
        if self.name == "Ruin":
            raise RequestTimeoutError("no response within 3 s")
        meter = Counter(id=3, house_id=1, device_id=2, value_l=self.litres, name="Cold")
        return Snapshot(
            time=datetime.now(UTC),
            houses=tuple(
                House(id=number, name=name, timezone="Europe/Moscow")
                for number, name in ((1, "Cabin"), (4, "Shed"))
            ),
            devices=(UnknownDevice(id=2, house_id=1, name="Pump", model="Pump 1"),),
            counters=(meter,),
        )
"""


def cabin_source(folder: Path) -> None:
    """The source `cabin:NAME`, which takes no commands; the one named Ruin does not answer."""
    plugin(folder, "cabin-source", "cabin = cabin_source:Cabin", CABIN, "sst_cloud.sources")
