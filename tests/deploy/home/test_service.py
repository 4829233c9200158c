"""The unit for systemd, as far as systemd can be asked without running as its init."""

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
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def unit(home: Path, tmp_path: Path) -> Path:
    """The unit, with the program where it is here."""
    text = (home / "sst-cloud.service").read_text()
    file = tmp_path / "sst-cloud.service"
    file.write_text(text.replace("/opt/sst-cloud/bin/sst-cloud", str(PROGRAM)))
    return file


def analyze(*args: object) -> subprocess.CompletedProcess[str]:
    command = [binary("systemd-analyze"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_has_nothing_against_it(unit: Path) -> None:
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSek"))
    assert "Unknown key 'WatchdogSek'" in analyze("verify", "--man=no", unit).stderr


def test_what_is_left_open_is_the_network(unit: Path) -> None:
    """Of 10 points of exposure 1.1 are left: it talks to the network, and sees the root folder."""
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


def test_state_is_kept_where_systemd_says(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = settings(unit.read_text())
    assert said["StateDirectory"] == ["sst-cloud"]
    assert said["WorkingDirectory"] == ["%S/sst-cloud"]
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert Settings().state == tmp_path


def test_there_is_time_to_stop(unit: Path) -> None:
    """It stops within 5 s; the watchdog is fed at half of its time."""
    said = settings(unit.read_text())
    assert int(said["TimeoutStopSec"][0]) > 5
    assert said["Type"] == ["notify"]
    assert said["WatchdogSec"] == ["3min"]
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
