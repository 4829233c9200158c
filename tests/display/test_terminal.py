"""Snapshots, readings, usage and reports as rich shows them in a terminal or a notebook."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from rich.console import Console

from sst_cloud import ManualClock, Reading, Snapshot, SSTCloud, TokenAuth
from sst_cloud.display.terminal import (
    ReportTable,
    SnapshotTable,
    UsageTable,
    readings_table,
    report_text,
    snapshot_tree,
)
from sst_cloud.metering.usage import Usage, usage
from sst_cloud.metering.utility_report import Report, report
from sst_cloud.testing import FakeCloud
from sst_cloud.testing.sink_contract import sample_reading

START = datetime(2026, 11, 1, tzinfo=UTC)
RED_ALARM = "\x1b[1;31m"


def shown(item: Any, width: int = 120, **options: Any) -> str:
    console = Console(file=StringIO(), width=width, highlight=False, **options)
    console.print(item, crop=False)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def lines(text: str) -> list[str]:
    """The lines, with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def totals(*litres: int, **changes: Any) -> list[Reading]:
    """Hourly totals of a meter."""
    return [
        sample_reading(time=START + timedelta(hours=hour), value=value, **changes)
        for hour, value in enumerate(litres)
    ]


@pytest.fixture
async def snapshot() -> Snapshot:
    clock = ManualClock()
    async with (
        FakeCloud(clock=clock) as fake,
        SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=clock) as cloud,
    ):
        return await cloud.snapshot()


def test_tree_has_houses_devices_and_values(snapshot: Snapshot) -> None:
    text = shown(snapshot_tree(snapshot))
    for house in snapshot.houses:
        assert house.name in text
    assert "Bathroom  Neptun Smart  available" in text
    assert "Garden  cold 64.220 m³" in text
    assert RED_ALARM not in shown(snapshot_tree(snapshot), force_terminal=True)


def test_snapshot_table_has_problems_first(snapshot: Any) -> None:
    sensor, *others = snapshot.wireless_sensors
    leaking = attrs.evolve(sensor, leak=True)
    alarming = attrs.evolve(snapshot, wireless_sensors=(leaking, *others))
    table = SnapshotTable(alarming, hint="q to stop", error="no \x1bnetwork")
    time, error, head, first, *rest = shown(table).splitlines()
    assert time == f"{snapshot.time.astimezone():%Y-%m-%d %H:%M:%S}  q to stop"
    assert error == "no \N{REPLACEMENT CHARACTER}network"
    assert head.split() == ["house", "device", "point", "reports"]
    assert leaking.name in first
    assert "leak" in first
    assert any(line.rstrip().endswith("ok") for line in rest)
    assert RED_ALARM in shown(table, force_terminal=True)


def test_snapshot_table_fits_a_terminal(snapshot: Snapshot) -> None:
    text = shown(SnapshotTable(snapshot), force_terminal=True, height=10)
    assert len(text.splitlines()) == 9
    assert text.splitlines()[-1].startswith("… and ")


def test_readings_table_leaves_out_empty_columns() -> None:
    moscow = ZoneInfo("Europe/Moscow")
    meters = [sample_reading(time=START, house="[b]Home"), sample_reading(time=START, house_id=7)]
    head, first, second = lines(shown(readings_table(meters, zones={7: moscow})))
    assert head == "house device name water value time"
    assert first == "[b]Home Bathroom Cold cold 123.450 m³ 2026-11-01 00:00"
    assert second.endswith("2026-11-01 03:00")
    leak = sample_reading(quantity="leak", value=True, point="module", water=None)
    head, _ = lines(shown(readings_table([leak], moscow)))
    assert head == "house device name quantity value time"
    assert shown(readings_table([])).strip() == ""


def two_meters() -> list[Usage]:
    hot = {"point_id": "4", "name": "Hot", "water": "hot"}
    return usage([*totals(0, 10, 30), *totals(5, 5, 10, **hot)], "hour")


