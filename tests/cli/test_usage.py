"""`sst-cloud usage`: its options, forms of output, houses and their time zones."""

import asyncio
import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.colors import to_hex

from sst_cloud import ManualClock, Quality, Reading, open_sink
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.models import House
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.state_folder import houses_note
from sst_cloud.testing.fake.household import WaterUse
from sst_cloud.testing.sink_contract import sample_reading

from .conftest import Outcome, Run

MOSCOW = timedelta(hours=3)
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 70
TAPS = {"cold": WaterUse(200, 1), "hot": WaterUse(100, 2)}

Fill = Callable[[Sequence[Reading]], None]


@cache
def _litres(water: str, time: datetime) -> int:
    return int(TAPS[water].litres(time))


def household(days: int = DAYS, **changes: Any) -> list[Reading]:
    """Cold and hot water every hour for ten weeks, in a house in the time zone UTC+3."""
    return [
        sample_reading(
            time=time,
            value=_litres(water, time),
            name=f"The {water}",
            point_id=water,
            water=water,
            **changes,
        )
        for time in (FIRST + timedelta(hours=hour) for hour in range(24 * days))
        for water in TAPS
    ]


async def _write(file: Path, readings: Sequence[Reading]) -> None:
    async with open_sink(f"sqlite:{file}") as sink:
        await sink.write(readings)


@pytest.fixture
def sst(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `sst-cloud` at the end of the ten weeks."""

    def invoke(*args: str) -> Outcome:
        status = run(args, Settings(clock=ManualClock(FIRST + timedelta(days=DAYS))))
        return Outcome(status, *capsys.readouterr())

    return invoke


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Store readings in `home.db` of the folder the program runs in."""
    monkeypatch.chdir(tmp_path)
    return lambda readings: asyncio.run(_write(tmp_path / "home.db", readings))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "home.db"
    asyncio.run(_write(file, household()))
    return file


@pytest.fixture
def stored(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The household in a store that an environment variable selects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SST_CLOUD_STORE", f"sqlite:{home}")


@pytest.fixture
def collect_houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a collector of this machine store houses."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    async def note(*houses: House) -> None:
        (tmp_path / "state").mkdir(exist_ok=True)
        async with Outbox(tmp_path / "state") as outbox:
            await outbox.append(Commit(notes={"houses": houses_note(houses)}))

    return lambda *houses: asyncio.run(note(*houses))


def expected_litres(water: str, since: datetime, until: datetime) -> int:
    return _litres(water, until) - _litres(water, since)


OCTOBER = (datetime(2026, 10, 1, tzinfo=UTC) - MOSCOW, datetime(2026, 11, 1, tzinfo=UTC) - MOSCOW)
ZONE = ("--timezone", "Europe/Moscow")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("by", ["hour", "day", "week", "month"])
def test_month_total_is_exact_to_the_litre(sst: Run, by: str) -> None:
    words = ("usage", *ZONE, "--from", "2026-10", "--to", "2026-10", "--by", by, "--json")
    status, out, err = sst(*words)
    assert (status, err) == (0, "")
    uses = json.loads(out)
    for water in ("cold", "hot"):
        litres = [use["litres"] for use in uses if use["water"] == water]
        assert sum(litres) == pytest.approx(
            expected_litres(water, *OCTOBER), abs=0.001 * len(litres)
        )
    assert (uses[0]["start"], uses[-1]["end"]) == (
        "2026-10-01T00:00:00+03:00",
        "2026-11-01T00:00:00+03:00",
    )
    assert all(use["missing"] == use["estimated_l"] == 0 for use in uses)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-10-05", "2026-10-05", 24),
        ("2026-10", "2026-10", 31 * 24),
        ("2026-W41", "2026-W41", 7 * 24),
        ("2026-10-05T12:00", "2026-10-05T15:00", 3),
        ("2026-10-05 12:00", "2026-10-05", 12),
        ("2026-10-05T12:00+03:00", "2026-10-05T12:00Z", 3),
        ("2026", "2026", 24 * DAYS - 1),
    ],
)
def test_from_and_to_select_the_hours(sst: Run, since: str, until: str, hours: int) -> None:
    words = ("usage", *ZONE, "--from", since, "--to", until, "--by", "hour", "--json")
    uses = json.loads(sst(*words, "--water", "cold").out)
    assert len(uses) == hours
    assert {use["water"] for use in uses} == {"cold"}


