"""`python -m benchmarks`: measure, and print a table of values and limits."""

import argparse
import platform
import sys

from .batches import BATCHES
from .collector import DEAD, DRAIN, IDLE, POLL
from .csv_import import HISTORY
from .measure import Benchmark, Figure
from .new_client import NEW_CLIENT
from .package_import import IMPORTING
from .polling import COUNTERS, SNAPSHOT
from .serverless import COLD, HOUSES, WARM
from .sqlite import SQLITE

BENCHMARKS: tuple[Benchmark, ...] = (
    IMPORTING,
    NEW_CLIENT,
    COUNTERS,
    SNAPSHOT,
    SQLITE,
    COLD,
    WARM,
    HOUSES,
    BATCHES,
    HISTORY,
    POLL,
    DRAIN,
    DEAD,
    IDLE,
)


def main() -> int:
    """Run all benchmarks, or some. A missed limit is reported, but is no error."""
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, help="run only this one")
    parser.add_argument("--runs", type=_positive, help="number of runs; default: as each needs")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}; medians of ratios\n")
    print(f"{'':24} {'value':>7}   {'limit':<8} {'':4}")
    for benchmark in BENCHMARKS:
        if options.only is None or benchmark.name in options.only:
            for figure in benchmark.run(options.runs or benchmark.runs):
                print(_row(figure), flush=True)
    return 0


def _row(figure: Figure) -> str:
    sign = ">=" if figure.at_least else "<="
    is_met = "met" if figure.is_met else "MISSED"
    limit = f"{sign} {figure.limit:g}"
    return f"{figure.label:24} {figure.value:7.2f}   {limit:<8} {is_met:7} {figure.detail}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
