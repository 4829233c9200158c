"""Reading, collecting, looking at a store; sinks, fake, demo."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sst_cloud import Quantity, Reading, Rejection, SinkUnavailableError, WriteReport
from sst_cloud.cli import main
from sst_cloud.cli.credential_sources import Account
from sst_cloud.cli.settings import Settings
from sst_cloud.outbox import read_status
from sst_cloud.testing import FakeCloud, Status
from sst_cloud_sinks.csv import CsvSink

from .conftest import Run

pytestmark = pytest.mark.not_quick

PROGRAM = (sys.executable, "-m", "sst_cloud.cli")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_read_prints_json_lines_in_a_pipe(sst: Run, logged_in: FakeCloud) -> None:
    status, out, err = sst("read")
    assert (status, err) == (0, "")
    readings = [Reading.from_dict(json.loads(line)) for line in out.splitlines()]
    assert [reading.name for reading in readings][:2] == ["Bath cold", "Bath hot"]


def test_read_prints_a_table_on_a_terminal(
    sst: Run, logged_in: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "house" in sst("read").out.splitlines()[1]
    assert sst("read", "--json").out.startswith('{"time":')


def test_read_writes_one_house_to_a_csv_file(sst: Run, logged_in: FakeCloud, folder: Path) -> None:
    status, out, _ = sst("read", "--house", "Summer house", "--sink", "csv:r.csv")
    assert (status, out) == (0, "")
    header, *rows = (folder / "r.csv").read_text().splitlines()
    assert header.startswith("time,quantity,value,")
    assert {row.split(",")[5] for row in rows} == {"Summer house"}


def test_read_fails_if_a_sink_rejects_a_reading(
    sst: Run, logged_in: FakeCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reject(self: CsvSink, readings: Sequence[Reading]) -> WriteReport:
        return WriteReport(len(readings) - 1, (Rejection(readings[0], "odd"),))

    monkeypatch.setattr(CsvSink, "write", reject)
    status, out, err = sst("read", "--sink", "csv:r.csv")
    assert (status, out) == (1, "")
    assert err == "Warning: csv:r.csv rejected volume of 38001: odd\n"


def test_read_writes_to_the_other_sinks_if_one_fails(
    sst: Run, logged_in: FakeCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: CsvSink, readings: Sequence[Reading]) -> WriteReport:
        raise SinkUnavailableError("not now")

    monkeypatch.setattr(CsvSink, "write", fail)
    sinks = ("csv:r.csv", "csv:s.csv", "sqlite:home.db")
    status, _, err = sst("read", *(part for sink in sinks for part in ("--sink", sink)))
    assert (status, err) == (1, "Error: csv:s.csv: not now\nError: not now\n")
    with closing(sqlite3.connect(folder / "home.db")) as database:
        assert database.execute("SELECT count(*) > 0 FROM readings").fetchone() == (1,)


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        ("readings.csv", 2, "is not a sink URL"),
        ("pigeon:x", 2, "there is no 'pigeon' sink (installed: csv, "),
        ("stdout:?colour=red", 2, "the stdout sink has no option 'colour' (it knows: format)"),
        ("csv:/no/such/folder/x.csv", 1, "does not exist; create it first"),
        ("sqlite:/", 1, "is a folder"),
        ("csv:other.csv", 1, "does not have the columns of readings (it starts with: a, b)"),
    ],
)
def test_unusable_sink_is_an_error_before_any_request(  # noqa: PLR0917
    sst: Run, logged_in: FakeCloud, folder: Path, url: str, status: int, message: str
) -> None:
    (folder / "other.csv").write_text("a,b\n1,2\n")
    outcome = sst("read", "--sink", url)
    assert outcome.status == status
    assert message in outcome.err
    assert len(outcome.err.splitlines()) <= 2
    assert (folder / "other.csv").read_text() == "a,b\n1,2\n"
    assert logged_in.requests == []


def test_collect_once_writes_to_every_sink(sst: Run, logged_in: FakeCloud, folder: Path) -> None:
    status, out, err = sst("collect", "--once", "--sink", "sqlite:a.db", "--sink", "csv:b.csv")
    assert (status, out) == (0, "")
    number = len((folder / "b.csv").read_text().splitlines()) - 1
    assert f"{number} readings" in err
    assert number == len(sst("latest", "sqlite:a.db").out.splitlines()) - 1
    with closing(sqlite3.connect(folder / "a.db")) as database:
        assert database.execute("SELECT count(*) FROM readings").fetchone() == (number,)
    assert number > 30


@pytest.mark.parametrize("command", [("read",), ("collect", "--once")])
def test_sinks_with_the_same_masked_name_are_both_written(
    sst: Run, logged_in: FakeCloud, folder: Path, command: tuple[str, ...]
) -> None:
    files = [f"{digit * 40}.csv" for digit in "ab"]
    status, _, err = sst(*command, *(word for file in files for word in ("--sink", f"csv:{file}")))
    assert status == 0, err
    first, second = (len((folder / file).read_text().splitlines()) for file in files)
    assert first == second > 30


def test_collect_needs_a_sink(sst: Run) -> None:
    assert sst("collect").status == 2


def test_collect_reports_unusable_event_handlers_at_start(
    sst: Run, logged_in: FakeCloud, folder: Path
) -> None:
    words = ("collect", "--once", "--quiet", "--sink", "csv:b.csv")
    status, _, err = sst(*words, "--on-event", "/no/such/bell", "--on-event", "true")
    assert status == 0
    warning, *_ = err.splitlines()
    assert warning.startswith("Warning: /no/such/bell: command '/no/such/bell' not found")
    assert "true" not in err
    status, _, err = sst(*words, "--on-event", "")
    assert (status, err.splitlines()[0].partition(": a handler")[0]) == (2, "Error: --on-event")


@pytest.mark.parametrize(
    ("every", "local", "warned"),
    [("1s", False, True), ("4m59s", False, True), ("5m", False, False), ("1s", True, False)],
)
def test_collect_warns_of_short_intervals_with_the_real_cloud(  # noqa: PLR0917
    sst: Run,
    logged_in: FakeCloud,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    every: str,
    local: bool,
    warned: bool,
) -> None:
    monkeypatch.setattr(Settings, "is_local_cloud", property(lambda _: local))
    words = ("collect", "--once", "--quiet", "--sink", "csv:b.csv", "--every", every)
    status, _, err = sst(*words)
    assert status == 0
    assert ("the cloud has new data only every 10 min or so" in err) is warned


def test_loopback_url_is_a_local_cloud() -> None:
    def asks(url: str | None) -> bool:
        return Settings(Account(url=url)).is_local_cloud

    assert asks("http://127.0.0.1:8080")
    assert not asks(None)


def test_collect_exits_with_the_status_of_the_error(
    sst: Run, logged_in: FakeCloud, folder: Path
) -> None:
    logged_in.inject(Status(500), path="/houses/")
    assert sst("collect", "--once", "--sink", "csv:b.csv").status == 4


@pytest.mark.parametrize(
    "every", ["0", "0s", "20", "5x", "m", "1h30", "-5m", "1.5h", "", "36501d", "9" * 30]
)
def test_interval_must_be_a_valid_duration(
    sst: Run, logged_in: FakeCloud, folder: Path, every: str
) -> None:
    status, _, err = sst("collect", "--every", every, "--once", "--sink", "csv:b.csv")
    assert status == (0 if every == "20" else 2), err


@pytest.mark.parametrize(
    "words",
    [
        ("report", "sqlite:no.db", "--month", "0001-01"),
        ("report", "sqlite:no.db", "--month", "9999-12"),
        ("timestream", "create", "home/meters", "--magnetic", "9999999y"),
        ("collect", "--sink", "csv:b.csv", "--once", "--night", "01:00+03:00-05:00"),
    ],
)
def test_implausible_times_are_refused(sst: Run, folder: Path, words: tuple[str, ...]) -> None:
    status, _, err = sst(*words)
    assert (status, "Error: " in err) == (2, True)


def test_latest_and_usage_read_a_store(sst: Run, logged_in: FakeCloud, folder: Path) -> None:
    sst("collect", "--once", "--quiet", "--sink", "sqlite:a.db")
    status, out, _ = sst("latest", "sqlite:a.db")
    assert status == 0
    garden = next(line for line in out.splitlines() if "Garden" in line)
    assert garden.split()[:6] == ["Summer", "house", "Well", "Garden", "cold", "volume"]
    assert garden.split()[7] == "m³"
    words = ("latest", "sqlite:a.db", "--quantity", "volume", "--json")
    assert len(json.loads(sst(*words).out)) == 5
    status, out, err = sst("usage", "sqlite:a.db")
    assert (status, out) == (0, "")
    assert "Only one reading so far; usage needs at least two." in err
    sst("read", "--house", "Summer house", "--sink", "sqlite:b.db")
    status, out, err = sst("latest", "sqlite:b.db", "--quantity", "heating")
    assert (status, out) == (0, "")
    assert "no such readings in the store" in err


def test_latest_shows_one_line_per_meter_in_local_time(
    sst: Run, sst_on_terminal: Run, logged_in: FakeCloud, folder: Path
) -> None:
    sst("collect", "--once", "--quiet", "--sink", "sqlite:a.db")
    status, out, err = sst_on_terminal(80, "latest", "sqlite:a.db", "--quantity", "volume")
    assert (status, err) == (0, "")
    head, *meters = out.splitlines()
    assert head.split() == ["house", "device", "name", "water", "value", "time"]
    assert len(meters) == 5
    assert all(meter.endswith(" m³  2026-01-01 03:00") for meter in meters)
    words = ("latest", "sqlite:a.db", "--quantity", "leak", "--timezone", "UTC")
    leaks = sst_on_terminal(80, *words).out
    head, leak, *_ = leaks.splitlines()
    assert head.split() == ["house", "device", "name", "quantity", "value", "time"]
    assert leak.endswith("2026-01-01 00:00")


def test_latest_on_a_narrow_terminal_wraps_its_rows(
    sst: Run, sst_on_terminal: Run, logged_in: FakeCloud, folder: Path
) -> None:
    sst("collect", "--once", "--quiet", "--sink", "sqlite:a.db")
    out = sst_on_terminal(30, "latest", "sqlite:a.db", "--quantity", "volume").out
    assert "Flat" in out
    assert "Kitch" in out
    assert len(out.splitlines()) < 25


def test_sinks_on_a_narrow_terminal_are_not_truncated(sst_on_terminal: Run) -> None:
    out = sst_on_terminal(30, "sinks").out
    assert "influxdb:https://HOST:8086/BUCKET\n" in out
    assert "…" not in out
    assert "endpoint_url" in out


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("latest", "stdout:"), 1),
        (("usage", "sqlite:no.db", "--timezone", "Mars/Olympus"), 2),
        (("usage", "sqlite:no.db", "--from", "yesterday"), 2),
        (("usage", "sqlite:no.db", "--from", "2026-01-01", "--json"), 1),
        (("latest", "csv:no.csv"), 1),
    ],
)
def test_empty_or_invalid_stores_set_the_exit_status(
    sst: Run, folder: Path, words: tuple[str, ...], status: int
) -> None:
    assert sst(*words).status == status


def test_sinks_are_listed(sst: Run) -> None:
    status, out, _ = sst("sinks")
    assert status == 0
    assert "csv:PATH" in out
    assert "a reading written again changes nothing" in out
    assert {len(line) - len(line.rstrip()) for line in out.splitlines()} == {0}
    listed = {sink["scheme"]: sink for sink in json.loads(sst("sinks", "--json").out)}
    assert listed["stdout"]["options"] == {"format": "jsonl (default) or table"}
    assert listed["sqlite"]["readable"]


def test_a_broken_sink_is_listed_with_its_error(
    sst: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sst_cloud.sinks]\nsad = no_such_module:Sink\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = sst("sinks")
    assert status == 0
    assert "the sad sink of sad 1.0 cannot be loaded" in out


def test_demo_can_be_run_repeatedly(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SST_CLOUD_TOKEN", "of somebody else")
    for _ in range(2):
        status, out, _ = sst("demo")
        assert status == 0
    assert "$ sst-cloud collect --sink sqlite:demo.db --every 20m --polls 73" in out
    assert "Garden" in out
    hours = [line for line in out.splitlines() if line[:3] == "202" and ":00 " in line]
    assert len(hours) == 24
    with closing(sqlite3.connect(folder / "demo.db")) as database:
        query = "SELECT count(DISTINCT time), count(*) FROM readings WHERE quantity = 'volume'"
        polls, readings = database.execute(query).fetchone()
    assert polls >= 73
    assert readings == 5 * polls


def test_demo_does_not_touch_real_settings_or_state(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up readings must never get into a real outbox or be sent to the owner."""
    (folder / "collect.toml").write_text('sink = ["csv:real.csv"]\nhouse = ["Real"]\n')
    monkeypatch.setenv("SST_CLOUD_CONFIG", "collect.toml")
    monkeypatch.setenv("SST_CLOUD_STATE", "real")
    monkeypatch.setenv("SST_CLOUD_STORE", "sqlite:real.db")
    status, out, err = sst("demo", "--store", "sqlite:my demo.db")
    assert (status, err) == (0, "")
    assert "$ sst-cloud latest 'sqlite:my demo.db'" in out
    assert sorted(file.name for file in folder.iterdir()) == ["collect.toml", "my demo.db"]
    assert os.environ["SST_CLOUD_STATE"] == "real"


