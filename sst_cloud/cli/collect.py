"""`sst-cloud collect`: from the cloud into sinks, continuously."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import time, timedelta
from types import TracebackType
from typing import Any, Final, Self

import attrs
import click

from sst_cloud.client import SSTCloud
from sst_cloud.collector import EVERY, Collector, JudgeRules, Limits, Poll, Start, WatchRules
from sst_cloud.collector.handler import Handler
from sst_cloud.collector.lookout import Lookout
from sst_cloud.errors import SinkError, SinkOptionsError, SinkUnavailableError, SSTCloudError
from sst_cloud.flow import REFRESH
from sst_cloud.models import Snapshot
from sst_cloud.readings import Quality, Reading, format_time
from sst_cloud.sink import Sink, WriteReport

from .account import house_option, read_snapshot
from .config import config_option
from .durations import Duration, in_words, spell
from .ending import Leaving, heeding_signals
from .output import say
from .serving import handler_for, metrics_option, on_event_option
from .settings import Settings, account_options, state_option
from .sink_names import open_sinks, sink_option
from .units import LITRES_PER_M3, FiniteRange, Hours, Size, spell_size

_LIMITS: Final = Limits()
_JUDGE: Final = JudgeRules()
_WATCH: Final = WatchRules()
_POLITE: Final = timedelta(minutes=5)
"""Polling faster returns nothing new, and is a burden on the vendor's servers."""


@attrs.frozen
class _SomeHouses:
    """A source limited to some houses."""

    cloud: SSTCloud
    wanted: Sequence[str]

    async def snapshot(self) -> Snapshot:
        return await read_snapshot(self.cloud, self.wanted)


