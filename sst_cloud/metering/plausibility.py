"""What a water pipe can deliver: whether one total of a meter can follow another."""

from datetime import timedelta
from typing import Final

from sst_cloud.source import DEFAULT_REFRESH

MAX_FLOW: Final = 5_000.0
"""Litres per hour: 5 m³/h, twice what a household meter is rated for."""

_STEP: Final = 10
"""Litres per pulse, for meters that do not report it."""
_HOUR: Final = timedelta(hours=1)


def litres_between(  # noqa: PLR0913  most have good defaults
    before: int,
    after: int,
    duration: timedelta,
    *,
    max_flow: float = MAX_FLOW,
    step: int | None = None,
    rollovers: tuple[int, ...] = (),
    refresh: timedelta = DEFAULT_REFRESH,
) -> int | None:
    """Litres used while a total went from `before` to `after`; None if no pipe can deliver that.

    A meter that reaches one of `rollovers` starts again from 0. The first total may be as old as
    the source's `refresh` interval. The sign of `duration` is ignored: the clock may have been set
    back in between.
    """
    max_litres = max_flow * ((abs(duration) + refresh) / _HOUR) + (step or _STEP)
    for total in (after, *(rollover + after for rollover in rollovers if before <= rollover)):
        if 0 <= total - before <= max_litres:
            return total - before
    return None