def test_fake_cloud_runs_until_interrupted() -> None:
    program = subprocess.Popen(
        [*PROGRAM, "fake", "--latency", "0.001"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().split(" is running at ")[1].split()[0]
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            urllib.request.urlopen(f"{url}/houses/")
        caught.value.close()
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate()
    assert program.returncode == 130


def test_port_in_use_is_an_error(sst: Run, cloud: FakeCloud) -> None:
    status, _, err = sst("fake", "--port", cloud.url.rpartition(":")[2])
    assert status == 1
    assert "cannot be used: Address already in use" in err


@pytest.mark.parametrize(
    "command",
    [
        ("read",),
        ("read", "--sink", "stdout:?format=table"),
        ("tree",),
        ("counters", "--json"),
        ("sinks",),
        ("--help",),
    ],
)
def test_closed_output_pipe_ends_the_program_without_error(
    logged_in: FakeCloud, folder: Path, command: tuple[str, ...]
) -> None:
    first, second = os.pipe()
    os.close(first)
    done = subprocess.run(
        [*PROGRAM, *command], stdout=second, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(second)
    assert (done.returncode, done.stderr) == (0, "")


def test_collector_ends_when_its_output_pipe_is_closed(logged_in: FakeCloud, folder: Path) -> None:
    """It says why, and keeps the undelivered readings."""
    first, second = os.pipe()
    os.close(first)
    words = [*PROGRAM, "collect", "--sink", "stdout:", "--quiet", "--state", "state"]
    done = subprocess.run(words, stdout=second, stderr=subprocess.PIPE, text=True, check=False)
    os.close(second)
    assert done.returncode == 0
    assert "stdout:: the reader has closed the pipe" in done.stderr
    (sink,) = read_status(folder / "state").sinks
    assert (sink.delivered, sink.waiting) == (0, 52)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["read", "counters", "houses --json", "sinks", "--help"])
def test_full_disk_is_reported(logged_in: FakeCloud, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        words = [*PROGRAM, *command.split()]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("nonsense", 2),
        ("", 2),
        ("status --state none", 1),
        ("report sqlite:none.db", 1),
        ("read --url http://127.0.0.1:9", 4),
        ("houses --token invalid", 3),
    ],
)
def test_exit_status_is_the_same_if_messages_cannot_be_written(
    logged_in: FakeCloud, folder: Path, command: str, status: int, buffered: bool
) -> None:
    """The disk they are written to is full."""
    environ = os.environ | ({} if buffered else {"PYTHONUNBUFFERED": "1"})
    with Path("/dev/full").open("w") as full:
        words = [*PROGRAM, *command.split()]
        done = subprocess.run(
            words, stdout=subprocess.DEVNULL, stderr=full, env=environ, check=False
        )
    assert done.returncode == status


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_collector_continues_if_its_warnings_cannot_be_written(
    logged_in: FakeCloud, folder: Path
) -> None:
    words = [*PROGRAM, "collect", "--once", "--state", "state", "--sink", "sqlite:home.db"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*words, "--on-event", "no-such-command"], stderr=full, check=False)
    assert done.returncode == 1, "the handler is missing"
    delivered = {sink.name: sink.delivered for sink in read_status(folder / "state").sinks}
    assert delivered == {"sqlite:home.db": 52, "no-such-command": 0}


