"""Forks of a program that has imported everything, killed at a random moment of their work."""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

STRANGE: Final = "strange.txt"
"""The file for the error of a fork that was not killed."""
_LOOK: Final = 0.0005


def fork(work: Callable[[], object], folder: Path) -> int:
    """Do some work in a separate process."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001  whatever it is, the test has to see it
        write_down(folder / STRANGE, traceback.format_exc())
    finally:
        os._exit(status)


def kill(child: int, seconds: float, meanwhile: Callable[[], object] = bool) -> str:
    """Kill a process after this much work; returns how it ended.

    Its own processor time counts, so that a busy machine makes no difference.
    """
    deadline = time.monotonic() + 20 * seconds
    while time.monotonic() < deadline and not _has_ended(child) and _work(child) < seconds:
        meanwhile()
        time.sleep(_LOOK)
    os.kill(child, signal.SIGKILL)
    return end_of(child)


def _work(child: int) -> float:
    """Processor seconds of the remaining threads of a process."""
    nanoseconds = 0
    for thread in Path(f"/proc/{child}/task").glob("*/schedstat"):
        with suppress(OSError):  # it ends
            nanoseconds += int(thread.read_text().split()[0])
    return nanoseconds / 1e9


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_of(child: int) -> str:
    """How a process ended."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return "badly" if os.WEXITSTATUS(status) else "well"


def write_down(path: Path, record: object) -> None:
    """Append a line. A line torn by a kill does not count and does not damage others."""
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(file, f"\n{json.dumps(record)}\n".encode())
    os.close(file)


def written_down(path: Path) -> list[Any]:
    """The complete lines of a file."""
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError):
            lines.append(json.loads(line))
    return lines
