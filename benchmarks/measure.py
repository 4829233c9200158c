"""Benchmarks, their figures, and measuring two things in turn."""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter

import attrs


@attrs.frozen
class Figure:
    """A measured number and its limit."""

    label: str
    value: float
    limit: float
    detail: str
    """The medians behind the number, with their units."""
    at_least: bool = False
    """Whether `limit` is the least the value may be, rather than the most."""

    @property
    def is_met(self) -> bool:
        """Whether it is within the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@attrs.frozen
class Benchmark:
    """Something to measure; `run` takes the number of runs, and returns figures."""

    name: str
    runs: int
    run: Callable[[int], Sequence[Figure]]


@attrs.frozen
class Pairs:
    """Seconds that two things took, measured in turn."""

    ours: Sequence[float]
    base: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of the ratios of each pair: what slows down both cancels out."""
        return median(a / b for a, b in zip(self.ours, self.base, strict=True))

    def figure(self, label: str, limit: float, ours: str, base: str) -> Figure:
        """The ratio as a figure; its detail has both medians, under these names."""
        return Figure(
            label,
            self.ratio,
            limit,
            f"{ours} {milliseconds(self.ours)}, {base} {milliseconds(self.base)}",
        )


def alternate(ours: Callable[[], float], base: Callable[[], float], runs: int) -> Pairs:
    """Measure two things in turn, after one run of each that does not count.

    Both return the seconds they took. Which goes first alternates too.
    """
    ours()
    base()
    first: list[float] = []
    second: list[float] = []
    for run in range(runs):
        pair = [(ours, first), (base, second)]
        for measure, seconds in pair if run % 2 == 0 else reversed(pair):
            seconds.append(measure())
    return Pairs(first, second)


async def timed(work: Awaitable[object]) -> float:
    """The seconds an awaitable takes."""
    started = perf_counter()
    await work
    return perf_counter() - started


def milliseconds(seconds: Sequence[float]) -> str:
    """The median, as text."""
    return f"{median(seconds) * 1000:.1f} ms"
