"""The systemd unit, as far as it can be checked without systemd as init."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sinks.influxdb.servers import binary
from sst_cloud.cli.settings import Settings

PROGRAM = Path(sys.executable).parent / "sst-cloud"


def settings(text: str) -> dict[str, list[str]]:
    """What a unit sets, by name."""
    values: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
        values.setdefault(name, []).append(value)
    return values


@pytest.fixture
def unit(home: Path, tmp_path: Path) -> Path:
    """The unit, with the local path of the program."""
    text = (home / "sst-cloud.service").read_text()
    file = tmp_path / "sst-cloud.service"
    file.write_text(text.replace("/opt/sst-cloud/bin/sst-cloud", str(PROGRAM)))
    return file


def analyze(*args: object) -> subprocess.CompletedProcess[str]:
    command = [binary("systemd-analyze"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_verifies_the_unit(unit: Path) -> None:
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSek"))
    assert "Unknown key 'WatchdogSek'" in analyze("verify", "--man=no", unit).stderr


def test_unit_is_hardened_except_for_the_network(unit: Path) -> None:
    """Of 10 exposure points 1.1 are left: network access, and a visible root folder."""
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=11", unit)
    assert done.returncode == 0, done.stdout
    left = set(re.findall(r"(?m)^✗ (\w+)", done.stdout))
    assert left <= {
        "RootDirectory",
        "RestrictAddressFamilies",
        "PrivateNetwork",
        "DeviceAllow",  # the clock may be read, which ProtectClock= lets pass
        "IPAddressDeny",
    }


def test_state_is_kept_in_the_folder_of_systemd(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = settings(unit.read_text())
    assert values["StateDirectory"] == ["sst-cloud"]
    assert values["WorkingDirectory"] == ["%S/sst-cloud"]
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert Settings().state == tmp_path


def test_unit_has_time_limits_for_stop_and_watchdog(unit: Path) -> None:
    """It stops within 5 s; the watchdog is fed at half of its time."""
    values = settings(unit.read_text())
    assert int(values["TimeoutStopSec"][0]) > 5
    assert values["Type"] == ["notify"]
    assert values["WatchdogSec"] == ["3min"]
    assert values["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