def test_usage_in_a_long_gap_is_spread_over_the_months(sst: Run, fill: Fill) -> None:
    """A gap of three weeks across the end of September, and one of a summer."""
    fill(
        [
            sample_reading(time=FIRST + timedelta(days=days), value=litres)
            for days, litres in [
                (-150, 0),
                (10, 16_000),
                (10.1, 16_001),
                (34, 20_000),
                (36, 20_010),
            ]
        ]
    )

    def litres(*words: str) -> list[float]:
        out = sst("usage", "sqlite:home.db", "--timezone", "UTC", "--by", "month", "--json", *words)
        return [use["litres"] for use in json.loads(out.out)]

    months = litres()
    assert sum(months) == 20_010
    names = [f"2026-{month:02d}" for month in range(4, 11)]
    assert len(months) == len(names)
    assert [litres("--from", month, "--to", month) for month in names] == [[one] for one in months]


def test_usage_during_stale_readings_is_spread_over_the_months(sst: Run, fill: Fill) -> None:
    """The cloud keeps showing the last total for months."""
    silent = [(day, 1000, Quality.STALE) for day in range(1, 61)]
    rows = [(0, 1000, Quality.GOOD), *silent, (61, 62_000, Quality.GOOD)]
    fill(
        [
            sample_reading(time=FIRST + timedelta(days=days), value=litres, quality=quality)
            for days, litres, quality in rows
        ]
    )
    for month, litres in (("2026-09", 30_000), ("2026-10", 31_000)):
        words = ("usage", "sqlite:home.db", "--timezone", "UTC", "--json", "--by", "month")
        (use,) = json.loads(sst(*words, "--from", month, "--to", month).out)
        assert (use["litres"], use["estimated_l"]) == (litres, litres)


@pytest.mark.parametrize(
    ("month", "day", "litres"),
    [("2026-10", 10, 1100), ("2026-09", 39, 2100)],
    ids=["before", "after"],
)
def test_glitch_beside_a_long_gap_is_not_usage(
    sst: Run, fill: Fill, month: str, day: int, litres: int
) -> None:
    """It was not validated: the later totals show that it is a glitch."""
    rows = [(9, 900), (9.5, 950), (40, 4000), (41, 4100)]
    rows += [(day + minute / 1440, 50_000_000) for minute in range(4)]
    fill([sample_reading(time=FIRST + timedelta(days=day), value=total) for day, total in rows])
    words = ("usage", "sqlite:home.db", "--timezone", "UTC", "--json", "--by", "month")
    (use,) = json.loads(sst(*words, "--from", month, "--to", month).out)
    assert (use["litres"], use["breaks"]) == (litres, [])


def test_readings_from_the_future_are_left_out(sst: Run, fill: Fill) -> None:
    late = FIRST + timedelta(days=DAYS + 365)
    fill([*household(), sample_reading(time=late, value=50_000, point_id="cold")])
    words = ("usage", "sqlite:home.db", *ZONE, "--by", "month", "--water", "cold", "--json")
    status, out, err = sst(*words)
    assert status == 0
    assert err == (
        "1 reading is dated in the future (2027-11-10) and skipped; was a clock wrong?\n"
    )
    assert len(json.loads(out)) == 3
    assert sst(*words, "--to", "2026-10").err == ""
    fill([sample_reading(time=late + timedelta(days=1), value=50_000, point_id="cold")])
    assert "2 readings are dated in the future (up to 2027-11-11)" in sst(*words).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("usage",), "give a store, such as sqlite:home.db, or set SST_CLOUD_STORE"),
        (("latest",), "give a store, such as sqlite:home.db, or set SST_CLOUD_STORE"),
        (("usage", "sqlite:no.db", "--from", "yesterday"), "'yesterday' is not a time; write one"),
        (("usage", "sqlite:no.db", "--from", "2026-13"), "is not a time"),
        (("usage", "sqlite:no.db", "--to", "2026-02-30"), "is not a time"),
        (("usage", "sqlite:no.db", "--to", "9999"), "is not a time"),
        (("usage", "sqlite:no.db", "--to", "2026-02-03T25:00"), "is not a time"),
        (("usage", "sqlite:no.db", "--json", "--csv"), "--json and --csv cannot be combined"),
        (("usage", "sqlite:no.db", "--max-flow", "0"), "0.0 is not in the range x>0"),
        (("usage", "sqlite:no.db", "--max-flow", "nan"), "nan is not a finite number"),
        (("report", "sqlite:no.db", "--max-flow", "inf"), "inf is not a finite number"),
        (("collect", "--sink", "csv:x.csv", "--max-flow", "inf"), "inf is not a finite number"),
        (("fake", "--latency", "inf"), "inf is not a finite number"),
        (("valves", "close", "--limit", "nan"), "nan is not a finite number"),
        (("usage", "sqlite:no.db", "--plot", "x.gif"), "--plot: a plot is .png, .svg, .pdf, not"),
    ],
)
def test_wrong_usage_is_an_error_with_a_hint(
    sst: Run, words: tuple[str, ...], message: str
) -> None:
    status, out, err = sst(*words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("sqlite:~nosuchuser/x.db", "~nosuchuser/x.db: no such user"),
        ("sqlite:%00", "the sqlite sink needs a path: sqlite:PATH"),
    ],
)
def test_invalid_stores_are_refused(sst: Run, store: str, message: str) -> None:
    assert sst("usage", store) == (2, "", f"Error: {message}\n")


