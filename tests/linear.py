"""Whether twice the input takes twice the time, measured."""

import gc
from collections.abc import Callable
from time import process_time
from typing import Final

Run = Callable[[], object]

LIMIT: Final = 2.6
"""Times as long for twice the input; what is quadratic takes four times as long."""
_RUNS: Final = 7
_ROUNDS: Final = 6
"""On a busy machine a ratio may be wrong once or twice: measured again before it counts."""


def growth(prepared: Callable[[int], Run], size: int) -> float:
    """How many times as long it takes for twice the size: of the fastest of seven runs or more.

    `prepared` makes the input of a size, and returns what is to be measured.
    """
    runs = prepared(size), prepared(2 * size)
    fastest = [float("inf"), float("inf")]
    gc.collect()
    gc.disable()  # it takes the longer the more objects other tests have left
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
    """How long it takes, in seconds of this process alone."""
    began = process_time()
    run()
    return process_time() - began
