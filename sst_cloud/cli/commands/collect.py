"""`sst-cloud collect`: from the cloud into sinks, continuously."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import time, timedelta
from types import TracebackType
from typing import Any, Final, Self

import click

from sst_cloud.cli.collect_options import collect_options, handler_from_option
from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import print_message
from sst_cloud.cli.params import LITRES_PER_M3, duration_in_words
from sst_cloud.cli.selection import SelectedHouses
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.cli.sink_options import open_sinks
from sst_cloud.collector import Collector, Poll
from sst_cloud.collector.shutdown import ForcedExit, run_until_signal
from sst_cloud.collector.supervision import Supervisor
from sst_cloud.errors import SinkError, SinkOptionsError, SinkUnavailableError
from sst_cloud.monitoring import AlarmRules, ValidationRules
from sst_cloud.notify.base import Handler
from sst_cloud.outbox import Limits, Start
from sst_cloud.readings import Quality, Reading, format_time
from sst_cloud.sink import Sink, WriteReport
from sst_cloud.source import REFRESH

_MIN_INTERVAL: Final = timedelta(minutes=5)
"""More frequent polls return nothing new, and burden the vendor's servers."""


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
    pipe = None
    if len(sinks) == 1 and urls[0].lower().startswith("stdout:"):
        ((name, sink),) = sinks.items()
        sinks = {name: (pipe := _PipeSink(sink, lambda: collector.stop()))}  # noqa: PLW0108  defined below
    handlers = [_parse_handler(text, settings) for text in on_event]
    supervisor = Supervisor(every=every, clock=settings.clock)

    def on_poll(poll: Poll) -> None:
        supervisor.record(poll)
        if not quiet:
            _print_poll(poll)

    async with settings.client() as cloud:
        if every < _MIN_INTERVAL and not settings.is_local_cloud:
            refresh = duration_in_words(REFRESH)
            print_message(
                f"Warning: the cloud has new data only every {refresh} or so; poll less often"
            )
        for handler in handlers:
            await _warn_if_unusable(handler)
        collector = Collector(
            SelectedHouses(cloud, house_names) if house_names else cloud,
            sinks,
            settings.state,
            handlers={handler.name: handler for handler in handlers},
            every=every,
            clock=settings.clock,
            on_poll=on_poll,
            **options,
        )
        await run_until_signal(collector, supervisor, forced_exit, polls=polls, metrics=metrics)
        if pipe is not None and pipe.closed:
            raise BrokenPipeError
        if polls and collector.errors:
            raise next(iter(collector.errors.values()))


def _parse_handler(text: str, settings: Settings) -> Handler:
    try:
        return handler_from_option(text, settings)
    except SinkOptionsError as error:
        raise click.UsageError(f"--on-event: {error}") from None


async def _warn_if_unusable(handler: Handler) -> None:
    """Warn now, not when there is a leak. It may still be fixed while the collector runs."""
    try:
        await handler.check()
    except SinkError as error:
        print_message(f"Warning: {handler.name}: {error}")


class _PipeSink:
    """Standard output as the only sink: stops when the reader closes the pipe."""

    def __init__(self, sink: Sink, stop: Callable[[], None]) -> None:
        self._sink = sink
        self._stop = stop
        self.closed = False

    async def __aenter__(self) -> Self:
        await self._sink.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._sink.__aexit__(exc_type, exc, traceback)

    async def check(self) -> None:
        await self._sink.check()

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        try:
            return await self._sink.write(readings)
        except BrokenPipeError:
            self.closed = True
            self._stop()
            raise SinkUnavailableError("the reader has closed the pipe") from None


def _print_poll(poll: Poll) -> None:
    """Print a line for each poll to stderr."""
    if poll.error is not None:
        print_message(f"{format_time(poll.time)}  failed")
        return
    suspect = sum(reading.quality is Quality.SUSPECT for reading in poll.readings)
    parts = [f"{len(poll.readings)} readings"]
    if not poll.committed:
        parts.append("held in memory")
    if suspect:
        parts.append(f"{suspect} suspect")
    if poll.redelivered_count:
        parts.append(f"{poll.redelivered_count} earlier ones reassessed")
    print_message(f"{format_time(poll.time)}  {', '.join(parts)}")
