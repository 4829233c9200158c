"""`sst-cloud import`."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sst_cloud import ManualClock, Quality, Quantity, Reading, SinkRefusedError
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.errors import SinkUnavailableError
from sst_cloud.readings import FIELDS
from sst_cloud.sink import Rejection, Sink, WriteReport
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = pytest.mark.not_quick

HEADER = ",".join(FIELDS).encode() + b"\r\n"


def minutes(count: int) -> list[Reading]:
    return [sample_reading(time=START + n * timedelta(minutes=1), value=n) for n in range(count)]


def write_csv(path: Path, readings: Sequence[Reading]) -> None:
    asyncio.run(CsvSink(path).write(readings))


def stored(path: Path) -> list[Reading]:
    async def read() -> list[Reading]:
        async with SqliteSink(path) as sink:
            return [reading async for reading in sink.read(Quantity.VOLUME)]

    return asyncio.run(read())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def readings() -> list[Reading]:
    """More readings than fit into one write, in the file `readings #1?.csv`."""
    readings = minutes(4500)
    write_csv(Path("readings #1?.csv"), readings)
    return readings


ARGS = ["import", "readings #1?.csv", "--sink", "sqlite:home.db"]


def test_repeated_import_stores_every_reading_once(
    readings: list[Reading], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run(ARGS) == 0
        assert stored(Path("home.db")) == readings
        out, err = capsys.readouterr()
        assert (out, err) == ("4,500 readings stored in sqlite:home.db, 0 rejected.\n", "")
    assert not Path("state").exists()


def rows_of(path: Path) -> list[Reading]:
    async def read() -> list[Reading]:
        return [reading async for reading in CsvSink(path).rows()]

    return asyncio.run(read())


def interrupt_after(monkeypatch: pytest.MonkeyPatch, sink: type[Sink], writes: int) -> None:
    """Press Ctrl-C after this many writes of a sink."""
    write, sizes = sink.write, list[int]()

    async def interrupted(self: Any, chunk: Sequence[Reading]) -> WriteReport:
        if len(sizes) == writes:
            raise KeyboardInterrupt
        sizes.append(len(chunk))
        return await write(self, chunk)

    monkeypatch.setattr(sink, "write", interrupted)


def test_unavailable_store_is_retried_before_the_import_stops(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command continues later, and reports only what it has stored."""
    write, sizes = SqliteSink.write, list[int]()

    async def failing(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        sizes.append(len(chunk))
        if len(sizes) > 2:
            raise SinkUnavailableError("the store is away")
        return await write(self, chunk)

    monkeypatch.setattr(SqliteSink, "write", failing)
    clock = ManualClock()
    began = clock.now()
    assert run(ARGS, Settings(clock=clock)) == 1
    assert capsys.readouterr().err == (
        "Stopped: this run has stored 4,000 readings; run the same command again to import the rest"
        "\nError: the store is away\n"
    )
    assert sizes == [2000, 2000, 500, 500, 500, 500, 500]
    assert clock.now() - began == timedelta(seconds=15)
    assert len(stored(Path("home.db"))) == 4000

    monkeypatch.setattr(SqliteSink, "write", write)
    assert run(ARGS) == 0
    assert capsys.readouterr() == ("4,500 readings stored in sqlite:home.db, 0 rejected.\n", "")
    assert stored(Path("home.db")) == readings


def test_import_stops_when_the_sink_refuses(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = SqliteSink.write, list[int]()

    async def refusing(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        if sizes:
            raise SinkRefusedError("no more")
        sizes.append(len(chunk))
        return await write(self, chunk)

    monkeypatch.setattr(SqliteSink, "write", refusing)
    assert run(ARGS) == 1
    assert capsys.readouterr().err == (
        "Stopped: this run has stored 2,000 readings\nError: no more\n"
    )


def test_interrupted_import_can_start_over_with_a_new_target(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, SqliteSink, 2)
        assert run(ARGS) == 130
    assert "this run has stored 4,000 readings; run the same command" in capsys.readouterr().err
    assert len(stored(Path("home.db"))) == 4000
    Path("home.db").unlink()
    assert run(ARGS) == 0
    assert capsys.readouterr().out.startswith("4,500 readings stored")
    assert stored(Path("home.db")) == readings


TO_CSV = [*ARGS[:-1], "csv:copy.csv"]


@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize("torn", [b"", b"2026-03-01T12", b'2026-03-01T12:00:00Z,"\xd0'])
def test_interrupted_import_adds_only_the_missing_csv_rows(
    readings: list[Reading],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    torn: bytes,
) -> None:
    """A row torn by a crash is not a row, whatever its last byte is."""
    with monkeypatch.context() as patch:
        interrupt_after(patch, CsvSink, writes)
        assert run(TO_CSV) == 130
    copy = Path("copy.csv")
    if writes:
        with copy.open("ab") as file:
            file.write(torn)
    capsys.readouterr()
    assert run([*TO_CSV, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["accepted"], answer["already_stored"]) == (
        4500 - writes * 2000,
        writes * 2000,
    )
    assert rows_of(copy) == readings
    before = copy.read_bytes()
    assert run(TO_CSV) == 0
    assert capsys.readouterr().out == (
        "0 readings stored in csv:copy.csv, 0 rejected, 4,500 already there.\n"
    )
    assert copy.read_bytes() == before == Path("readings #1?.csv").read_bytes()


@pytest.mark.parametrize("size", [0, 20])
def test_csv_target_with_a_partial_header_is_completed(readings: list[Reading], size: int) -> None:
    Path("copy.csv").write_bytes(Path("readings #1?.csv").read_bytes()[:size])
    assert run(TO_CSV) == 0
    assert rows_of(Path("copy.csv")) == readings


ROWS = [
    *(sample_reading(value=value) for value in (1, 2)),
    *(
        sample_reading(quantity=Quantity.AIR_TEMPERATURE, value=value, water=None)
        for value in (21, 21.5)
    ),
    sample_reading(quality=Quality.SUSPECT, value=1),
]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.lists(st.sampled_from(ROWS), min_size=1, max_size=12),
    target=st.lists(st.sampled_from(ROWS), max_size=12),
    killed=st.integers(0, 12),
)
def test_csv_target_gets_duplicates_as_often_as_the_source(
    source: list[Reading], target: list[Reading], killed: int
) -> None:
    """In their order, because the last reading of a key counts, wherever an earlier run stopped."""
    for path in map(Path, ("source.csv", "target.csv")):
        path.unlink(missing_ok=True)
    write_csv(Path("source.csv"), source)
    write_csv(Path("target.csv"), target)
    held = Counter(target)
    lacking = [reading for reading in source if not held[reading] or held.subtract([reading])]
    write_csv(Path("target.csv"), lacking[:killed])
    assert run(["import", "source.csv", "--sink", "csv:target.csv"]) == 0
    assert rows_of(Path("target.csv")) == [*target, *lacking]


def test_numbers_reformatted_by_a_spreadsheet_are_recognised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = sample_reading(quantity=Quantity.AIR_TEMPERATURE, value=21.0, water=None)
    write_csv(Path("source.csv"), [row])
    Path("target.csv").write_bytes(Path("source.csv").read_bytes().replace(b",21.0,", b",21,"))
    assert run(["import", "source.csv", "--sink", "csv:target.csv"]) == 0
    assert "0 readings stored in csv:target.csv, 0 rejected, 1 already" in capsys.readouterr().out


@pytest.mark.parametrize("sink", ["sqlite:home.db", "csv:copy.csv"])
def test_import_from_a_pipe(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], sink: str
) -> None:
    """As a shell passes it: `import <(zcat readings.csv.gz)`."""
    content = Path("readings #1?.csv").read_bytes()
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(content)

    with ThreadPoolExecutor() as executor:
        executor.submit(send)
        assert run(["import", f"/dev/fd/{reader}", "--sink", sink]) == 0
    os.close(reader)
    assert capsys.readouterr().out == f"4,500 readings stored in {sink}, 0 rejected.\n"
    read = stored if sink.startswith("sqlite:") else rows_of
    assert read(Path(sink.partition(":")[2])) == readings


SST_CLOUD = (sys.executable, "-m", "sst_cloud.cli")


@pytest.mark.parametrize("file", ["-", "/dev/stdin"])
def test_import_from_standard_input(readings: list[Reading], file: str) -> None:
    content = Path("readings #1?.csv").read_bytes()
    command = [*SST_CLOUD, "import", file, "--sink", "sqlite:home.db"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    assert done.stdout == b"4,500 readings stored in sqlite:home.db, 0 rejected.\n"
    assert stored(Path("home.db")) == readings


def test_closed_standard_input_is_an_error() -> None:
    command = [*SST_CLOUD, "import", "-", "--sink", "sqlite:home.db"]
    done = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *command], check=False, capture_output=True
    )
    assert done.returncode == 1
    assert done.stderr == b"Error: standard input cannot be read: it is closed\n"


def test_file_is_imported_while_standard_output_is_closed(readings: list[Reading]) -> None:
    """The file then has the number of standard output, but is not the output."""
    command = [*SST_CLOUD, "import", "readings #1?.csv", "--sink", "sqlite:home.db"]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], check=False, stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert stored(Path("home.db")) == readings


