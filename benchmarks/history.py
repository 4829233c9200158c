"""What `sst-cloud import` holds in memory for a history of a million readings."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sst_cloud.readings import format_time

from .measure import Benchmark, Figure
from .sqlite import METERS, readings
from .timestream import CREDENTIALS, DATABASE, TABLE, remote_timestream

ROWS = 1_000_000
LIMIT = 60.0
START = datetime(2000, 1, 1, tzinfo=UTC)


def measure(runs: int) -> Sequence[Figure]:
    """The most that a process ever holds, above one that imports a single row."""
    with TemporaryDirectory(prefix="sst-cloud-") as folder, remote_timestream() as service:
        one, million = Path(folder) / "one.csv", Path(folder) / "million.csv"
        write_history(one, 1)
        write_history(million, ROWS)
        sink = f"timestream:{DATABASE}/{TABLE}?location=home&endpoint_url={service.url}"
        idle, busy = [], []
        for _ in range(runs):
            idle.append(_peak(one, sink))
            service.records()
            busy.append(_peak(million, sink))
            # One more than the rows: the record by which the sink asks whether it may write.
            if (arrived := sum(service.records())) != ROWS + 1:
                raise RuntimeError(f"{arrived} records arrived, not {ROWS} and one")
    above = median(b - i for b, i in zip(busy, idle, strict=True))
    detail = f"MB above one row's {median(idle):.0f} MB"
    return [Figure("import, memory", above, LIMIT, detail)]


def write_history(path: Path, rows: int) -> None:
    """Readings of twenty meters, twenty minutes apart, as our CSV sink writes them."""
    kinds = [reading.as_dict() for reading in readings(METERS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(kinds[0]) + "\r\n")
        for number in range(rows):
            kind = kinds[number % METERS]
            time = format_time(START + timedelta(minutes=20) * (number // METERS))
            cells = {**kind, "time": time, "value": 100_000 + number}
            file.write(",".join(map(str, cells.values())) + "\r\n")


def _peak(path: Path, sink: str) -> float:
    """The most memory, in MB, that an import of this file holds.

    The process says so itself: what the system tells of an ended one counts its parent's, too.
    """
    command = (sys.executable, "-c", _IMPORT, "import", path, "--restart", "--sink", sink)
    environ = {**os.environ, **CREDENTIALS}
    done = subprocess.run(
        command, env=environ, cwd=path.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) / 1000


_IMPORT = """
import atexit
from sst_cloud.cli import main

@atexit.register
def tell():
    with open("/proc/self/status") as status:
        print(status.read().split("VmHWM:")[1].split()[0])

main()
"""


HISTORY = Benchmark("import-memory", 1, measure)