def test_max_flow_is_in_cubic_metres_per_hour(sst: Run, fill: Fill) -> None:
    hours = [FIRST + timedelta(hours=n) for n in range(3)]
    fill([sample_reading(time=hour, value=n * 2_500) for n, hour in enumerate(hours)])
    words = ("usage", "sqlite:home.db", "--from", "2026-09")
    assert "replaced?" not in sst(*words, "--max-flow", "3").out
    assert "replaced?" in sst(*words, "--max-flow", "2").out


@pytest.mark.usefixtures("stored")
def test_piped_table_is_plain_text(sst: Run) -> None:
    status, out, err = sst("usage", *ZONE, "--from", "2026-10-05", "--to", "2026-10-06")
    assert (status, err) == (0, "")
    head, monday, tuesday, total, legend = (line.rstrip() for line in out.splitlines())
    assert head.split() == ["day", "The", "cold", "The", "hot", "all"]
    assert monday.startswith("2026-10-05 Mon ")
    assert tuesday.startswith("2026-10-06 Tue ")
    start = datetime(2026, 10, 4, 21, tzinfo=UTC)
    cold, hot = (
        expected_litres(water, start, start + timedelta(days=2)) for water in ("cold", "hot")
    )
    assert total.split() == ["total", f"{cold}", f"{hot}", f"{cold + hot}"]
    assert legend == "In litres · █ cold · ▒ hot"
    bars = [line.split()[-1] for line in (monday, tuesday)]
    assert max(map(len, bars)) == 24
    assert all(bar == "█" * bar.count("█") + "▒" * bar.count("▒") for bar in bars)