@pytest.mark.parametrize("encoding", ["", "ascii"])
def test_piped_output_is_utf8_unless_configured_otherwise(
    logged_in: FakeCloud, encoding: str
) -> None:
    """As on Windows, where the system encoding cannot represent every name."""
    other = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environ = os.environ | other | ({"PYTHONIOENCODING": encoding} if encoding else {})
    done = subprocess.run([*PROGRAM, "read"], capture_output=True, env=environ, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    units = {json.loads(line)["unit"] for line in done.stdout.decode().splitlines()}
    assert units == {"", "L", "%", "?C" if encoding else "°C"}


def test_missing_cli_extra_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sst_cloud.cli.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        main(["houses"])
    assert "pip install 'sst-cloud[cli]'" in str(caught.value)


def test_quantities_are_printed_in_plain_words(sst: Run, folder: Path) -> None:
    records = [
        {"quantity": Quantity.LEAK, "value": True, "point": "wired_line"},
        {"quantity": Quantity.ONLINE, "value": False, "point": "module"},
        {"quantity": Quantity.FLOOR_TEMPERATURE, "value": 21.5, "point": "thermostat"},
    ]
    common = {"time": "2026-01-01T00:00:00Z", "house_id": 1, "house": "H", "device_id": 2}
    common |= {"device": "D", "model": "M", "point_id": "p"}
    from sst_cloud.testing.sink_contract import sample_reading  # noqa: PLC0415
    from sst_cloud_sinks.csv import _encode  # noqa: PLC0415

    header = ",".join(sample_reading().as_dict()) + "\r\n"
    rows = _encode(Reading.from_dict(common | record) for record in records)
    (folder / "r.csv").write_bytes(header.encode() + rows)
    out = sst("latest", "csv:r.csv").out
    assert "yes" in out
    assert "no" in out
    assert "floor temperature  21.5 °C" in out.splitlines()[1]
