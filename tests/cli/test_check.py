"""`sst-cloud check`: one line for each thing that `collect` would use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sst_cloud.plugins import InstalledPlugin
from sst_cloud.testing import FakeCloud, Status

from .conftest import Run


def test_working_setup_passes_every_check(
    sst: Run, logged_in: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sinks = ("--sink", "sqlite:home.db", "--sink", "csv:readings.csv")
    status, out, err = sst("check", *sinks, "--on-event", "true --not-run")
    assert (status, err) == (0, "")
    cloud, folder, sqlite, csv, handler = out.splitlines()
    assert cloud.startswith(f"SST Cloud at {logged_in.url[7:]}: ok - 2 houses, 4 devices, ")
    assert cloud.endswith(" readings")
    assert folder.endswith("/sst-cloud: ok")
    assert (sqlite, csv) == ("sqlite:home.db: ok", "csv:readings.csv: ok")
    assert handler.startswith("true…")
    assert handler.endswith(": ok")
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_size] == []


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [("TERM", "xterm", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)],
)
def test_colours_follow_the_environment_variables(  # noqa: PLR0917
    sst: Run,
    logged_in: FakeCloud,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    coloured: bool,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    assert ("\x1b[" in sst("check", "--sink", "stdout:").out) is coloured


def test_each_problem_has_its_own_line(
    sst: Run, logged_in: FakeCloud, tmp_path: Path, unused_tcp_port: int
) -> None:
    logged_in.expire_tokens()
    status, out, err = sst(
        "check",
        *("--sink", "sqlite:/nowhere/home.db"),
        *("--sink", f"influxdb:http://127.0.0.1:{unused_tcp_port}/home"),
        *("--sink", "sqlite:home.db?colour=red"),
        *("--sink", "nonsense"),
        *("--sink", "stdout:"),
        *("--on-event", "/nowhere/ring"),
        *("--on-event", "'unclosed"),
        *("--on-event", "https://hooks.example/s3cret"),
        *("--state", "/proc/nowhere"),
    )
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert len(lines) == 10
    for line, words in zip(
        lines,
        (
            "failed - ",
            "/proc/nowhere: failed - /proc cannot be written to: ",
            "sqlite:/nowhere/home.db: failed - ",
            f"failed - 127.0.0.1:{unused_tcp_port} cannot be reached",
            "failed - the sqlite sink has no option 'colour'",
            "nonsense: failed - 'nonsense' is not a sink URL",
            "stdout:: ok",
            "failed - command '/nowhere/ring' not found or not executable",
            "event handler: failed - ",
            "ok - not tested, as that would post something",
        ),
        strict=True,
    ):
        assert words in line
    assert "Invalid token" in lines[0]
    assert "s3cret" not in out


def test_check_results_as_json(sst: Run, logged_in: FakeCloud) -> None:
    status, out, _ = sst("check", "--json", "--house", "Palace", "--sink", "stdout:")
    assert status == 1
    cloud, _, sink = json.loads(out)
    assert (cloud["name"], cloud["ok"]) == (f"SST Cloud at {logged_in.url[7:]}", False)
    assert "there is no house 'Palace'; SST Cloud at" in cloud["detail"]
    assert sink == {"name": "stdout:", "ok": True, "detail": ""}


def test_only_the_chosen_house_is_checked(sst: Run, logged_in: FakeCloud) -> None:
    assert ": ok - 1 house, " in sst("check", "--house", "Flat").out


def test_missing_login_fails_the_check(sst: Run, cloud: FakeCloud) -> None:
    status, out, _ = sst("check")
    assert status == 1
    first, *others = out.splitlines()
    assert "failed - not logged in to" in first
    assert "; run `sst-cloud login`, or set SST_CLOUD_TOKEN" in first
    assert len(others) == 1


def test_server_error_fails_the_check(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Status(500))
    status, out, _ = sst("check")
    assert status == 1
    assert "HTTP 500" in out


def test_unreadable_device_is_counted(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.devices[0].overrides["type"] = "?"
    status, out, _ = sst("check")
    assert status == 0
    assert out.splitlines()[0].endswith(", 1 unreadable")


def test_account_without_houses_fails_the_check(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.account.houses.clear()
    status, out, _ = sst("check")
    assert status == 1
    assert "has no houses; if the account was migrated to the ATLAS app" in out


def test_hanging_sink_does_not_block_the_other_checks(logged_in: FakeCloud, tmp_path: Path) -> None:
    """The sink is a pipe without a reader, so opening it hangs."""
    os.mkfifo(tmp_path / "pipe")
    program = (
        "import sys; from sst_cloud.cli import main; "
        "from sst_cloud.collector import checks, shutdown; "
        "checks._TIMEOUT = shutdown._EXIT_TIMEOUT = 0.2; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "--sink", "csv:pipe", "--state", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [".: ok", "csv:pipe: failed - no response within 0.2 s"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("raised", "message"),
    [(RuntimeError("oops"), "RuntimeError: oops"), (TimeoutError("late"), "TimeoutError: late")],
)
def test_exception_of_a_third_party_sink_is_reported(
    sst: Run,
    logged_in: FakeCloud,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    message: str,
) -> None:
    def load(_: InstalledPlugin[object]) -> None:
        raise raised

    monkeypatch.setattr(InstalledPlugin, "load", load)
    status, out, _ = sst("check", "--sink", "stdout:")
    assert status == 1
    assert f"stdout:: failed - {message}" in out


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "folder"])
def test_unusable_outbox_fails_the_check(
    sst: Run, logged_in: FakeCloud, tmp_path: Path, damage: str
) -> None:
    state = tmp_path / "state"
    sst("collect", "--once", "--state", str(state), "--sink", f"csv:{tmp_path}/no/folder.csv")
    outbox = state / "outbox.db"
    content = outbox.read_bytes()
    if damage == "folder":
        outbox.unlink()
        outbox.mkdir()
    else:
        outbox.write_bytes({"empty": b"", "garbage": b"x" * 9000, "cut": content[:9000]}[damage])
    status, out, _ = sst("check", "--state", str(state), "--sink", f"csv:{tmp_path}/home.csv")
    assert status == 1
    assert f"{state}: failed" in out
