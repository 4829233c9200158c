"""`import` and `dead-letters replay`, killed repeatedly, in a separate program."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from random import Random
from threading import Thread
from typing import Final
from unittest.mock import patch

import attrs

from collector.killed import Unreliable
from collector.killing import end_of, fork, kill, write_down
from sst_cloud import Reading, Rejection, Sink, open_sink
from sst_cloud.cli.app import run
from sst_cloud.outbox import DeadLetters
from sst_cloud.testing.sink_contract import START, sample_reading

SOURCE: Final = "source.csv"
TARGETS: Final = ("copy.csv", "copy.db")
IMPORTED: Final = "imported.jsonl"
"""The output of finished imports, each with the file it wrote to."""
STORE: Final = "home.db"
STATE: Final = "state"
REJECTED: Final = "rejected.jsonl"
"""The values of all readings that became dead letters, once they were in the file."""
LOG: Final = "log.txt"

HERE: Final = Path()
TOGETHER: Final = 5
"""Readings rejected at once."""
MOST: Final = 10_000
"""More than are rejected in one round."""


@attrs.frozen(kw_only=True)
class Plan:
    """The parameters of a run, passed from the test as JSON."""

    folder: str
    seed: int
    rounds: int
    command: str
    longest: float
    """Maximum seconds that a command works before it is killed."""


def main(plan: Plan) -> None:
    """Kill this many times, then let a last run finish. Prints how the forks ended."""
    os.chdir(plan.folder)
    logging.basicConfig(filename=LOG, level=logging.WARNING)
    open_sink("csv:once")  # looks for the installed sinks, which takes longest the first time
    ends = {"killed": 0, "well": 0, "badly": 0}
    random = Random(plan.seed)
    kill_one, finish = {
        "import": (_kill_import, [partial(_import, target, once=False) for target in TARGETS]),
        "replay": (_kill_replay, [partial(_replay, None)]),
    }[plan.command]
    for number in range(plan.rounds):
        ends[kill_one(number, random, random.uniform(0, plan.longest))] += 1
    for work in finish:
        ends[end_of(fork(work, HERE))] += 1
    json.dump(ends, sys.stdout)


def reading(number: int) -> Reading:
    """A unique reading of a meter."""
    return sample_reading(time=START + number * timedelta(minutes=1), value=number)


def _kill_import(number: int, random: Random, seconds: float) -> str:
    """Continue with the target of the last run; start a new one when it is complete."""
    target = random.choice(TARGETS)
    once = random.random() < 0.3
    end = kill(fork(lambda: _import(target, once=once), HERE), seconds)
    if end == "well":
        Path(target).rename(f"complete-{number}-{target}")
    return end


def _import(target: str, *, once: bool) -> None:
    """Import, and record its summary and how many lines there were before."""
    file = Path(target)
    kind = "csv" if file.suffix == ".csv" else "sqlite"
    lines = file.read_bytes().count(b"\n") if kind == "csv" and file.exists() else 0
    status, out = _run(
        "import", _piped(SOURCE) if once else SOURCE, "--sink", f"{kind}:{target}", "--json"
    )
    if status:
        raise RuntimeError(f"the import ended with status {status}")
    write_down(HERE / IMPORTED, {"target": target, "lines": lines, **json.loads(out)})


def _piped(file: str) -> str:
    """A file as a pipe that can be read only once."""
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(Path(file).read_bytes())

    Thread(target=send, daemon=True).start()
    return f"/dev/fd/{reader}"


def _kill_replay(number: int, random: Random, seconds: float) -> str:
    """Kill the replay and the collector that writes more letters meanwhile."""
    collector = fork(lambda: _reject(number), HERE)
    end = kill(fork(lambda: _replay(Random(random.random())), HERE), seconds)
    kill(collector, 0)
    return end


def _reject(number: int) -> None:
    letters = DeadLetters(HERE / STATE)
    for first in count(number * MOST, TOGETHER):
        values = range(first, first + TOGETHER)
        now = START + timedelta(seconds=first)
        letters.add(f"sqlite:{STORE}", [Rejection(reading(n), "not now") for n in values], now)
        write_down(HERE / REJECTED, list(values))
        time.sleep(0.005)  # or the replay would hardly ever get hold of the file


def _replay(random: Random | None) -> None:
    """Replay repeatedly into a store that sometimes fails and rejects, or once into a good one."""

    def moody_sink(url: str, secrets: Mapping[str, str]) -> Unreliable | Sink:
        sink = open_sink(url, secrets)
        return Unreliable(sink, random, rejects=True) if random else sink

    with patch("sst_cloud.cli.settings.open_sink", moody_sink):
        while True:
            status, out = _run("dead-letters", "replay", "--state", STATE)
            if random is None:
                if status:
                    raise RuntimeError(f"the replay ended with status {status}: {out}")
                return


def _run(*args: str) -> tuple[int, str]:
    out = StringIO()
    with redirect_stdout(out), redirect_stderr(StringIO()):
        return run(args), out.getvalue()


if __name__ == "__main__":
    main(Plan(**json.loads(sys.argv[1])))
