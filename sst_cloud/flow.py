"""What a water pipe can deliver: whether one total of a meter can follow another."""

from datetime import timedelta
from typing import Final

MAX_FLOW: Final = 5_000.0
"""Litres per hour: 5 m³/h, twice what a household meter is rated for."""
REFRESH: Final = timedelta(minutes=10)
"""Roughly how often the cloud receives new values, and so how old a total may be when read."""

_STEP: Final = 10
"""Litres per pulse, for meters that do not report it."""
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
    """Litres used while a total went from `before` to `after`; None if no pipe can deliver that.

    A meter that reaches one of `limits` starts again from 0. The sign of `lasted` is ignored: the
    clock may have been set back in between.
    """
    most = max_flow * ((abs(lasted) + REFRESH) / _HOUR) + (step or _STEP)
    for total in (after, *(limit + after for limit in limits if before <= limit)):
        if 0 <= total - before <= most:
            return total - before
    return None