@pytest.mark.usefixtures("stored")
def test_table_on_a_terminal_is_coloured(sst: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = sst("usage", *ZONE, "--from", "2026-10-05", "--to", "2026-10-06").out
    assert "\x1b[94m█" in out
    assert "\x1b[31m█" in out
    assert "▒" not in out


@pytest.mark.usefixtures("stored")
def test_hot_and_cold_differ_on_a_terminal_without_colours(
    sst: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    out = sst("usage", *ZONE, "--from", "2026-10-05", "--to", "2026-10-06").out
    assert "In litres · █ cold · ▒ hot" in out
    assert "\x1b[94m" not in out


@pytest.mark.usefixtures("stored")
def test_table_on_a_narrow_terminal_keeps_every_number(
    sst: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for columns, bars in ((45, True), (30, False), (10, False)):
        monkeypatch.setenv("COLUMNS", f"{columns}")
        out = sst("usage", *ZONE, "--from", "2026-10-05", "--to", "2026-10-06").out
        monday = next(line for line in out.splitlines() if line.startswith("2026-10-05 Mon"))
        cold, hot, both = map(int, monday.split()[2:5])
        assert cold + hot == both
        assert ("█" in monday) == bars


def test_table_notes_gaps_and_replaced_meters(sst: Run, fill: Fill) -> None:
    start = datetime(2026, 10, 5, tzinfo=UTC)
    hours = [*range(20), *range(44, 60)]
    fill([sample_reading(time=start + timedelta(hours=n), value=1000 + 10 * n) for n in hours])
    fill([sample_reading(time=start + timedelta(hours=n), value=n) for n in range(60, 72)])
    _, out, _ = sst("usage", "sqlite:home.db", "--timezone", "UTC", "--from", "2026-10-05")
    monday, tuesday, wednesday, total, legend, replaced = (
        " ".join(line.split()) for line in out.splitlines()[1:]
    )
    assert monday == "2026-10-05 Mon ≈ 240 79% " + "█" * 24
    assert tuesday == "2026-10-06 Tue ≈ 240 17% " + "█" * 24
    assert wednesday == "2026-10-07 Wed 121 " + "█" * 12
    assert total == "total 601"
    assert legend.endswith("≈ partly estimated: readings are more than 3 h apart")
    assert replaced == (
        "Cold: 1,590 L, then 60 L on 2026-10-07 12:00; replaced? Usage in between is not counted."
    )


def test_meters_with_the_same_name_are_labelled_by_house_and_device(sst: Run, fill: Fill) -> None:
    for house in (1, 2):
        fill(household(5, house_id=house, house=f"House {house}"))
    fill(household(5, device_id=9, device="Garage", house="House 1"))
    lines = sst("usage", "sqlite:home.db", *ZONE, "--by", "month").out.splitlines()
    assert lines[0].split("  ")[0] == ""
    assert "House 1" in lines[0]
    assert "Bathroom The cold" in lines[1]
    assert "Garage The cold" in lines[1]
    assert lines[1].split()[-4:] == ["The", "hot", "all", "covered"]


def test_meters_with_the_same_name_and_module_are_labelled_by_id(sst: Run, fill: Fill) -> None:
    """In the column headings, their order, and the note about a replaced meter."""
    hours = [FIRST + timedelta(hours=n) for n in range(6)]
    for point_id, totals in (("10", (1, 2, 3, 4, 5, 6)), ("9", (900, 901, 902, 3, 4, 5))):
        meter = {"name": "Cold", "point_id": point_id, "device": "Bathroom"}
        fill([sample_reading(time=t, value=v, **meter) for t, v in zip(hours, totals, strict=True)])
    words = ("usage", "sqlite:home.db", "--timezone", "UTC", "--from", "2026-09")
    head, *_, replaced = sst(*words).out.splitlines()
    assert head.split() == ["day", "Cold", "9", "Cold", "10", "all", "covered"]
    assert replaced.startswith("Cold 9: 902 L, then 3 L on")


@pytest.mark.parametrize(
    "command",
    ["latest", "usage --timezone UTC --from 2026-09", "report --timezone UTC --month 2026-09"],
)
def test_control_characters_in_names_do_not_reach_the_terminal(
    sst: Run, fill: Fill, command: str
) -> None:
    for house_id in (1, 2):
        hostile = dict.fromkeys(("house", "device", "name"), "Ev\x1b[31mil\nname\u202e")
        fill(
            [
                sample_reading(
                    time=FIRST + timedelta(hours=n), value=v, house_id=house_id, **hostile
                )
                for n, v in enumerate((900, 901, 902, 3, 4, 5))
            ]
        )
    name, *options = command.split()
    status, out, err = sst(name, "sqlite:home.db", *options)
    assert (status, "Ev�[31mil name�" in out) == (0, True)
    assert not set("\x1b\u202e") & set(out + err)
    assert "\nname" not in out + err


@pytest.mark.usefixtures("stored")
def test_usage_as_csv(sst: Run) -> None:
    out = sst("usage", *ZONE, "--from", "2026-10-05", "--to", "2026-10-05", "--csv").out
    cold, hot = csv.DictReader(io.StringIO(out))
    assert (cold["start"], cold["name"]) == ("2026-10-05T00:00:00+03:00", "The cold")
    assert (hot["water"], hot["missing"], hot["breaks"]) == ("hot", "0.0", "0")


def test_usage_of_one_house(sst: Run, fill: Fill) -> None:
    fill(household(2) + household(2, house_id=7, house="Dacha"))
    for name in ("Dacha", "7"):
        uses = json.loads(sst("usage", "sqlite:home.db", *ZONE, "--house", name, "--json").out)
        assert {use["house"] for use in uses} == {"Dacha"}
    status, _, err = sst("usage", "sqlite:home.db", *ZONE, "--house", "Palace")
    assert status == 1
    assert "no readings of a house 'Palace' in that time, only of: Home (1), Dacha (7)" in err


def test_time_zone_of_each_house_comes_from_the_collector(
    sst: Run, fill: Fill, collect_houses: Callable[..., None]
) -> None:
    fill(household(32) + household(32, house_id=7, house="Dacha"))
    collect_houses(House(id=1, timezone="Europe/Moscow"), House(id=7, timezone="Asia/Omsk"))
    words = ("usage", "sqlite:home.db", "--from", "2026-10", "--to", "2026-10", "--json")
    status, out, err = sst(*words)
    assert (status, err) == (0, "")
    starts = {use["house_id"]: use["start"] for use in reversed(json.loads(out))}
    assert starts == {1: "2026-10-01T00:00:00+03:00", 7: "2026-10-01T00:00:00+06:00"}
    offsets = {use["start"][-6:] for use in json.loads(sst(*words, "--timezone", "UTC").out)}
    assert offsets == {"+00:00"}


@pytest.mark.usefixtures("stored")
def test_unknown_time_zone_falls_back_to_that_of_the_machine(
    sst: Run, monkeypatch: pytest.MonkeyPatch, collect_houses: Callable[..., None]
) -> None:
    collect_houses(House(id=1, timezone="Mars/Olympus"))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    status, out, err = sst("usage", "--from", "2026-10-20", "--to", "2026-10-27", "--json")
    assert status == 0
    assert err == (
        "Note: using this machine's time zone, Europe/Berlin; change it with --timezone\n"
    )
    offsets = [use["start"][-6:] for use in json.loads(out)]
    assert offsets == ["+02:00"] * 2 * 6 + ["+01:00"] * 2 * 2
    monkeypatch.setenv("TZ", "Mars/Olympus")
    assert "this machine's time zone, UTC;" in sst("usage").err


def test_broken_outbox_does_not_prevent_usage(
    sst: Run, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(household(2))
    (tmp_path / "outbox.db").write_text("no database, but long enough to be looked at closely")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    status, out, _ = sst("usage", "sqlite:home.db", "--by", "month")
    assert status == 0
    assert "2026-09" in out


@pytest.mark.parametrize("command", ["usage", "report", "latest"])
@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("sqlite:nosuch.db", "nosuch.db does not exist; nothing has been stored there yet"),
        ("sqlite:.", ". is a folder; give the path of a file"),
        ("csv:nosuch.csv", "nosuch.csv does not exist; nothing has been stored there yet"),
        ("sqlite:other.db", "other.db contains no readings; it is some other database"),
        ("csv:other.csv", "other.csv does not have the columns of readings"),
    ],
)
def test_missing_or_invalid_store_is_an_error(  # noqa: PLR0917
    sst: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    store: str,
    message: str,
) -> None:
    """A typo in its name could go unnoticed in cron for years."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("other.db")) as database:
        database.execute("CREATE TABLE mine (x)")
    Path("other.csv").write_text("a,b\n1,2\n")
    status, out, err = sst(command, store)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert message in err
    assert sst(command, store, "--json").status == 1
    assert {file.name for file in tmp_path.iterdir()} == {"other.db", "other.csv"}


def test_too_few_readings_are_explained(sst: Run, fill: Fill) -> None:
    fill([sample_reading(quantity="leak", value=False, water=None)])
    words = ("usage", "sqlite:home.db", "--timezone", "UTC", "--by", "month")
    assert sst(*words) == (0, "", "There are no readings of such a meter in the store.\n")
    assert sst(*words, "--json").out == "[]\n"
    fill([sample_reading()])
    assert sst(*words) == (
        0,
        "",
        "Only one reading so far; usage needs at least two.\n",
    )
    status, _, err = sst(*words, "--plot", "x.png")
    assert status == 1
    assert err.endswith("no meter has two readings in that time, so there is nothing to draw\n")
    assert sst(*words, "--from", "2030").err == (
        "--from is in the future, so there are no readings yet.\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--from 2026-11 --to 2026-10", "--from is after --to"),
        ("--from 2026-10-05T12:00Z --to 2026-10-05T11:00Z", "--from is after --to"),
        ("--from 2026-10-06T12:00Z --to 2026-10-05T11:00", "--from is after --to"),
        ("--from 2026-10 --last 7d", "--from and --last cannot be combined"),
    ],
)
def test_contradicting_times_are_refused(sst: Run, words: str, message: str) -> None:
    status, _, err = sst("usage", "sqlite:no.db", *words.split())
    assert (status, err.splitlines()[0]) == (2, f"Error: {message}")


@pytest.mark.parametrize(
    ("words", "first", "rows", "note"),
    [
        ("", "2026-10-11 Sun", 31, "the last 31 days"),
        ("--by hour", "2026-11-08 02:00", 48, "the last 2 days"),
        ("--by month", "2026-09", 3, ""),
        ("--by week", "2026-08-31", 11, ""),
        ("--last 1w", "2026-11-04 Wed", 7, ""),
        ("--last 4w --by week", "2026-10-19", 4, ""),
        ("--last 1d --by month", "2026-11", 1, ""),
        ("--last 7d --to 2026-10-11", "2026-10-05 Mon", 7, ""),
        ("--to 2026-09-11", "2026-09-01 Tue", 11, ""),
    ],
)
def test_table_shows_a_default_period_with_a_note(  # noqa: PLR0917
    home: Path, capsys: pytest.CaptureFixture[str], words: str, first: str, rows: int, note: str
) -> None:
    settings = Settings(clock=ManualClock(datetime(2026, 11, 9, 22, 30, tzinfo=UTC)))
    assert run(["usage", f"sqlite:{home}", *ZONE, *words.split()], settings) == 0
    out, err = capsys.readouterr()
    labels = [line[:16].rstrip() for line in out.splitlines() if line.startswith("2026")]
    assert labels[0].startswith(first)
    assert err == (f"Note: showing {note}; use --from for more\n" if note else "")
    assert len(labels) == rows


def test_no_note_of_earlier_readings_if_there_are_none(sst: Run, fill: Fill) -> None:
    now = FIRST + timedelta(days=DAYS)
    fill([sample_reading(time=now - timedelta(hours=n), value=9 - n) for n in (0, 1)])
    status, out, err = sst("usage", "sqlite:home.db", "--timezone", "UTC")
    assert (status, "2026-11-09" in out, err) == (0, True, "")


def test_store_without_recent_readings_is_explained(sst: Run, fill: Fill) -> None:
    fill(household(3))
    assert sst("usage", "sqlite:home.db", "--timezone", "UTC") == (
        0,
        "",
        "There are no readings in the last 31 days; use --from for more.\n",
    )


def test_json_covers_the_whole_store(sst: Run, stored: None) -> None:
    uses = json.loads(sst("usage", *ZONE, "--json").out)
    assert uses[0]["start"].startswith("2026-09-01")


def test_repeated_hour_is_labelled_with_its_utc_offset(sst: Run, fill: Fill) -> None:
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    fill([sample_reading(time=start + timedelta(hours=n), value=10 * n) for n in range(5)])
    words = ("--timezone", "Europe/Berlin", "--by", "hour", "--from", "2026-10-25")
    labels = [
        line.rpartition("  10 ")[0].strip()
        for line in sst("usage", "sqlite:home.db", *words).out.splitlines()
        if line.startswith("2026")
    ]
    assert labels == [
        "2026-10-25 00:00",
        "2026-10-25 01:00",
        "2026-10-25 02:00 +02:00",
        "2026-10-25 02:00 +01:00",
    ]


def test_too_many_meters_are_shown_as_sums(sst: Run, sst_on_terminal: Run, fill: Fill) -> None:
    for number in range(12):
        water = ("hot", "cold")[number % 2]
        names = {"name": f"A meter with a very long name {number}", "house": "Home"}
        hours = [FIRST + timedelta(hours=n) for n in range(3)]
        fill(
            [
                sample_reading(time=t, value=n * 10, point_id=f"{number}", water=water, **names)
                for n, t in enumerate(hours)
            ]
        )
    words = ("usage", "sqlite:home.db", "--timezone", "UTC", "--by", "month")
    assert len(sst(*words).out.splitlines()[-3].split()) > 12, "a pipe has room"
    _, out, err = sst_on_terminal(80, *words)
    head, month, *_ = out.splitlines()
    assert head.split() == ["month", "cold", "hot", "all", "covered"]
    assert month.split()[:4] == ["2026-09", "120", "120", "240"]
    assert err == "Note: 12 meters do not fit; use --csv to see them all\n"


def test_long_names_fit_into_the_table(sst_on_terminal: Run, fill: Fill) -> None:
    fill(household(2, house="Somebodys-house-whose-name-never-ends", device="x"))
    fill(household(2, house_id=2, house="Дача"))
    out = sst_on_terminal(80, "usage", "sqlite:home.db", *ZONE, "--from", "2026-09").out
    assert max(map(len, out.splitlines())) <= 80
    assert "█" in out
    assert "Somebodys-house-" in out


def test_ascii_output_draws_bars_with_ascii_characters(home: Path) -> None:
    environ = os.environ | {"PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "sst_cloud.cli", "usage", f"sqlite:{home}", *ZONE]
    words += ["--from", "2026-10-05", "--to", "2026-10-06"]
    out = subprocess.run(words, capture_output=True, env=environ, check=True).stdout.decode()
    assert "In litres, # cold, = hot" in out
    assert "?" not in out
    assert "##########" in out


def test_gap_option_sets_what_counts_as_missing(sst: Run, fill: Fill) -> None:
    """Readings every six hours have no gaps if that is the expected interval."""
    fill([sample_reading(time=FIRST + timedelta(hours=6 * n), value=n) for n in range(40)])
    words = ("usage", "sqlite:home.db", "--timezone", "UTC", "--to", "2026-09-10", "--json")
    assert {use["missing"] for use in json.loads(sst(*words).out)} == {1.0}
    assert json.loads(sst(*words, "--gap", "7h").out)[0]["missing"] == 0


@pytest.mark.not_quick
@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("words", "title", "unit", "labels"),
    [
        ("--from 2026-10-05 --to 2026-10-05 --by hour", "5 October 2026", "L", ["00", "22"]),
        ("--from 2026-10-05 --to 2026-10-11 --by hour", "5 - 11 October 2026", "L", ["06", "18"]),
        ("--from 2026-10 --to 2026-10", "October 2026", "L", ["1", "31"]),
        ("--from 2026-09-30 --to 2026-10-02", "30 September - 2 October 2026", "L", ["30", "2"]),
        ("", "1 September - 10 November 2026", "L", ["7", "9"]),
        ("--by week", "31 August - 15 November 2026", "m³", ["31", "9"]),
        ("--by month", "September - November 2026", "m³", ["Sep", "Nov"]),
    ],
)
def test_plot_has_title_unit_and_labels(
    sst: Run, words: str, title: str, unit: str, labels: list[str]
) -> None:
    status, out, err = sst("usage", *ZONE, *words.split(), "--plot", "it.svg")
    assert (status, out, err) == (0, "", "Saved it.svg.\n")
    texts = [text.strip() for text in _comments(Path("it.svg"))]
    assert f"Home, {title}".replace("-", "\N{EN DASH}") in texts
    assert unit in texts
    assert set(labels) <= set(texts)
    colours = Path("it.svg").read_text()
    assert "#3d8fd1" in colours
    assert "#e2604f" in colours


def _comments(file: Path) -> list[str]:
    """The texts of an SVG by matplotlib, which draws letters as shapes, with comments."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    tree = ET.parse(file, parser)
    return [node.text or "" for node in tree.iter() if callable(node.tag)]


def test_repeated_hour_has_two_bars_in_the_plot(sst: Run, fill: Fill) -> None:
    midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)  # in Berlin, of a day with 25 hours
    tenth_an_hour = [(midnight + timedelta(hours=n), 10 * n) for n in range(26)]
    fill([sample_reading(time=time, value=total) for time, total in tenth_an_hour])
    words = ("usage", "sqlite:home.db", "--timezone", "Europe/Berlin", "--by", "hour")
    assert sst(*words, "--plot", "it.svg").status == 0
    tops = {round(y, 1) for _, y in _corners(Path("it.svg"), "#3d8fd1")}
    assert len(tops) == 2, "all are as high: none is two in one"
    assert len({round(x, 1) for x, _ in _corners(Path("it.svg"), "#3d8fd1")}) == 2 * 25


def _corners(file: Path, colour: str) -> list[tuple[float, float]]:
    """The corners of the bars of a colour."""
    tree = ET.parse(file)
    return [
        (float(x), float(y))
        for node in tree.iter("{http://www.w3.org/2000/svg}path")
        if f"fill: {colour}" in node.get("style", "") and node.get("clip-path")
        for x, y in re.findall(r"[ML] (\S+) (\S+)", node.get("d", ""))
    ]


@pytest.mark.usefixtures("stored")
def test_plot_and_json_are_written_together(sst: Run) -> None:
    out = sst("usage", *ZONE, "--by", "month", "--plot", "it.PNG", "--json").out
    assert Path("it.PNG").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(out)) == 6


