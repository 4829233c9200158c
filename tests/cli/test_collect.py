"""`sst-cloud collect`: its options, sinks and exit status."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sst_cloud.cli.settings import Settings
from sst_cloud.cloud.credentials import Account
from sst_cloud.testing import FakeCloud, Status

from .conftest import Run


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
    assert (" has new data only every 10 min or so" in err) is warned


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
        ("provision", "timestream:home/meters?magnetic=9999999y"),
        ("collect", "--sink", "csv:b.csv", "--once", "--night", "01:00+03:00-05:00"),
    ],
)
def test_implausible_times_are_refused(sst: Run, folder: Path, words: tuple[str, ...]) -> None:
    status, _, err = sst(*words)
    assert (status, "Error: " in err) == (2, True)
