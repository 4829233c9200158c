"""The options of `collect`, for the command line and the configuration file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from sst_cloud.collector import EVERY
from sst_cloud.monitoring import AlarmRules, ValidationRules
from sst_cloud.outbox import Limits, Start

from .params import (
    LITRES_PER_M3,
    Address,
    Duration,
    FiniteRange,
    Hours,
    Size,
    format_duration,
    format_size,
)
from .selection import house_option
from .settings import source_option, state_option, verbose_option
from .sink_options import sink_option

F = TypeVar("F", bound=Callable[..., Any])


def metrics_option(command: F) -> F:
    """`--metrics [HOST:]PORT`, as `metrics`: host and port, or None."""
    return click.option(
        "--metrics",
        type=Address(),
        metavar="[HOST:]PORT",
        help="Serve Prometheus /metrics and /health, on localhost unless a host is given.",
    )(command)


def on_event_option(command: F) -> F:
    """`--on-event COMMAND|URL`, as `on_event`: repeatable."""
    return click.option(
        "--on-event",
        multiple=True,
        metavar="COMMAND|URL",
        help="Run a command or POST to a URL, with JSON, on leaks and other events; see also "
        "`sst-cloud handlers`; repeatable.",
    )(command)


_LIMITS: Final = Limits()
_VALIDATION: Final = ValidationRules()
_ALARMS: Final = AlarmRules()

OPTIONS: Final[Sequence[Callable[[Any], Any]]] = (
    source_option,
    sink_option,
    click.option(
        "--every",
        type=Duration(),
        default=format_duration(EVERY),
        show_default=True,
        help="Interval between polls.",
    ),
    click.option("--once", is_flag=True, help="Poll once, then stop."),
    click.option("--polls", type=click.IntRange(min=1), help="Stop after this many polls."),
    house_option,
    state_option,
    click.option(
        "--start",
        type=click.Choice([start.value for start in Start]),
        default=Start.NOW.value,
        show_default=True,
        help="Where a new sink starts: with the next reading, or with the oldest in the outbox.",
    ),
    click.option(
        "--max-size",
        type=Size(),
        default=format_size(_LIMITS.size),
        show_default=True,
        help="Maximum size of the outbox.",
    ),
    click.option(
        "--max-age",
        type=Duration(),
        default=format_duration(_LIMITS.age),
        show_default=True,
        help="How long to keep undelivered readings.",
    ),
    click.option(
        "--keep",
        type=Duration(),
        default=format_duration(_LIMITS.keep),
        show_default=True,
        help="How long to keep delivered readings.",
    ),
    click.option(
        "--max-flow",
        type=FiniteRange(min=0, min_open=True),
        default=_VALIDATION.max_flow / LITRES_PER_M3,
        show_default=True,
        help="Flow limit of the pipe in m³/h: a total that rises faster is suspect.",
    ),
    click.option(
        "--confirmations",
        type=click.IntRange(min=0),
        default=_VALIDATION.confirmations,
        show_default=True,
        help="Polls that must confirm a suspect total before it is believed.",
    ),
    click.option(
        "--continuous-flow",
        type=Duration(),
        default=format_duration(_ALARMS.continuous_flow),
        show_default=True,
        help="Alert if water runs for this long without an hour's pause.",
    ),
    click.option(
        "--night",
        type=Hours(),
        default="{:%H:%M}-{:%H:%M}".format(*_ALARMS.night),
        show_default=True,
        help="Hours of low usage, in the house's local time.",
    ),
    click.option(
        "--night-use",
        type=click.IntRange(min=0),
        default=_ALARMS.night_litres,
        show_default=True,
        help="Alert if one meter counts more than this many litres in a night.",
    ),
    click.option(
        "--silence",
        type=Duration(),
        default=format_duration(_ALARMS.silence),
        show_default=True,
        help="Alert if there are no readings for this long.",
    ),
    click.option(
        "--battery-low",
        type=click.IntRange(0, 100),
        default=_ALARMS.battery_percent,
        show_default=True,
        help="Alert if a battery falls below this percentage.",
    ),
    on_event_option,
    metrics_option,
    click.option("-q", "--quiet", is_flag=True, help="Do not print a line for each poll."),
    click.option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
    ),
)
"""The options of `collect` that a configuration file can set, in the order of its help."""


def collect_options(command: F) -> F:
    """All options of `collect`, for a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def options_of_file() -> Mapping[str, click.Option]:
    """The options of `collect`, and --verbose, by their names in a configuration file."""
    command = click.command()(collect_options(verbose_option(lambda: None)))
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {_name_in_file(option): option for option in options}


def _name_in_file(option: click.Option) -> str:
    return max(option.opts, key=len).removeprefix("--").replace("-", "_")
