"""Whether twice the input takes twice the time, measured."""

import gc
from collections.abc import Callable
from time import process_time
from typing import Final

Run = Callable[[], object]

LIMIT: Final = 2.6
"""Allowed factor in time for twice the input; quadratic code takes four times as long."""
_RUNS: Final = 7
_ROUNDS: Final = 6
"""On a busy machine a ratio may be wrong once or twice, so it is measured again."""


def growth(prepared: Callable[[int], Run], size: int) -> float:
    """The factor in time for twice the size, from the fastest of at least seven runs.

    `prepared` makes the input of a size, and returns what is to be measured.
    """
    runs = prepared(size), prepared(2 * size)
    fastest = [float("inf"), float("inf")]
    gc.collect()
    gc.disable()  # it is slower the more objects other tests have left
    try:
        for _ in range(_ROUNDS):
            for _ in range(_RUNS):
                for which, run in enumerate(runs):
                    fastest[which] = min(fastest[which], seconds(run))
            if fastest[1] <= LIMIT * fastest[0]:
                break
    finally:
        gc.enable()
    return fastest[1] / fastest[0]


def seconds(run: Run) -> float:
    """The processor time of a run in this process, in seconds."""
    began = process_time()
    run()
    return process_time() - began
