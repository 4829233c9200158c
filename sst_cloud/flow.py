"""What a water pipe can deliver: whether two totals of a meter belong together."""

from datetime import timedelta
from typing import Final

MAX_FLOW: Final = 5_000.0
"""Litres per hour: 5 m³/h, twice what the meter of a flat is built for."""
REFRESH: Final = timedelta(minutes=10)
"""About how often the cloud learns new values, so by how much a total may be older than asked."""

_STEP: Final = 10
"""Litres per pulse where a meter does not say."""
_HOUR: Final = timedelta(hours=1)


def litres_between(  # noqa: PLR0913  two of them have to be given
    before: int,
    after: int,
    lasted: timedelta,
    *,
    max_flow: float = MAX_FLOW,
    step: int | None = None,
    limits: tuple[int, ...] = (),
) -> int | None:
    """Litres that ran while a total went from `before` to `after`; None if no pipe delivers that.

    A meter that has come to one of `limits` starts again from 0. `lasted` counts without its sign:
    the clock may have been set back in between.
    """
    most = max_flow * ((abs(lasted) + REFRESH) / _HOUR) + (step or _STEP)
    for total in (after, *(limit + after for limit in limits if before <= limit)):
        if 0 <= total - before <= most:
            return total - before
    return None
