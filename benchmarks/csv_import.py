"""Peak memory of `sst-cloud import` for a million readings."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import attrs

from sst_cloud.readings import format_time

from .measure import Benchmark, Figure
from .sqlite import METERS, readings
from .timestream import CREDENTIALS, DATABASE, TABLE, remote_timestream

ROWS = 1_000_000
LIMIT = 60.0
START = datetime(2000, 1, 1, tzinfo=UTC)


def measure(runs: int) -> Sequence[Figure]:
    """Peak memory, above that of importing a single row."""
    with TemporaryDirectory(prefix="sst-cloud-") as folder, remote_timestream() as service:
        one, half, million = (Path(folder) / f"{name}.csv" for name in ("one", "half", "million"))
        write_history(one, 1)
        write_history(million, ROWS)
        timestream = f"timestream:{DATABASE}/{TABLE}?location=home&endpoint_url={service.url}"

        def into_timestream(path: Path) -> _ImportCost:
            cost = _import(path, timestream)
            # One more than the rows: the sink's check sends a record, too.
            rows = ROWS if path is million else 1
            if (arrived := sum(service.records())) != rows + 1:
                raise RuntimeError(f"{arrived} records arrived, not {rows} and one")
            return cost

        def into_half(path: Path) -> _ImportCost:
            rows = ROWS if path is million else 1
            write_history(half, rows // 2)
            cost = _import(path, f"csv:{half}")
            if half.read_bytes() != path.read_bytes():
                raise RuntimeError(f"{half} is not a copy of {path}")
            return cost

        return [
            _figure(
                "import", [(into_timestream(one), into_timestream(million)) for _ in range(runs)]
            ),
            _figure(
                "import, half there", [(into_half(one), into_half(million)) for _ in range(runs)]
            ),
        ]


@attrs.frozen
class _ImportCost:
    peak: float
    """Peak memory in MB."""
    seconds: float


def _figure(label: str, pairs: Sequence[tuple[_ImportCost, _ImportCost]]) -> Figure:
    increase = median(busy.peak - idle.peak for idle, busy in pairs)
    seconds = median(busy.seconds for _, busy in pairs)
    detail = f"MB above one row's {median(idle.peak for idle, _ in pairs):.0f} MB"
    return Figure(label, increase, LIMIT, f"{detail}; {ROWS / seconds:,.0f} rows/s")


def write_history(path: Path, rows: int) -> None:
    """Readings of twenty meters, twenty minutes apart, as our CSV sink writes them."""
    templates = [reading.as_dict() for reading in readings(METERS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(templates[0]) + "\r\n")
        for number in range(rows):
            template = templates[number % METERS]
            time = format_time(START + timedelta(minutes=20) * (number // METERS))
            cells = {**template, "time": time, "value": 100_000 + number}
            file.write(",".join(map(str, cells.values())) + "\r\n")


def _import(path: Path, sink: str) -> _ImportCost:
    """Import a file.

    The process itself prints its peak: what the system reports of an ended process includes its
    parent's memory.
    """
    command = (sys.executable, "-c", _IMPORT, "import", path, "--sink", sink)
    environ = {**os.environ, **CREDENTIALS}
    started = perf_counter()
    process = subprocess.run(
        command, env=environ, cwd=path.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return _ImportCost(int(process.stdout.splitlines()[-1]) / 1000, perf_counter() - started)


_IMPORT = """
import atexit
from sst_cloud.cli import main

@atexit.register
def print_peak():
    with open("/proc/self/status") as status:
        print(status.read().split("VmHWM:")[1].split()[0])

main()
"""


HISTORY = Benchmark("import-memory", 1, measure)
