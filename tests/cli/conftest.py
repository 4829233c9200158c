"""The command line in this process, against a cloud in a thread of its own."""

import asyncio
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sst_cloud import ManualClock
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.testing import FakeCloud


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]

PROGRAM = (sys.executable, "-m", "sst_cloud.cli")
"""The command line in a process of its own."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sst(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `sst-cloud` with some arguments."""

    def invoke(*args: str) -> Outcome:
        status = run(args, Settings(clock=ManualClock()))
        return Outcome(status, *capsys.readouterr())

    return invoke


@pytest.fixture
def sst_on_terminal(sst: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sst-cloud` on a terminal with this many columns; returns the output without colours."""

    def invoke(columns: int, *args: str) -> Outcome:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", f"{columns}")
        monkeypatch.setenv("TERM", "xterm")
        status, out, err = sst(*args)
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out).splitlines(keepends=True)
        return Outcome(status, "".join(f"{line.rstrip()}\n" for line in lines), err)

    return invoke


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    """A cloud for commands that run their own event loop; SST_CLOUD_URL points to it."""
    started, stop = threading.Event(), asyncio.Event()
    fake = FakeCloud(clock=ManualClock())
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with fake:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(10)
    monkeypatch.setenv("SST_CLOUD_URL", fake.url)
    yield fake
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def logged_in(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    """The cloud, with its token in the environment."""
    monkeypatch.setenv("SST_CLOUD_TOKEN", cloud.token)
    return cloud
