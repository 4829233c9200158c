"""The program of the container: what it leaves to Docker, and what it does not."""

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
    with open(os.environ["SAID"], "w") as said:
        said.write(word)

signal.signal(signal.SIGHUP, lambda *_: say("HUP"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
say("waiting")
while True:
    signal.pause()
"""
"""A program that says what it is told, until it is told to end."""


class Container:
    """What the image starts, with programs in place of `sst-cloud` and `sleep` that say so."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._script = str(home / "collect-or-wait.sh")
        self._folder = folder
        self.said = folder / "said"
        os.mkfifo(self.said)

    def program(self, name: str, script: str) -> None:
        file = self._folder / name
        file.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "sh",
            self._script,
            *words,
            env={"PATH": f"{self._folder}:{os.defpath}", "SAID": str(self.said)},
            stderr=asyncio.subprocess.PIPE,
        )

    async def next_word(self) -> str:
        """What one of the programs writes, as soon as it does."""
        async with asyncio.timeout(10):
            return (await asyncio.to_thread(self.said.read_text)).strip()


@pytest.fixture
def container(home: Path, tmp_path: Path) -> Container:
    return Container(home, tmp_path)


@pytest.mark.parametrize("status", [0, 1, 4, 137])
async def test_what_may_be_gone_at_the_next_try_is_left_to_docker(
    container: Container, status: int
) -> None:
    container.program("sst-cloud", f"exit {status}")
    container.program("sleep", "exit 99")
    process = await container.start("collect", "--quiet")
    _, said = await process.communicate()
    assert said == b""
    assert process.returncode == status


@pytest.mark.parametrize("status", [2, 3])
async def test_what_must_be_mended_is_not_tried_again_at_once(
    container: Container, status: int
) -> None:
    container.program("sst-cloud", f"exit {status}")
    container.program("sleep", "echo $* > $SAID")
    process = await container.start("collect")
    assert await container.next_word() == "3600"
    _, said = await process.communicate()
    assert b"docker compose restart" in said
    assert process.returncode == status


async def test_the_collector_is_told_what_the_container_is(container: Container) -> None:
    container.program("sst-cloud", WAITING)
    process = await container.start("collect")
    assert await container.next_word() == "waiting"
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        assert await container.next_word() == "HUP"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_the_hour_ends_when_the_container_is_stopped(container: Container) -> None:
    container.program("sst-cloud", "exit 3")
    container.program("sleep", WAITING)
    process = await container.start("collect")
    assert await container.next_word() == "waiting"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 3


async def test_other_commands_end_as_ever(container: Container) -> None:
    container.program("sst-cloud", "echo $* > $SAID; exit 3")
    container.program("sleep", "exit 99")
    process = await container.start("check", "--json")
    assert await container.next_word() == "check --json"
    await process.communicate()
    assert process.returncode == 3
