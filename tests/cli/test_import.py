"""`sst-cloud import`."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sst_cloud import ManualClock, Reading
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.enums import Quantity
from sst_cloud.errors import SinkUnavailableError
from sst_cloud.sink import Rejection, WriteReport
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink


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
    """More than go into one write, in the file `readings #1?.csv`."""
    made = minutes(4500)
    write_csv(Path("readings #1?.csv"), made)
    return made


ARGS = ["import", "readings #1?.csv", "--sink", "sqlite:home.db"]


def test_everything_arrives(readings: list[Reading], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ARGS) == 0
    assert stored(Path("home.db")) == readings
    assert capsys.readouterr().out == "4,500 readings stored in sqlite:home.db, 0 rejected.\n"
    assert run(ARGS) == 0
    assert stored(Path("home.db")) == readings
    assert not list(Path("state").rglob("*.json"))


def test_an_interrupted_import_goes_on(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is away is waited for, a little; what was stored is not sent again."""
    write, seen = SqliteSink.write, []

    async def failing(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        seen.append(len(chunk))
        if len(seen) > 2:
            raise SinkUnavailableError("the store is away")
        return await write(self, chunk)

    monkeypatch.setattr(SqliteSink, "write", failing)
    clock = ManualClock()
    began = clock.now()
    assert run(ARGS, Settings(clock=clock)) == 1
    assert "Stopped after 4,000 rows; the same command resumes" in capsys.readouterr().err
    assert seen == [2000, 2000, 500, 500, 500, 500, 500]
    assert clock.now() - began == timedelta(seconds=15)
    assert len(stored(Path("home.db"))) == 4000

    monkeypatch.setattr(SqliteSink, "write", write)
    assert run(ARGS) == 0
    out, err = capsys.readouterr()
    assert err == "Resuming after 4,000 rows.\n"
    assert out == "4,500 readings stored in sqlite:home.db, 0 rejected.\n"
    assert stored(Path("home.db")) == readings


def test_another_folder_is_another_sink(
    readings: list[Reading], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative path names another file there: nothing of that has been stored yet."""
    write = SqliteSink.write

    async def interrupted(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        if chunk[0] != readings[0]:
            raise KeyboardInterrupt
        return await write(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteSink, "write", interrupted)
        assert run(ARGS) == 130
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(["import", "../readings #1?.csv", "--sink", "sqlite:home.db"]) == 0
    assert stored(Path("home.db")) == readings


def test_a_file_is_not_imported_into_itself(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It would grow for ever: what is appended is read again."""
    path = Path("readings #1?.csv")
    write_csv(path, minutes(9000))
    before = path.stat().st_size
    (tmp_path / "link.csv").symlink_to(path)
    for sink in ("csv:readings #1%3F.csv", "csv:link.csv"):
        assert run(["import", str(path), "--sink", sink]) == 2
        assert "the sink is the imported file itself" in capsys.readouterr().err
    assert path.stat().st_size == before


@pytest.mark.parametrize("how", ["another file", "--restart", "spoilt"])
def test_beginning_anew(
    readings: list[Reading],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """Where there is nothing to go on with, or it is not wanted."""
    write = SqliteSink.write

    async def interrupted(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        if chunk[0] != readings[0]:
            raise KeyboardInterrupt
        return await write(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteSink, "write", interrupted)
        assert run(ARGS) == 130
    (state,) = Path("state").rglob("*.json")
    more = []
    if how == "another file":
        write_csv(Path("readings #1?.csv"), [sample_reading(time=START - timedelta(days=1))])
    elif how == "spoilt":
        state.write_text("[]")
    else:
        more = ["--restart"]
    Path("home.db").unlink()
    capsys.readouterr()
    assert run([*ARGS, *more]) == 0
    assert capsys.readouterr().err == ""
    assert set(stored(Path("home.db"))) >= set(readings)


def test_what_is_rejected_is_told(
    readings: list[Reading], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By reason, the most frequent first; reasons that differ in numbers count as one."""

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


def test_rows_that_hold_no_reading(capsys: pytest.CaptureFixture[str]) -> None:
    """They are named by line, the first of them; the others are imported."""
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
    ("content", "status", "said"),
    [
        (None, 2, "does not exist"),
        ("a,b\r\n1,2\r\n", 1, "does not have the columns"),
        ("time\x00\xff", 1, "not a CSV file"),
    ],
)
def test_files_that_are_no_history(
    capsys: pytest.CaptureFixture[str], content: str | None, status: int, said: str
) -> None:
    if content is not None:
        Path("readings #1?.csv").write_text(content, encoding="latin-1")
    assert run(ARGS) == status
    assert said in capsys.readouterr().err


def test_a_sink_nobody_has(readings: list[Reading], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "readings #1?.csv", "--sink", "nowhere:"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_place_for_the_state_that_cannot_be_written(
    readings: list[Reading], caplog: pytest.LogCaptureFixture
) -> None:
    """The import itself goes through."""
    Path("state").write_text("a file in the way")
    assert run(ARGS) == 0
    assert "the import cannot be resumed" in caplog.text