@click.command()
@config_option
@sink_option
@click.option(
    "--every",
    type=Duration(),
    default=spell(EVERY),
    show_default=True,
    help="Interval between polls.",
)
@click.option("--once", is_flag=True, help="Poll once, then stop.")
@click.option("--polls", type=click.IntRange(min=1), help="Stop after this many polls.")
@house_option
@state_option
@click.option(
    "--start",
    type=click.Choice([start.value for start in Start]),
    default=Start.NOW.value,
    show_default=True,
    help="Where a new sink starts: with the next reading, or with the oldest in the outbox.",
)
@click.option(
    "--max-size",
    type=Size(),
    default=spell_size(_LIMITS.size),
    show_default=True,
    help="Maximum size of the outbox.",
)
@click.option(
    "--max-age",
    type=Duration(),
    default=spell(_LIMITS.age),
    show_default=True,
    help="How long to keep undelivered readings.",
)
@click.option(
    "--keep",
    type=Duration(),
    default=spell(_LIMITS.keep),
    show_default=True,
    help="How long to keep delivered readings.",
)
@click.option(
    "--max-flow",
    type=FiniteRange(min=0, min_open=True),
    default=_JUDGE.max_flow / LITRES_PER_M3,
    show_default=True,
    help="Flow limit of the pipe in m³/h: a total that rises faster is suspect.",
)
@click.option(
    "--confirmations",
    type=click.IntRange(min=0),
    default=_JUDGE.confirmations,
    show_default=True,
    help="Polls that must confirm a suspect total before it is believed.",
)
@click.option(
    "--continuous-flow",
    type=Duration(),
    default=spell(_WATCH.continuous_flow),
    show_default=True,
    help="Alert if water runs for this long without an hour's pause.",
)
@click.option(
    "--night",
    type=Hours(),
    default="{:%H:%M}-{:%H:%M}".format(*_WATCH.night),
    show_default=True,
    help="Hours of low usage, in the house's local time.",
)
@click.option(
    "--night-use",
    type=click.IntRange(min=0),
    default=_WATCH.night_litres,
    show_default=True,
    help="Alert if one meter counts more than this many litres in a night.",
)
@click.option(
    "--silence",
    type=Duration(),
    default=spell(_WATCH.silence),
    show_default=True,
    help="Alert if there are no readings for this long.",
)
@click.option(
    "--battery-low",
    type=click.IntRange(0, 100),
    default=_WATCH.battery_percent,
    show_default=True,
    help="Alert if a battery falls below this percentage.",
)
@on_event_option
@metrics_option
@click.option("-q", "--quiet", is_flag=True, help="Do not print a line for each poll.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@account_options
@click.pass_obj
def collect(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    sinks: tuple[str, ...],
    every: timedelta,
    once: bool,
    polls: int | None,
    wanted: tuple[str, ...],
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
        raise click.UsageError("say where to: --sink sqlite:home.db, for one")
    if log_format == "json":
        settings.log_as_json()
    if not (once or polls):
        settings.expect_outages()
    flow = max_flow * LITRES_PER_M3
    watch_rules = WatchRules(
        max_flow=flow,
        continuous_flow=continuous_flow,
        night=night,
        night_litres=night_use,
        silence=silence,
        battery_percent=battery_low,
    )
    leaving = Leaving()
    try:
        asyncio.run(
            _collect(
                settings,
                sinks,
                wanted,
                on_event,
                leaving,
                polls=1 if once else polls,
                metrics=metrics,
                quiet=quiet,
                every=every,
                start=Start(start),
                limits=Limits(size=max_size, age=max_age, keep=keep),
                judge_rules=JudgeRules(max_flow=flow, confirmations=confirmations),
                watch_rules=watch_rules,
            )
        )
    finally:
        leaving.over()


async def _collect(  # noqa: PLR0913
    settings: Settings,
    urls: Sequence[str],
    wanted: Sequence[str],
    on_event: Sequence[str],
    leaving: Leaving,
    *,
    polls: int | None,
    metrics: tuple[str, int] | None,
    quiet: bool,
    every: timedelta,
    **rules: Any,
) -> None:
    sinks = open_sinks(urls, settings)
    pipe = None
    if len(sinks) == 1 and urls[0].lower().startswith("stdout:"):
        ((name, sink),) = sinks.items()
        sinks = {name: (pipe := _Pipe(sink, lambda: collector.stop()))}  # noqa: PLW0108  made below
    handlers = [_handler(text, settings) for text in on_event]
    lookout = Lookout(every=every, clock=settings.clock)

    def saw(poll: Poll) -> None:
        lookout.saw(poll)
        if not quiet:
            _report(poll)

    async with settings.client() as cloud:
        if every < _POLITE and not settings.asks_this_machine:
            refresh = in_words(REFRESH)
            say(f"Warning: the cloud knows nothing new for about {refresh}; ask it less often")
        for handler in handlers:
            await _say_if_useless(handler)
        collector = Collector(
            _SomeHouses(cloud, wanted) if wanted else cloud,
            sinks,
            settings.state,
            handlers={handler.name: handler for handler in handlers},
            every=every,
            clock=settings.clock,
            on_poll=saw,
            **rules,
        )

        leaving.loss = lambda: collector.loss

        def stop() -> None:
            collector.stop()
            leaving.begin()

        with heeding_signals(stop, collector.try_again), _reporting_to(leaving):
            async with collector, lookout.over(collector, metrics):
                with _reporting_to(leaving):  # the collector's own end takes its time
                    await collector.run(polls)
                leaving.begin(_undelivered(collector) if polls else None)
        if pipe is not None and pipe.closed:
            raise BrokenPipeError
        if polls and collector.errors:
            raise next(iter(collector.errors.values()))


@contextmanager
def _reporting_to(leaving: Leaving) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        leaving.begin(error)
        raise


def _undelivered(collector: Collector) -> SSTCloudError | None:
    """Say which sink did not receive everything; the error, if there is one."""
    for name, error in collector.errors.items():
        say(f"{name}: undelivered readings are kept for the next run.")
        return error
    return None


def _handler(text: str, settings: Settings) -> Handler:
    try:
        return handler_for(text, settings)
    except SinkOptionsError as error:
        raise click.UsageError(f"--on-event: {error}") from None


async def _say_if_useless(handler: Handler) -> None:
    """Warn now, not when there is a leak. It may still be fixed while the collector runs."""
    try:
        await handler.check()
    except SinkError as error:
        say(f"Warning: {handler.name}: {error}")


class _Pipe:
    """Standard output as the only sink: stop when its reader has gone."""

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


def _report(poll: Poll) -> None:
    """Print a line for each poll to stderr."""
    if poll.error is not None:
        say(f"{format_time(poll.time)}  failed")
        return
    suspect = sum(reading.quality is Quality.SUSPECT for reading in poll.readings)
    parts = [f"{len(poll.readings)} readings"]
    if not poll.committed:
        parts.append("held in memory")
    if suspect:
        parts.append(f"{suspect} suspect")
    if poll.redelivered:
        parts.append(f"{poll.redelivered} earlier ones reassessed")
    say(f"{format_time(poll.time)}  {', '.join(parts)}")
