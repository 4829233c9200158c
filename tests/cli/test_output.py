"""Output that cannot be written, and its encoding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sst_cloud.cli import main
from sst_cloud.outbox import read_status
from sst_cloud.testing import FakeCloud

from .conftest import PROGRAM

pytestmark = pytest.mark.not_quick


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


@pytest.mark.parametrize("command", [["read"], ["collect", "--once", "--quiet", "--state", "s"]])
def test_other_sinks_get_their_readings_if_the_output_pipe_is_closed(
    logged_in: FakeCloud, folder: Path, command: list[str]
) -> None:
    first, second = os.pipe()
    os.close(first)
    words = [*PROGRAM, *command, "--sink", "stdout:", "--sink", "csv:home.csv"]
    done = subprocess.run(words, stdout=second, stderr=subprocess.PIPE, text=True, check=False)
    os.close(second)
    assert (done.returncode, "Error" in done.stderr) == (0, False)
    assert len((folder / "home.csv").read_text().splitlines()) == 53


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
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(SystemExit) as caught:
        main(["houses"])
    assert "pip install 'sst-cloud[cli]'" in str(caught.value)
