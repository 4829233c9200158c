"""The collector started like the systemd unit does, with the config file of the example."""

import asyncio
import os
import re
import shlex
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import click
import pytest
from prometheus_client.parser import text_string_to_metric_families

from docs.snippets import snippets
from sst_cloud import SystemClock
from sst_cloud.cli.collect_options import options_of_file
from sst_cloud.cli.commands.collect import collect
from sst_cloud.cli.config import Config
from sst_cloud.collector.metrics import exposition
from sst_cloud.outbox import SinkStatus, Status
from sst_cloud.quantities import Quantity
from sst_cloud.source import DEFAULT_SOURCE
from sst_cloud.testing import FakeCloud
from sst_cloud.testing.sink_contract import sample_reading

from .conftest import ROOT

PAGE = ROOT / "docs" / "running-at-home.md"
PROGRAM = Path(sys.executable).parent / "sst-cloud"
PATIENCE = 30.0
"""Seconds allowed on a busy machine; one second is usually enough."""


@attrs.frozen
class Machine:
    """Folders and a socket as systemd gives them to a service."""

    state: Path
    credentials: Path
    channel: socket.socket

    def environment(self, cloud: FakeCloud) -> dict[str, str]:
        return os.environ | {
            "SST_CLOUD_URL": cloud.url,
            "STATE_DIRECTORY": str(self.state),
            "CREDENTIALS_DIRECTORY": str(self.credentials),
            "NOTIFY_SOCKET": self.channel.getsockname(),
            "WATCHDOG_USEC": "200000",
        }

    async def next_message(self, beginning: str) -> str:
        """The next message with this beginning; others are skipped."""
        async with asyncio.timeout(PATIENCE):
            while True:
                raw = await asyncio.get_running_loop().sock_recv(self.channel, 4096)
                if raw.decode().startswith(beginning):
                    return raw.decode()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for name in ("state", "credentials"):
        (tmp_path / name).mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.bind(str(tmp_path / "notify"))
        yield Machine(tmp_path / "state", tmp_path / "credentials", channel)


def started_by_the_unit(home: Path) -> list[str]:
    """The words of `ExecStart=`, with the local paths of the program and its file."""
    (line,) = re.findall(r"(?m)^ExecStart=(.*)$", (home / "sst-cloud.service").read_text())
    here = {
        "/opt/sst-cloud/bin/sst-cloud": str(PROGRAM),
        "/etc/sst-cloud/collect.toml": str(home / "collect.toml"),
    }
    return [here.get(word, word) for word in shlex.split(line)]


async def test_service_of_the_example_collects_readings(home: Path, machine: Machine) -> None:
    async with FakeCloud(clock=SystemClock()) as cloud:
        (machine.credentials / "token").write_text(f"{cloud.token}\n")
        (machine.credentials / "token").chmod(0o400)
        program = await asyncio.create_subprocess_exec(
            *started_by_the_unit(home),
            env=machine.environment(cloud),
            cwd=machine.state,
            stdin=DEVNULL,
            stderr=PIPE,
        )
        try:
            await machine.next_message("READY=1")
            first = await machine.next_message("STATUS=")
            assert re.fullmatch(r"STATUS=\d+ readings at .*Z", first)
            for _ in range(3):
                await machine.next_message("WATCHDOG=1")
            program.send_signal(signal.SIGHUP)  # as `systemctl reload` does
            await machine.next_message("STATUS=")
            assert "running       yes" in await status_of(machine)
            program.send_signal(signal.SIGTERM)
            await machine.next_message("STOPPING=1")
            _, output = await asyncio.wait_for(program.communicate(), 5)
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
    assert (program.returncode, output.decode()) == (0, "")
    with closing(sqlite3.connect(machine.state / "home.db")) as store:
        (times,) = store.execute("SELECT count(DISTINCT time) FROM readings").fetchone()
    assert times >= 1
    status_text = await status_of(machine)
    assert "running       no" in status_text
    assert "sqlite:home.db  idle" in status_text


async def status_of(machine: Machine) -> str:
    status = await asyncio.create_subprocess_exec(
        PROGRAM, "status", "--state", machine.state, stdout=PIPE
    )
    output, _ = await status.communicate()
    assert status.returncode == 0
    return output.decode()


async def test_service_without_a_token_reports_a_clear_error(home: Path, machine: Machine) -> None:
    async with FakeCloud(clock=SystemClock()) as cloud:
        program = await asyncio.create_subprocess_exec(
            *started_by_the_unit(home),
            env=machine.environment(cloud),
            cwd=machine.state,
            stderr=PIPE,
        )
        _, stderr = await asyncio.wait_for(program.communicate(), PATIENCE)
    assert program.returncode == 3
    file = machine.credentials / "token"
    assert f"Error: the token cannot be read from {file}: No such file" in stderr.decode()


def read(file: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A file, read as `collect` reads it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    for name in ("token", "influxdb"):
        (credentials / name).write_text("secret")
        (credentials / name).chmod(0o400)
    return Config.read(file, options_of_file(), click.Context(collect))


def test_commented_out_settings_of_the_example_are_valid(
    home: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (home / "collect.toml").read_text()
    everything = re.sub(r'(?m)^( *)# (?=\w+ = |\[|")', r"\1", text)
    file = tmp_path / "collect.toml"
    file.write_text(everything)
    config = read(file, machine.credentials, monkeypatch)
    assert set(config.options) == {
        "sources",
        "sinks",
        "every",
        "on_event",
        "metrics",
        "house_names",
    }
    assert config.options["sources"] == [DEFAULT_SOURCE]
    assert config.options["every"] == "20m"
    assert len(config.options["sinks"]) == 2
    assert config.account.token_file == machine.credentials / "token"
    assert config.secrets == {"INFLUXDB_TOKEN": "secret"}
    assert config.handler_env == {"SST_CLOUD_TOKEN": "secret"}


def test_config_file_shown_on_the_page_is_valid(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toml_snippet,) = [snippet for snippet in snippets(PAGE) if snippet.language == "toml"]
    (tmp_path / "collect.toml").write_text(toml_snippet.text)
    config = read(tmp_path / "collect.toml", machine.credentials, monkeypatch)
    assert set(config.options) == {"sinks", "every", "on_event", "metrics"}


def test_every_metric_is_documented_on_the_page() -> None:
    now = SystemClock().now()
    sink = SinkStatus(name="x", oldest=now, last_success=now)
    status = Status(last_poll=now, last_success=now, sinks=(sink,))
    readings = [
        sample_reading(quantity=quantity, value=quantity.is_boolean or 1) for quantity in Quantity
    ]
    families = text_string_to_metric_families(exposition(status, readings).decode())
    names = {sample.name for family in families for sample in family.samples}
    assert len(names) > 25
    page = PAGE.read_text()
    for name in names:
        suffix = name.removeprefix("sst_cloud")
        assert f"`{name}`" in page or f"`…{suffix}`" in page
