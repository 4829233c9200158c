"""`sst-cloud status`: the state of the collector, as text and as JSON."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from sst_cloud import ManualClock
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.errors import OutboxError
from sst_cloud.monitoring.events import Event, EventKind
from sst_cloud.outbox.entries import Commit, Start
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import DeliveryState, SourceStatus, Stream, sources_note
from sst_cloud.readings import format_time
from sst_cloud.testing.sink_contract import sample_reading

from .conftest import Outcome

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def status(tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> "Status":
    return Status(tmp_path, clock, capsys)


class Status:
    """`sst-cloud status` on a folder."""

    def __init__(
        self, folder: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._settings = Settings(state=folder, clock=clock)
        self._capsys = capsys

    def __call__(self, *args: str) -> Outcome:
        return Outcome(run(["status", *args], self._settings), *self._capsys.readouterr())


async def fill(folder: Path, clock: ManualClock, **notes: str) -> None:
    """Create an outbox with sinks in every state."""
    async with Outbox(folder, clock=clock) as outbox:
        for name in ("sqlite:home.db", "influxdb:http://x/y", "csv:old.csv", "csv:slow.csv"):
            await outbox.register(name, Stream.READINGS, Start.BEGINNING)
        await outbox.register("ring", Stream.EVENTS, Start.BEGINNING)
        start = clock.now()
        readings = [sample_reading(time=start + number * SECOND) for number in range(1234)]
        event = Event(time=start, kind=EventKind.LEAK, message="Water")
        await outbox.append(Commit(readings=readings, events=[event], notes=notes))
        clock.advance(timedelta(hours=3))
        await outbox.mark_delivered(
            "sqlite:home.db", Stream.READINGS, 1234, accepted=1231, rejected=3
        )
        clock.advance(timedelta(minutes=5))
        await outbox.record_failure(
            "influxdb:http://x/y",
            Stream.READINGS,
            DeliveryState.PAUSED,
            "x: unauthorized (HTTP 401)",
            clock.now() + timedelta(minutes=30),
        )
        due = clock.now() - timedelta(minutes=1)
        await outbox.record_failure(
            "csv:slow.csv", Stream.READINGS, DeliveryState.RETRYING, "disk full", due
        )
    async with Outbox(folder, clock=clock) as outbox:
        for name in ("sqlite:home.db", "influxdb:http://x/y", "csv:slow.csv"):
            await outbox.register(name, Stream.READINGS)
        await outbox.record_failure(
            "influxdb:http://x/y",
            Stream.READINGS,
            DeliveryState.PAUSED,
            "x: unauthorized (HTTP 401)",
            clock.now() + timedelta(minutes=30),
        )
        await outbox.record_failure(
            "csv:slow.csv", Stream.READINGS, DeliveryState.RETRYING, "disk full", due
        )
        await outbox.register("ring", Stream.EVENTS)


def test_status_is_printed_as_text(tmp_path: Path, clock: ManualClock, status: Status) -> None:
    notes = {
        "last_poll": format_time(clock.now() + timedelta(hours=3, minutes=4)),
        "last_success": format_time(clock.now()),
        "sources": sources_note([SourceStatus(name="SST Cloud", error="away")]),
        "source_error": "api.sst-cloud.com cannot be reached",
        "source_error_since": format_time(clock.now() + timedelta(minutes=20)),
        "polls": "1234",
        "failed_polls": "9",
    }
    asyncio.run(fill(tmp_path, clock, **notes))
    code, out, err = status()
    assert (code, err) == (0, "")
    head, _, rest = out.partition("\n\n")
    fields = dict(line.split("  ", 1) for line in head.strip().splitlines())
    assert {label: words.strip() for label, words in fields.items() if label != "outbox"} == {
        "source": "SST Cloud",
        "running": "no",
        "folder": str(tmp_path),
        "last poll": "60 s ago",
        "last success": "3 h ago",
        "down since": "2 h ago",
        "error": "api.sst-cloud.com cannot be reached",
        "polls": "1,234, 9 failed",
        "readings": "1,234",
    }
    assert fields["outbox"].strip().endswith("kB")
    lines = {line.split("  ")[0]: line for line in rest.splitlines()}
    assert lines["sink"].split()[-6:] == [
        "waiting",
        "oldest",
        "delivered",
        "last",
        "delivery",
        "rejected",
    ]
    assert lines["sqlite:home.db"].split()[1:] == ["idle", "0", "1,231", "5", "min", "3"]
    assert "paused     1,234     3 h" in lines["influxdb:http://x/y"]
    assert "never" in lines["influxdb:http://x/y"]
    assert "removed" in lines["csv:old.csv"]
    assert "\nSee what was rejected, and why: sst-cloud dead-letters list\n" in out
    assert "idle" in lines["ring"]
    assert out.endswith(
        "\ncsv:slow.csv: disk full\n"
        "First failed 0 s ago; next try when a collector starts.\n"
        "\ninfluxdb:http://x/y: x: unauthorized (HTTP 401)\n"
        "First failed 0 s ago; next try when a collector starts.\n"
    )


def test_status_while_a_collector_runs(tmp_path: Path, clock: ManualClock, status: Status) -> None:
    """A running collector is detected by its lock, which the command does not take."""
    asyncio.run(fill(tmp_path, clock))

    async def look() -> tuple[str, dict[str, object]]:
        async with Outbox(tmp_path, clock=clock) as outbox:
            for name in ("sqlite:home.db", "influxdb:http://x/y", "csv:slow.csv"):
                await outbox.register(name, Stream.READINGS)
            words = (await asyncio.to_thread(status)).out
            status_json = json.loads((await asyncio.to_thread(status, "--json")).out)
            with pytest.raises(OutboxError, match="another collector is using"):
                async with Outbox(tmp_path):
                    pass
        return words, status_json

    words, running_status = asyncio.run(look())
    assert "running       yes\n" in words
    assert (running_status["running"], running_status["folder"]) == (True, str(tmp_path))
    assert "next try due now." in words
    assert "next try in 30 min." in words
    assert "sqlite:home.db       delivering" in words
    assert not json.loads(status("--json").out)["running"]


def test_narrow_terminal_does_not_truncate_names(
    tmp_path: Path, clock: ManualClock, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(fill(tmp_path, clock))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    out = status().out
    assert "…" not in out
    assert out.count("1,234") == 4


def test_status_as_json(tmp_path: Path, clock: ManualClock, status: Status) -> None:
    asyncio.run(fill(tmp_path, clock, polls="7"))
    code, out, _ = status("--json")
    assert code == 0
    content = json.loads(out)
    assert (content["polls"], content["readings"], content["last_poll"]) == (7, 1234, None)
    sinks = {sink["name"]: sink for sink in content["sinks"]}
    assert sinks["sqlite:home.db"]["last_success"] == "2026-01-01T03:00:00+00:00"
    assert sinks["influxdb:http://x/y"]["state"] == "paused"
    assert sinks["ring"]["stream"] == "events"


def test_status_before_the_first_poll(tmp_path: Path, clock: ManualClock, status: Status) -> None:
    async def open_and_close() -> None:
        async with Outbox(tmp_path, clock=clock):
            pass

    asyncio.run(open_and_close())
    code, out, err = status()
    assert (code, err) == (0, "")
    assert out.count("never") == 2
    assert "delivered" not in out


def test_poll_time_ahead_of_the_clock_is_shown(
    tmp_path: Path, clock: ManualClock, status: Status
) -> None:
    ahead = format_time(clock.now() + timedelta(days=3, hours=4))
    asyncio.run(fill(tmp_path, clock, last_poll=ahead))
    assert "3 days ahead" in status().out


def test_status_of_another_state_folder(tmp_path: Path, clock: ManualClock, status: Status) -> None:
    asyncio.run(fill(tmp_path / "other", clock, polls="7"))
    assert status().status == 1
    assert "7, 0 failed" in status("--state", str(tmp_path / "other")).out


def test_missing_state_is_an_error(status: Status) -> None:
    code, out, err = status()
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
