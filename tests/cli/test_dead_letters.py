"""Readings that a sink rejected: listed, written again, dropped."""

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from sst_cloud import Quality, Quantity, Reading, Rejection, WriteReport
from sst_cloud.cli.sink_options import sink_name
from sst_cloud.outbox import DeadLetters
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.sqlite import SqliteSink

from .conftest import Run

NOW = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
COLD = sample_reading()
FLOOR = sample_reading(quantity=Quantity.FLOOR_TEMPERATURE, value=21.5, name="Floor", water=None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SST_CLOUD_STATE", "state")
    return tmp_path / "state"


@pytest.fixture
def letters(folder: Path) -> DeadLetters:
    """One for each of two sinks; the second sink accepts it now."""
    letters = DeadLetters(folder)
    letters.add("csv:no/such/folder.csv", [Rejection(COLD, "too old")], NOW)
    letters.add("sqlite:home.db", [Rejection(FLOOR, "too odd")], NOW)
    return letters


def test_missing_state_folder_is_an_error(sst: Run, folder: Path) -> None:
    for command in ("list", "list --json", "replay", "drop --yes"):
        assert sst("dead-letters", *command.split()) == (
            1,
            "",
            "Error: there is no folder state; run `sst-cloud collect` first\n",
        )


def test_list_is_empty_before_the_first_collector_run(sst: Run) -> None:
    """Without an explicit folder, its name cannot be mistyped."""
    assert sst("dead-letters", "list") == (0, "", "There are no dead letters.\n")


def test_empty_folder_has_no_dead_letters(sst: Run, folder: Path) -> None:
    folder.mkdir()
    assert sst("dead-letters", "list") == (0, "", "There are no dead letters.\n")
    assert sst("dead-letters", "list", "--json").out.strip() == "[]"
    assert sst("dead-letters", "replay").status == 0
    assert sst("dead-letters", "drop").out == "0 dropped\n"
    assert not list(folder.glob("*.jsonl"))


def test_added_letters_are_synced_to_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def note(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    letters = DeadLetters(folder)
    letters.add("csv:a.csv", [Rejection(COLD, "too old")], NOW)
    file = str(folder / "dead-letters.jsonl")
    assert synced == [file, str(folder)], "a new file, and its name"
    letters.add("csv:a.csv", [Rejection(COLD, "too old")], NOW)
    assert synced[2:] == [file]


def test_list_shows_every_letter(sst: Run, letters: DeadLetters) -> None:
    _, out, _ = sst("dead-letters", "list")
    first, second = out.splitlines()[1:]
    assert first.startswith("2026-03-01 12:20Z  csv:no/such/folder.csv  too old  Cold   volume")
    assert "123.450 m³" in first
    assert "too odd" in second
    one = json.loads(sst("dead-letters", "list", "--sink", "sqlite:home.db", "--json").out)
    assert [letter["reading"] for letter in one] == [FLOOR.as_dict()]


def test_list_on_a_narrow_terminal_is_not_truncated(
    sst_on_terminal: Run, letters: DeadLetters
) -> None:
    out = sst_on_terminal(80, "dead-letters", "list").out
    assert "…" not in out
    assert out.count("2026-03-01 12:20Z") == 2
    assert "123.450 m³" in out


def test_replay_delivers_what_it_can_and_keeps_the_rest(sst: Run, letters: DeadLetters) -> None:
    status, out, err = sst("dead-letters", "replay")
    assert status == 1
    assert out == "sqlite:home.db: 1 delivered, 0 rejected again\n"
    assert "csv:no/such/folder.csv: none of 1 delivered" in err
    assert "Error:" in err
    assert [letter.reading for letter in letters.read()] == [COLD]
    assert "21.5 °C" in sst("latest", "sqlite:home.db").out


def test_every_error_of_a_replay_is_shown(sst: Run, letters: DeadLetters) -> None:
    letters.add("csv:neither/this.csv", [Rejection(COLD, "too old")], NOW)
    status, out, err = sst("dead-letters", "replay")
    assert (status, out) == (1, "sqlite:home.db: 1 delivered, 0 rejected again\n")
    assert "Error: the folder no/such does not exist" in err
    assert "Error: the folder neither does not exist" in err
    assert len(letters.read()) == 2


def test_latest_letter_of_the_same_reading_counts(sst: Run, folder: Path) -> None:
    """Written down twice by a collector that was killed, or rejected again later."""
    letters = DeadLetters(folder)
    letters.add("sqlite:home.db", [Rejection(FLOOR, "too odd")] * 2, NOW)
    letters.add("sqlite:home.db", [Rejection(attrs.evolve(COLD, value=5), "too odd")], NOW)
    for _ in range(2):
        letters.add("csv:home.csv", [Rejection(COLD, "too odd")], NOW)
        letters.add("csv:home.csv", [Rejection(FLOOR, "too odd")], NOW + timedelta(hours=1))
    letters.add("sqlite:home.db", [Rejection(COLD, "too odd")], NOW)
    status, out, _ = sst("dead-letters", "replay")
    assert status == 0
    assert out == (
        "sqlite:home.db: 4 delivered, 0 rejected again\n"
        "csv:home.csv: 4 delivered, 0 rejected again\n"
    )
    assert letters.read() == []
    assert set(asyncio.run(SqliteSink("home.db").latest())) == {COLD, FLOOR}, "the later one counts"
    assert len(Path("home.csv").read_text().splitlines()) == 3


def many(count: int) -> list[Reading]:
    return [attrs.evolve(COLD, value=value, point_id=str(value)) for value in range(count)]


def test_letters_accepted_before_a_failure_are_not_written_again(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = many(4500)
    letters = DeadLetters(folder)
    letters.add("sqlite:home.db", [Rejection(reading, "too odd") for reading in readings], NOW)
    write, sizes = SqliteSink.write, list[int]()

    async def failing(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        sizes.append(len(chunk))
        if len(sizes) == 2:
            raise RuntimeError("out of order")
        report = await write(self, chunk)
        letters.add("sqlite:home.db", [Rejection(FLOOR, "by the collector, meanwhile")], NOW)
        return report

    with monkeypatch.context() as patch:
        patch.setattr(SqliteSink, "write", failing)
        assert sst("dead-letters", "replay") == (
            1,
            "",
            "sqlite:home.db: 2000 of 4500 delivered\nError: RuntimeError: out of order\n",
        )
    assert [letter.reading for letter in letters.read()] == [*readings[2000:], FLOOR]
    assert sst("dead-letters", "replay").out == "sqlite:home.db: 2501 delivered, 0 rejected again\n"
    assert letters.read() == []
    assert set(asyncio.run(SqliteSink("home.db").latest())) == {*readings, FLOOR}


@pytest.mark.parametrize(
    "report",
    [None, WriteReport(1, (Rejection(attrs.evolve(COLD, point_id="other"), "not this"),))],
)
def test_invalid_write_report_removes_no_letters(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, report: WriteReport | None
) -> None:
    async def confused(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport | None:
        return report

    letters = DeadLetters(folder)
    letters.add("sqlite:home.db", [Rejection(COLD, "a"), Rejection(FLOOR, "b")], NOW)
    monkeypatch.setattr(SqliteSink, "write", confused)
    status, _, err = sst("dead-letters", "replay")
    assert status == 1
    assert "sqlite:home.db: none of 2 delivered\nError: it" in err
    assert len(letters.read()) == 2


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_replay_loses_nothing(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    write = SqliteSink.write

    async def interrupted(self: SqliteSink, chunk: Sequence[Reading]) -> WriteReport:
        if moment == "after":
            await write(self, chunk)
        raise KeyboardInterrupt

    letters = DeadLetters(folder)
    letters.add("sqlite:home.db", [Rejection(COLD, "a"), Rejection(FLOOR, "b")], NOW)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteSink, "write", interrupted)
        assert sst("dead-letters", "replay").status == 130
    assert len(letters.read()) == 2
    assert sst("dead-letters", "replay").out == "sqlite:home.db: 2 delivered, 0 rejected again\n"
    assert set(asyncio.run(SqliteSink("home.db").latest())) == {COLD, FLOOR}


@pytest.mark.parametrize("meanwhile", [Quality.GOOD, Quality.SUSPECT, None])
def test_replay_does_not_replace_a_confirmed_reading(
    sst: Run, folder: Path, meanwhile: Quality | None
) -> None:
    doubted = attrs.evolve(COLD, quality=Quality.SUSPECT)
    letters = DeadLetters(folder)
    letters.add("sqlite:home.db", [Rejection(doubted, "odd")], NOW)
    if meanwhile is not None:
        stored = attrs.evolve(COLD, quality=meanwhile)
        asyncio.run(SqliteSink("home.db").write([stored]))
    assert sst("dead-letters", "replay").out == "sqlite:home.db: 1 delivered, 0 rejected again\n"
    assert letters.read() == []
    (latest,) = asyncio.run(SqliteSink("home.db").latest())
    assert latest.quality is (meanwhile or Quality.SUSPECT)


def test_sink_with_a_masked_name_is_matched_by_its_url(sst: Run, folder: Path) -> None:
    """The sink is found by its URL, which must be given because only its masked name was stored."""
    url = "sqlite:me@example.com.db"
    letters = DeadLetters(folder)
    letters.add(sink_name(url), [Rejection(COLD, "too old")], NOW)
    letters.add("sqlite:home.db", [Rejection(FLOOR, "too odd")], NOW)
    assert "example" not in sst("dead-letters", "list", "--sink", url).out
    for given in ([], ["--sink", sink_name(url)]):
        status, _, err = sst("dead-letters", "replay", *given)
        assert status == 2
        assert "pass the full URL to --sink" in err
    assert sst("dead-letters", "replay", "--sink", url).status == 0
    assert "m³" in sst("latest", url).out
    assert letters.read() == []


def test_letters_rejected_again_are_kept(sst: Run, folder: Path) -> None:
    letters = DeadLetters(folder)
    future = sample_reading(time=datetime(9999, 1, 1, tzinfo=UTC), point_id="x")
    letters.add("influxdb:http://127.0.0.1:9/home", [Rejection(future, "late")], NOW)
    status, out, err = sst("dead-letters", "replay")
    assert (status, out) == (1, f"{letters.read()[0].sink}: 0 delivered, 1 rejected again\n")
    assert "InfluxDB stores times from 1677 to 2262 only" in err
    assert len(letters.read()) == 1


def test_drop_asks_for_confirmation(
    sst: Run, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    assert sst("dead-letters", "drop").status == 130
    assert len(letters.read()) == 2
    assert sst("dead-letters", "drop", "--yes", "--sink", "sqlite:home.db").out == "1 dropped\n"
    assert [letter.reading for letter in letters.read()] == [COLD]


def test_unknown_lines_are_kept_and_logged(
    sst: Run, letters: DeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    with letters.path.open("a") as file:
        file.write('{"torn": ')
    letters.add("sqlite:home.db", [Rejection(COLD, "again")], NOW)
    assert [letter.reason for letter in letters.read()] == ["too old", "too odd", "again"]
    assert "skipped a line that is not a dead letter" in caplog.text
    caplog.clear()
    sst("dead-letters", "drop", "--yes")
    assert caplog.text.count("skipped a line that is not a dead letter") == 1
    assert letters.path.read_text() == '{"torn": \n'


def test_unusable_file_is_reported(sst: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / "dead-letters.jsonl").mkdir()
    status, _, err = sst("dead-letters", "list")
    assert status == 1
    assert "dead-letters.jsonl cannot be used: Is a directory" in err


@pytest.mark.parametrize("field", ["sink", "reason", "time", "reading"])
@pytest.mark.parametrize("value", [None, 7, [], {}, [["a"]]])
def test_line_with_wrong_types_is_skipped(
    sst: Run, letters: DeadLetters, field: str, value: object
) -> None:
    letter = letters.read()[0].as_dict()
    letters.path.write_text(json.dumps(letter | {field: value}) + "\n")
    assert sst("dead-letters", "list", "--json").out == "[]\n"
    status, out, err = sst("dead-letters", "replay")
    assert (status, out) == (0, "")
    assert "skipped a line that is not a dead letter" in err