def test_an_interrupt_ends_an_import_from_a_pipe_that_sends_nothing(
    readings: list[Reading],
) -> None:
    command = [*SST_CLOUD, "import", "-", "--sink", "sqlite:home.db"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        size = process.stdin.write(Path("readings #1?.csv").read_bytes() * 2)
        assert size > 0
        process.stdin.flush()
        while not Path("home.db").exists() or not stored(Path("home.db")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr is not None
        assert b"run the same command again" in process.stderr.read()


@pytest.mark.parametrize("sink", ["sqlite:home.db", "csv:copy.csv"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty, or nothing but a header"),
        (b"\xef\xbb\xbf", "it is empty, or nothing but a header"),
        (HEADER, "it is empty, or nothing but a header"),
        (HEADER[:20], "it is empty, or nothing but a header"),
        (
            HEADER + b"nonsense\r\n" * 30,
            "none of its rows is a reading (line 2: 15 columns are needed, not 1)",
        ),
        (
            HEADER + b'"\xd0',
            "none of its rows is a reading (line 2: it ends in the middle of a character)",
        ),
    ],
)
def test_file_without_readings_is_an_error(
    capsys: pytest.CaptureFixture[str], content: bytes, reason: str, sink: str
) -> None:
    """An empty import is never intended: the program that fills the pipe may have failed."""
    Path("readings #1?.csv").write_bytes(content)
    assert run(["import", "readings #1?.csv", "--sink", sink]) == 1
    assert capsys.readouterr() == ("", f"Error: no readings in readings #1?.csv: {reason}\n")
    assert not Path("home.db").exists()
    assert not Path("copy.csv").exists()


def test_a_file_is_not_imported_into_itself(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It would grow forever: the appended rows would be read again."""
    path = Path("readings #1?.csv")
    before = path.read_bytes()
    (tmp_path / "link.csv").symlink_to(path)
    (tmp_path / "hard.csv").hardlink_to(path)
    sinks = ("csv:readings #1%3F.csv", "csv:link.csv", "csv:hard.csv", "sqlite:hard.csv")
    with path.open("rb") as file:
        for source in (str(path), "hard.csv", f"/dev/fd/{file.fileno()}"):
            for sink in sinks:
                assert run(["import", source, "--sink", sink]) == 2
                assert "the sink is the imported file itself" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_pipe_is_not_imported_into_itself(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.csv")
    keep = os.open("pipe.csv", os.O_RDWR)
    assert run(["import", "pipe.csv", "--sink", "csv:pipe.csv"]) == 2
    os.close(keep)
    assert "the sink is the imported file itself" in capsys.readouterr().err


def test_file_is_not_imported_into_itself_by_redirection(readings: list[Reading]) -> None:
    path = Path("readings #1?.csv")
    before = path.read_bytes()
    with path.open("ab") as file:
        command = [*SST_CLOUD, "import", str(path), "--sink", "stdout:"]
        done = subprocess.run(command, check=False, stdout=file, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"the sink is the imported file itself" in done.stderr
    assert path.read_bytes() == before


def test_rejected_readings_are_reported_by_reason(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grouped by reason, most frequent first; reasons that differ only in numbers count as one."""

    async def picky(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        rejected = [
            Rejection(reading, f"no value like {reading.value}" if reading.value > 9 else "small")
            for reading in chunk
            if reading.value < 100
        ]
        return WriteReport(len(chunk) - len(rejected), tuple(rejected))

    monkeypatch.setattr(SqliteSink, "write", picky)
    assert run(ARGS) == 1
    out = capsys.readouterr().out
    assert out == (
        "4,400 readings stored in sqlite:home.db, 100 rejected.\n"
        "  90: no value like 10\n"
        "  10: small\n"
    )
    assert run([*ARGS, "--json"]) == 1
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (answer["accepted"], answer["rejected"]) == (4400, 100)
    assert answer["reasons"][1] == {"count": 10, "reason": "small"}


def test_unreadable_rows_are_reported_and_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    """The first unreadable rows are listed by line number; the good rows are imported."""
    path = Path("readings #1?.csv")
    write_csv(path, minutes(3))
    with path.open("a", encoding="utf-8") as file:
        file.write("nonsense\r\n" * 30)
    assert run(ARGS) == 1
    out = capsys.readouterr().out
    assert out.startswith(
        "3 readings stored in sqlite:home.db, 0 rejected.\nRows that are not readings"
    )
    assert "\n  line 5: " in out
    assert out.endswith("  and 10 more rows that cannot be read\n")
    assert len(stored(Path("home.db"))) == 3


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (None, 2, "does not exist"),
        ("a,b\r\n1,2\r\n", 1, "does not have the columns"),
        ("time\x00\xff", 1, "not a CSV file"),
    ],
)
def test_invalid_import_files_are_refused(
    capsys: pytest.CaptureFixture[str], content: str | None, status: int, message: str
) -> None:
    if content is not None:
        Path("readings #1?.csv").write_text(content, encoding="latin-1")
    assert run(ARGS) == status
    assert message in capsys.readouterr().err


def test_unknown_sink_is_an_error(
    readings: list[Reading], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", "readings #1?.csv", "--sink", "nowhere:"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_full_temporary_folder_is_an_error(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(Path("copy.csv"), readings)
    connect = sqlite3.connect

    def tiny(*args: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*args, **options)
        database.execute("PRAGMA max_page_count = 4")
        return database

    monkeypatch.setattr(sqlite3, "connect", tiny)
    assert run(TO_CSV) == 1
    err = capsys.readouterr().err
    assert "the folder for temporary files cannot be used (database or disk is full)" in err
    assert "SQLITE_TMPDIR" in err
    assert rows_of(Path("copy.csv")) == readings


def test_progress_on_a_terminal(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(ARGS) == 0
    assert "4,500 rows" in capsys.readouterr().err