def test_plot_accepts_odd_names_and_gaps(sst: Run, fill: Fill) -> None:
    readings = household(20, house="$x_1$ 😀 дача, with a name that is much too long for a title")
    fill([reading for reading in readings if reading.time.day not in (10, 11)])
    status, _, err = sst("usage", "sqlite:home.db", *ZONE, "--plot", "it.svg")
    assert (status, err) == (0, "Saved it.svg.\n")
    assert any("estimated" in text for text in _comments(Path("it.svg")))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were saved."""
    from matplotlib.figure import Figure  # noqa: PLC0415  a test has it imported anew

    figures: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **options: figures.append(self))
    return figures


@pytest.mark.not_quick
@pytest.mark.parametrize("house", ["Flat", "The house by the river", "A very long name " * 12])
def test_plot_has_room_for_title_and_legend(
    sst: Run, fill: Fill, figures: list[Any], house: str
) -> None:
    fill(household(70, house=house))
    assert sst("usage", "sqlite:home.db", *ZONE, "--by", "month", "--plot", "it.png").status == 0
    (title,), (legend,) = figures[0].texts, figures[0].legends
    boxes = title.get_window_extent(), legend.get_window_extent()
    assert not boxes[0].overlaps(boxes[1])
    for box in boxes:
        assert figures[0].bbox.x0 <= box.x0 < box.x1 <= figures[0].bbox.x1
        assert box.y1 <= figures[0].bbox.y1
    assert title.get_text().endswith(", September \N{EN DASH} November 2026")


def test_partly_read_periods_are_paler_in_the_plot(
    sst: Run, stored: None, figures: list[Any]
) -> None:
    """Otherwise the current month looks as if little water was used."""
    words = ("usage", *ZONE, "--by", "month", "--plot", "it.png", "--from", "2026-10")
    assert sst(*words).status == 0
    cold = [to_hex(bar.get_facecolor()) for bar in figures[0].axes[0].containers[0]]
    assert cold == ["#3d8fd1", "#9dc6e8"]
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()][2:] == ["partly read"]


def test_plot_across_new_year_labels_both_years(sst: Run, fill: Fill, figures: list[Any]) -> None:
    start = datetime(2025, 12, 20, tzinfo=UTC)
    fill([sample_reading(time=start + timedelta(hours=n), value=n) for n in range(24 * 20)])
    assert sst("usage", "sqlite:home.db", "--timezone", "UTC", "--plot", "it.png").status == 0
    labels = [label.get_text() for label in figures[0].axes[0].get_xticklabels()]
    assert (labels[0], labels[12]) == ("20\nDec\n2025", "1\nJan\n2026")
    assert {label.count("\n") for label in labels} == {1, 2}


@pytest.mark.not_quick
def test_plot_of_one_period_is_centred(sst: Run, stored: None, figures: list[Any]) -> None:
    words = ("usage", *ZONE, "--by", "month", "--from", "2026-10", "--to", "2026-10")
    assert sst(*words, "--plot", "it.png").status == 0
    left, right = figures[0].axes[0].get_xlim()
    assert left + right == pytest.approx(0)


def test_plot_errors_are_reported(sst: Run, stored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    err = sst("usage", "--plot", "no/it.png").err
    assert "no cannot be written: this folder does not exist; create it first" in err
    Path("it.png").symlink_to("no/it.png")
    assert sst("usage", "--plot", "it.png").err.endswith(
        "it.png cannot be written: No such file or directory\n"
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = sst("usage", "--plot", "it.png")
    assert (status, err) == (
        1,
        "Error: --plot: a plot needs matplotlib: pip install 'sst-cloud[plot]'\n",
    )


def test_matplotlib_is_imported_only_for_plots(sst: Run, stored: None) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[name]
    assert sst("usage", *ZONE).status == 0
    assert "matplotlib" not in sys.modules
