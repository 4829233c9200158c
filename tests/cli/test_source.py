"""`--source`: any source in place of the account."""

import json
import sys
from pathlib import Path

import pytest

from plugins import cabin_source, plugin
from sst_cloud.testing import FakeCloud

from .conftest import Run

CABIN = ("--source", "cabin:Cabin")
COLLECT = ("collect", "--once", "--quiet", "--sink", "sqlite:home.db", "--every", "1m")


@pytest.fixture(autouse=True)
def cabin(plugins: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source `cabin:` is installed, and there is no account."""
    cabin_source(plugins)
    monkeypatch.setenv("SST_CLOUD_STATE", str(folder / "state"))
    monkeypatch.setitem(sys.modules, "cabin_source", None)
    monkeypatch.delitem(sys.modules, "cabin_source")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("houses", "Cabin"),
        ("devices", "Pump 1"),
        ("counters", "0.005"),
        ("tree", "Cabin, "),
        ("watch --polls 1", "0.005 m³"),
        ("read", '"value":5'),
        ("read --house Cabin", '"value":5'),
        ("check --sink stdout:", "Cabin: ok - 2 houses, 1 device, 1 reading"),
    ],
)
def test_commands_read_any_source(sst: Run, command: str, text: str) -> None:
    status, out, err = sst(*command.split(), *CABIN)
    assert (status, err) == (0, "")
    assert text in out


def test_source_may_be_set_in_the_environment(sst: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SST_CLOUD_SOURCE", "cabin:Ruin cabin:Cabin?litres=7")
    assert '"value":7' in sst("read").out


def test_source_may_be_set_in_the_file(sst: Run, folder: Path) -> None:
    (folder / "sst.toml").write_text('source = ["cabin:Cabin?litres=9"]\nsink = ["stdout:"]\n')
    assert '"value":9' in sst("collect", "--config", "sst.toml", "--once").out
    assert "Cabin: ok" in sst("check", "--config", "sst.toml").out


def test_collected_readings_come_from_the_source(sst: Run) -> None:
    status, _, err = sst(*COLLECT, *CABIN)
    assert (status, err) == (0, "")
    assert "0.005 m³" in sst("latest", "sqlite:home.db").out
    assert "source        Cabin\n" in sst("status").out


def test_short_interval_is_warned_of_by_the_name_of_the_source(sst: Run) -> None:
    assert sst(*COLLECT[:-1], "10s", *CABIN).err == (
        "Warning: Cabin has new data only every 30 s or so; poll less often\n"
    )


def test_first_source_that_answers_is_read(sst: Run) -> None:
    status, out, err = sst("read", "--source", "cabin:Ruin", *CABIN)
    assert (status, '"value":5' in out) == (0, True)
    assert err == "cannot read Ruin: no response within 3 s; asking the next source, if any\n"


def test_two_sources_are_side_by_side_in_one_status(sst: Run) -> None:
    assert sst(*COLLECT, "--source", "cabin:Ruin", *CABIN).status == 0
    out = sst("status").out
    assert "source        Ruin, no answer for " in out
    assert ": no response within 3 s\n" in out
    assert "source        Cabin, answered " in out
    ruin, cabin = json.loads(sst("status", "--json").out)["sources"]
    assert (ruin["name"], ruin["last_success"]) == ("Ruin", None)
    assert (cabin["name"], cabin["error"]) == ("Cabin", None)
    assert cabin["last_success"]


def test_no_source_that_answers_is_a_failure(sst: Run) -> None:
    status, _, err = sst("tree", "--source", "cabin:Ruin")
    assert (status, err) == (4, "Error: no response within 3 s\n")


def test_account_follows_another_source(sst: Run, logged_in: FakeCloud) -> None:
    status, out, _ = sst("houses", "--source", "cabin:Ruin", "--source", "cloud:")
    assert (status, logged_in.houses[0].name in out) == (0, True)


def test_cloud_elsewhere_is_named_by_its_url(
    sst: Run, logged_in: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SST_CLOUD_URL")
    status, out, _ = sst("houses", "--source", f"cloud:{logged_in.url}")
    assert (status, logged_in.houses[0].name in out) == (0, True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("cavern:x", "there is no 'cavern' source (installed: cabin, cloud)"),
        ("cabin", "'cabin' is not a source URL; use one like cloud:"),
        ("cabin:x?depth=2", "the cabin source has no option 'depth' (it knows: litres)"),
        ("cabin:x?litres=x", "option 'litres' of the cabin source must be "),
        ("cloud:?token=s3cret", "the cloud source has no option 'token'"),
        ("cabin:", "the cabin needs a name; its key is ***"),
    ],
)
def test_wrong_source_is_a_usage_error(
    sst: Run, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("CABIN_KEY", "0123456789abcdef" * 3)
    status, out, err = sst("tree", "--source", url)
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {message}")
    assert "s3cret" not in err


def test_unknown_house_of_a_source_is_an_error(sst: Run) -> None:
    status, _, err = sst("tree", *CABIN, "--house", "Palace")
    assert (status, err) == (
        1,
        "Error: there is no house 'Palace'; Cabin has: Cabin (1), Shed (4)\n",
    )


@pytest.mark.parametrize("command", ["valves close", "thermostat set --temperature 20"])
def test_source_without_commands_says_so(sst: Run, command: str) -> None:
    status, _, err = sst(*command.split(), *CABIN)
    assert (status, err) == (1, "Error: Cabin takes no commands\n")


def test_command_goes_to_the_source_that_takes_commands(sst: Run, logged_in: FakeCloud) -> None:
    words = ("valves", "close", "--house", "Summer house", "--no-wait")
    status, out, _ = sst(*words, *CABIN, "--source", "cloud:")
    assert (status, out) == (0, "Well: valves closed, accepted.\n")
    assert len(logged_in.commands) == 1


def test_command_goes_to_the_first_source_that_answers(
    sst: Run, logged_in: FakeCloud, unused_tcp_port: int
) -> None:
    dead = f"cloud:http://127.0.0.1:{unused_tcp_port}"
    words = ("valves", "close", "--house", "Summer house", "--no-wait")
    status, out, err = sst(*words, "--source", dead, "--source", "cloud:")
    assert (status, out) == (0, "Well: valves closed, accepted.\n")
    assert "asking the next source\n" in err


PLANT = """
from cabin_source import Cabin
from sst_cloud import Controls, NeptunSmart, Snapshot

class Plant(Controls, Cabin):
    "Takes commands in odd ways."

    async def __aenter__(self):
        if self.name == "Shut":
            raise TimeoutError
        return self

    async def __aexit__(self, *exc_info):
        return True

    async def device(self, house_id, device_id):
        return NeptunSmart(id=2, house_id=1, name="Module")

    async def snapshot(self):
        snapshot = await super().snapshot()
        module = await self.device(1, 2)
        return Snapshot(time=snapshot.time, houses=snapshot.houses, devices=(module,))

    async def _send(self, command):
        with open("sent", "a") as file:
            file.write(f"{self.name} ")
        raise KeyError("no answer")
"""


def test_command_is_not_sent_again_through_another_source(
    sst: Run, plugins: Path, folder: Path
) -> None:
    """Even if the first of them hides its error; one that cannot be opened has sent nothing."""
    plugin(plugins, "plant-source", "plant = plant_source:Plant", PLANT, "sst_cloud.sources")
    urls = [word for name in ("Shut", "A", "B") for word in ("--source", f"plant:{name}")]
    status, out, err = sst("valves", "close", "--house", "Cabin", *urls)
    assert (folder / "sent").read_text() == "A "
    assert (status, out) == (1, "")
    assert err.startswith("Warning: Shut: TimeoutError: TimeoutError; asking the next source\n")


def test_same_source_is_checked_once(sst: Run) -> None:
    assert sst("check", *CABIN, *CABIN).out.count("Cabin: ok") == 1


ODD = """
class Function:
    target, options = "", ()
    def __init__(self): self.__doc__ = "Is no class."
    def from_url(self, url): return None
function = Function()
class Wordy:
    target, options = "", ("depth",)
    def from_url(url): return None
"""


def test_odd_sources_are_listed_beside_the_others(sst: Run, plugins: Path) -> None:
    entry_points = "function = odd_source:function\nwordy = odd_source:Wordy"
    plugin(plugins, "odd-source", entry_points, ODD, "sst_cloud.sources")
    listed = {source["scheme"]: source for source in json.loads(sst("sources", "--json").out)}
    assert listed["function"]["commands"] is False
    assert listed["wordy"]["error"].startswith("cannot be listed: AttributeError: ")
    assert listed["cloud"]["commands"] is True


def test_sources_are_listed(sst: Run, plugins: Path) -> None:
    broken = "raise RuntimeError('oh no')"
    plugin(plugins, "sad-source", "sad = sad_source:Sad", broken, "sst_cloud.sources")
    status, out, _ = sst("sources")
    assert status == 0
    assert "cabin:NAME\n" in out
    assert "A cabin with one meter." in out
    assert "the sad source of sad-source 1.2 cannot be loaded: RuntimeError: oh no" in out
    listed = {source["scheme"]: source for source in json.loads(sst("sources", "--json").out)}
    assert listed["cabin"]["options"] == {"litres": "what its meter shows"}
    assert listed["cabin"]["secrets"] == ["CABIN_KEY"]
    assert (listed["cabin"]["commands"], listed["cloud"]["commands"]) == (False, True)
