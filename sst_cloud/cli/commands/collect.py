"""`sst-cloud collect`: from the source into sinks, continuously."""

import asyncio
from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any, Final

import click

from sst_cloud.cli.collect_options import collect_options
from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import print_message
from sst_cloud.cli.params import LITRES_PER_M3
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.cli.sink_options import open_sinks
from sst_cloud.collector import Collector, Poll
from sst_cloud.collector.shutdown import ForcedExit, run_until_signal
from sst_cloud.collector.supervision import Supervisor
from sst_cloud.errors import SinkClosedError, SinkError, SinkOptionsError
from sst_cloud.monitoring import AlarmRules, ValidationRules
from sst_cloud.notify import Handler, handler_from
from sst_cloud.outbox import Limits, Start
from sst_cloud.readings import Quality, format_time
from sst_cloud.source import name_of, refresh_of
from sst_cloud.wording import count, duration_in_words

_MIN_INTERVALS: Final = 0.5
"""Of the source's refresh: more frequent polls return nothing new, and burden its servers."""


@click.command()
@config_option
@collect_options
@account_options
@click.pass_obj
def collect(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    sinks: tuple[str, ...],
    every: timedelta,
    once: bool,
    polls: int | None,
    house_names: tuple[str, ...],
    start: str,
    max_size: int,
    max_age: timedelta,
    keep: timedelta,
    max_flow: float,
    confirmations: int,
    continuous_flow: timedelta,
    night: tuple[time, time],
    night_use: int,
    silence: timedelta,
    battery_low: int,
    on_event: tuple[str, ...],
    metrics: tuple[str, int] | None,
    quiet: bool,
    log_format: str,
) -> None:
    """Poll continuously and deliver the readings to any sinks, without loss.

    Readings are first committed to an outbox, then delivered to each sink at its own pace; a sink
    that is down gets them when it is back. SIGHUP retries everything immediately.
    """
    if not sinks:
        raise click.UsageError("no sink: use --sink, for example --sink sqlite:home.db")
    if log_format == "json":
        settings.log_as_json()
    if not (once or polls):
        settings.hide_retries()
    flow = max_flow * LITRES_PER_M3
    alarm_rules = AlarmRules(
        max_flow=flow,
        continuous_flow=continuous_flow,
        night=night,
        night_litres=night_use,
        silence=silence,
        battery_percent=battery_low,
    )
    with ForcedExit() as forced_exit:
        asyncio.run(
            _collect(
                settings,
                sinks,
                house_names,
                on_event,
                forced_exit,
                polls=1 if once else polls,
                metrics=metrics,
                quiet=quiet,
                every=every,
                start=Start(start),
                limits=Limits(size=max_size, age=max_age, keep=keep),
                validation_rules=ValidationRules(max_flow=flow, confirmations=confirmations),
                alarm_rules=alarm_rules,
            )
        )


async def _collect(  # noqa: PLR0913
    settings: Settings,
    urls: Sequence[str],
    house_names: Sequence[str],
    on_event: Sequence[str],
    forced_exit: ForcedExit,
    *,
    polls: int | None,
    metrics: tuple[str, int] | None,
    quiet: bool,
    every: timedelta,
    **options: Any,
) -> None:
    sinks = open_sinks(urls, settings)
    handlers = [_handler(text, settings) for text in on_event]
    supervisor = Supervisor(every=every, clock=settings.clock)

    def on_poll(poll: Poll) -> None:
        supervisor.record(poll)
        if not quiet:
            _print_poll(poll)

    async with settings.source(house_names) as source:
        refresh = refresh_of(source)
        if every < _MIN_INTERVALS * refresh and not settings.is_local_cloud:
            print_message(
                f"Warning: {name_of(source)} has new data only every {duration_in_words(refresh)} "
                "or so; poll less often"
            )
        for handler in handlers:
            await _warn_if_unusable(handler)
        collector = Collector(
            source,
            sinks,
            settings.state,
            handlers={handler.name: handler for handler in handlers},
            every=every,
            clock=settings.clock,
            on_poll=on_poll,
            **options,
        )
        await run_until_signal(collector, supervisor, forced_exit, polls=polls, metrics=metrics)
        if polls and (errors := collector.errors.values()):
            raise min(errors, key=lambda error: isinstance(error, SinkClosedError))


def _handler(text: str, settings: Settings) -> Handler:
    try:
        return handler_from(
            text, env=settings.handler_env, withheld=settings.withheld_secrets, clock=settings.clock
        )
    except SinkOptionsError as error:
        raise click.UsageError(f"--on-event: {error}") from None


async def _warn_if_unusable(handler: Handler) -> None:
    """Warn now, not when there is a leak. It may still be fixed while the collector runs."""
    try:
        await handler.check()
    except SinkError as error:
        print_message(f"Warning: {handler.name}: {error}")


def _print_poll(poll: Poll) -> None:
    """Print a line for each poll to stderr."""
    if poll.error is not None:
        print_message(f"{format_time(poll.time)}  failed")
        return
    suspect = sum(reading.quality is Quality.SUSPECT for reading in poll.readings)
    parts = [count(len(poll.readings), "reading")]
    if not poll.committed:
        parts.append("held in memory")
    if suspect:
        parts.append(f"{suspect} suspect")
    if poll.redelivered_count:
        parts.append(f"{poll.redelivered_count} earlier ones reassessed")
    print_message(f"{format_time(poll.time)}  {', '.join(parts)}")