def test_usage_has_a_column_for_each_meter() -> None:
    text = shown(UsageTable(two_meters(), "hour"))
    head, first, second, total, legend = lines(text)
    assert head == "hour Cold Hot all"
    assert first.startswith("2026-11-01 00:00 10 0 10 █")
    assert second.startswith("2026-11-01 01:00 20 5 25 █")
    assert second.endswith("█▒▒▒▒▒")
    assert total == "total 30 5 35"
    assert legend == "In litres · █ cold · ▒ hot"


def test_usage_on_a_narrow_terminal_is_summed_up_by_water() -> None:
    many: list[Reading] = []
    for number in range(12):
        water = ("cold", "hot")[number % 2]
        name = f"A long name {number}"
        many += totals(0, 10, 20, point_id=f"{number}", name=name, water=water)
    table = UsageTable(usage(many, "day"), "day")

    def has_all(width: int, *, terminal: bool) -> bool:
        return table.has_all_meters(Console(file=StringIO(), width=width, force_terminal=terminal))

    assert not has_all(60, terminal=True)
    assert has_all(300, terminal=True)
    assert has_all(60, terminal=False), "a pipe has space"
    head, day, *_ = shown(table, width=60, force_terminal=True, no_color=True).splitlines()
    assert "cold" in head
    assert "long" not in head
    assert {"120", "240"} <= set(day.split())


def test_usage_is_never_cut() -> None:
    text = shown(UsageTable(two_meters(), "hour"), width=12)
    assert "2026-11-01 01:00" in text
    assert lines(text)[3] == "total 30 5 35"


def test_usage_names_gaps_and_replaced_meters() -> None:
    readings = [*totals(100, 110), *totals(0, 0, 0, 0, 0, 0)[5:]]
    text = shown(UsageTable(usage(readings, "hour"), "hour", timedelta(hours=3)))
    assert "Cold: 110 L, then 0 L on 2026-11-01 05:00; replaced?" in text
    gap = usage([*totals(0), *totals(0, 0, 0, 0, 0, 50)[5:]], "hour")
    legend = shown(UsageTable(gap, "hour", timedelta(hours=4))).splitlines()[-1]
    assert legend.endswith("≈ partly estimated: readings are more than 4 h apart")


def test_no_usage_is_an_empty_table() -> None:
    assert lines(shown(UsageTable([], "day"))) == ["day", "total", "In litres"]


def one_report(readings: Sequence[Reading]) -> Report:
    (house_report,) = report(readings, START, START + timedelta(hours=4))
    return house_report


def test_report_is_a_table_with_notes() -> None:
    house_report = one_report(totals(1_900, 2_100, 3_050, house="[b]Home"))
    assert house_report.title == "[b]Home, October 2026"
    heading, empty, head, meter, total = lines(shown(ReportTable(house_report)))
    assert heading == f"{house_report.title}: 2026-11-01 00:00 to 2026-11-01 04:00"
    assert (empty, head) == ("", "meter water before, m³ read now, m³ read used, m³")
    assert meter == "Cold cold 1 01 Nov 00:00 3 01 Nov 02:00 2"
    assert total == "all cold cold 2"
    replaced = one_report(totals(1_900, 2_100, 0, 0, 0))
    assert "\n\nNote: Cold: it showed 2.100 m³, then 0.000 m³ on" in report_text(replaced)


def test_report_as_text_has_no_trailing_spaces_and_no_colours() -> None:
    house_report = one_report(totals(1_900, 2_100, 3_050))
    text = report_text(house_report)
    assert text.split() == shown(ReportTable(house_report)).split()
    assert text.endswith("\n")
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "\x1b" not in text


def test_notebook_shows_them_as_html(snapshot: Snapshot) -> None:
    for item, word in (
        (snapshot_tree(snapshot), "Garden"),
        (SnapshotTable(snapshot), "Garden"),
        (readings_table(totals(1)), "Bathroom"),
        (UsageTable(two_meters(), "hour"), "total"),
        (ReportTable(one_report(totals(1, 2))), "Cold"),
    ):
        page = item._repr_mimebundle_([], [])["text/html"]
        assert word in page
        assert "<pre" in page


def test_missing_rich_is_an_error_with_a_hint() -> None:
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "try:\n    from sst_cloud.display.terminal import snapshot_tree\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a table for a terminal needs rich: pip install 'sst-cloud[cli]'\n"
