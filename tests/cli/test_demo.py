"""`sst-cloud demo` and `sst-cloud fake`: nothing real is touched."""

import os
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from sst_cloud.testing import FakeCloud

from .conftest import PROGRAM, Run

pytestmark = pytest.mark.not_quick


def test_demo_can_be_run_repeatedly(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SST_CLOUD_TOKEN", "of somebody else")
    for _ in range(2):
        status, out, _ = sst("demo")
        assert status == 0
    assert "$ sst-cloud collect --sink sqlite:demo.db --every 20m --polls 73" in out
    assert "Garden" in out
    hours = [line for line in out.splitlines() if line[:3] == "202" and ":00 " in line]
    assert len(hours) == 24
    with closing(sqlite3.connect(folder / "demo.db")) as database:
        query = "SELECT count(DISTINCT time), count(*) FROM readings WHERE quantity = 'volume'"
        polls, readings = database.execute(query).fetchone()
    assert polls >= 73
    assert readings == 5 * polls


def test_demo_does_not_touch_real_settings_or_state(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up readings must never get into a real outbox or be sent to the owner."""
    (folder / "collect.toml").write_text('sink = ["csv:real.csv"]\nhouse = ["Real"]\n')
    monkeypatch.setenv("SST_CLOUD_CONFIG", "collect.toml")
    monkeypatch.setenv("SST_CLOUD_STATE", "real")
    monkeypatch.setenv("SST_CLOUD_STORE", "sqlite:real.db")
    status, out, err = sst("demo", "--store", "sqlite:my demo.db")
    assert (status, err) == (0, "")
    assert "$ sst-cloud latest 'sqlite:my demo.db'" in out
    assert sorted(file.name for file in folder.iterdir()) == ["collect.toml", "my demo.db"]
    assert os.environ["SST_CLOUD_STATE"] == "real"


def test_fake_cloud_runs_until_interrupted() -> None:
    program = subprocess.Popen(
        [*PROGRAM, "fake", "--latency", "0.001"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().split(" is running at ")[1].split()[0]
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            urllib.request.urlopen(f"{url}/houses/")
        caught.value.close()
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate()
    assert program.returncode == 130


def test_port_in_use_is_an_error(sst: Run, cloud: FakeCloud) -> None:
    status, _, err = sst("fake", "--port", cloud.url.rpartition(":")[2])
    assert status == 1
    assert "cannot be used: Address already in use" in err
