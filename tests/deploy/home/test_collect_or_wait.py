"""The entry point of the container: which failures it passes on to Docker."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

WAITING: Final = f"""\
#!{sys.executable}
import os, signal, sys

def say(word):
    with open(os.environ["OUTPUT"], "w") as said:
        said.write(word)

signal.signal(signal.SIGHUP, lambda *_: say("HUP"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
say("waiting")
while True:
    signal.pause()
"""
"""A program that reports the signals it receives until SIGTERM."""


class Container:
    """The entry point of the image, with substitutes for `sst-cloud` and `sleep` that report."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._script = str(home / "collect-or-wait.sh")
        self._folder = folder
        self.output = folder / "output"
        os.mkfifo(self.output)

    def program(self, name: str, script: str) -> None:
        file = self._folder / name
        file.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "sh",
            self._script,
            *words,
            env={"PATH": f"{self._folder}:{os.defpath}", "OUTPUT": str(self.output)},
            stderr=asyncio.subprocess.PIPE,
        )

    async def next_word(self) -> str:
        """The next output of one of the programs."""
        async with asyncio.timeout(10):
            return (await asyncio.to_thread(self.output.read_text)).strip()


@pytest.fixture
def container(home: Path, tmp_path: Path) -> Container:
    return Container(home, tmp_path)


@pytest.mark.parametrize("status", [0, 1, 4, 137])
async def test_temporary_failure_is_passed_on_to_docker(container: Container, status: int) -> None:
    container.program("sst-cloud", f"exit {status}")
    container.program("sleep", "exit 99")
    process = await container.start("collect", "--quiet")
    _, stderr = await process.communicate()
    assert stderr == b""
    assert process.returncode == status


@pytest.mark.parametrize("status", [2, 3])
async def test_permanent_failure_waits_an_hour_before_it_ends(
    container: Container, status: int
) -> None:
    container.program("sst-cloud", f"exit {status}")
    container.program("sleep", "echo $* > $OUTPUT")
    process = await container.start("collect")
    assert await container.next_word() == "3600"
    _, stderr = await process.communicate()
    assert b"docker compose restart" in stderr
    assert process.returncode == status


async def test_signals_to_the_container_reach_the_collector(container: Container) -> None:
    container.program("sst-cloud", WAITING)
    process = await container.start("collect")
    assert await container.next_word() == "waiting"
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        assert await container.next_word() == "HUP"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_stopping_the_container_ends_the_hour_of_waiting(container: Container) -> None:
    container.program("sst-cloud", "exit 3")
    container.program("sleep", WAITING)
    process = await container.start("collect")
    assert await container.next_word() == "waiting"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 3


async def test_other_commands_exit_with_their_own_status(container: Container) -> None:
    container.program("sst-cloud", "echo $* > $OUTPUT; exit 3")
    container.program("sleep", "exit 99")
    process = await container.start("check", "--json")
    assert await container.next_word() == "check --json"
    await process.communicate()
    assert process.returncode == 3
