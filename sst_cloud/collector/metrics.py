"""Status and latest readings in Prometheus' text format, and `/health`.

prometheus-client and aiohttp's server are only imported when used: both take memory.
"""

import logging
import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from sst_cloud._version import __version__
from sst_cloud.clock import Clock, SystemClock
from sst_cloud.enums import Quality
from sst_cloud.errors import SSTCloudError
from sst_cloud.extras import require
from sst_cloud.outbox.status import DeliveryState, Status
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading, format_time

from .schedule import POLL_LIMIT

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client.core import Metric

_log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_POINT_LABELS: Final = (
    "house_id",
    "house",
    "device_id",
    "device",
    "point",
    "point_id",
    "name",
    "water",
)
_SINK_LABELS: Final = ("sink", "stream")


def address_from(text: str) -> tuple[str, int]:
    """`PORT` (on localhost only) or `HOST:PORT`. Raises ValueError with what it expects."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise ValueError("a port like 9100, or host and port like 0.0.0.0:9100")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def exposition(status: Status, latest: Iterable[Reading]) -> bytes:
    """Status and newest readings in Prometheus' text format.

    Raises `SSTCloudError` if prometheus-client is not installed.
    """
    _require_package()
    from prometheus_client import generate_latest  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class StatusAndReadings(Collector):
        def collect(self) -> Iterator["Metric"]:
            yield from _status_metrics(status)
            yield from _sink_metrics(status)
            yield from _reading_metrics(tuple(latest))

    return generate_latest(StatusAndReadings())


def _require_package() -> None:
    require("the metrics page", "prometheus_client", extra="metrics", error=SSTCloudError)


def _status_metrics(status: Status) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415
    from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415

    build = Gauge("sst_cloud_build_info", "The running version.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build
    yield Counter("sst_cloud_polls", "Polls attempted.", value=status.polls)
    yield Counter("sst_cloud_poll_failures", "Polls that failed.", value=status.failed_polls)
    yield Counter("sst_cloud_readings", "Readings committed.", value=status.readings)
    lost_help = "Readings lost because disk and memory were full."
    yield Counter("sst_cloud_lost_readings", lost_help, value=status.lost)
    up_help = "Whether the source answered when it was last asked."
    up = Gauge("sst_cloud_source_up", up_help, labels=["source"])
    success_name, success_help = "last_success_timestamp_seconds", "When the source last answered."
    success = Gauge(f"sst_cloud_source_{success_name}", success_help, labels=["source"])
    for source in status.sources:
        up.add_metric([source.name], source.error is None and source.last_success is not None)
        if source.last_success is not None:
            success.add_metric([source.name], source.last_success.timestamp())
    yield from (up, success)
    yield Gauge("sst_cloud_outbox_bytes", "Size of the outbox's contents.", value=status.size)
    for name, description, moment in (
        ("poll", "Time of the last poll.", status.last_poll),
        ("poll_success", "Time of the last successful poll.", status.last_success),
    ):
        if moment is not None:
            yield Gauge(
                f"sst_cloud_last_{name}_timestamp_seconds", description, value=moment.timestamp()
            )


def _sink_metrics(status: Status) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415
    from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415

    waiting = Gauge("sst_cloud_sink_waiting", "Entries not delivered yet.", labels=_SINK_LABELS)
    oldest_help = "When the oldest undelivered entry was committed."
    oldest = Gauge("sst_cloud_sink_oldest_timestamp_seconds", oldest_help, labels=_SINK_LABELS)
    delivered = Counter("sst_cloud_sink_delivered", "Entries delivered.", labels=_SINK_LABELS)
    rejected = Counter(
        "sst_cloud_sink_rejected", "Entries permanently rejected.", labels=_SINK_LABELS
    )
    dropped_help = "Entries dropped from the outbox undelivered."
    dropped = Counter("sst_cloud_sink_dropped", dropped_help, labels=_SINK_LABELS)
    success_help = "Time of the last delivery."
    success = Gauge(
        "sst_cloud_sink_last_success_timestamp_seconds", success_help, labels=_SINK_LABELS
    )
    state_help = "State of the sink: 1 for the current one, 0 for the others."
    state = Gauge("sst_cloud_sink_state", state_help, labels=[*_SINK_LABELS, "state"])
    states = [sink_state for sink_state in DeliveryState if sink_state is not DeliveryState.REMOVED]
    for sink in status.sinks:
        if sink.state is DeliveryState.REMOVED:  # its lag does not matter
            continue
        labels = [sink.name, sink.stream]
        waiting.add_metric(labels, sink.waiting)
        delivered.add_metric(labels, sink.delivered)
        rejected.add_metric(labels, sink.rejected)
        dropped.add_metric(labels, sink.dropped)
        for gauge, moment in ((oldest, sink.oldest), (success, sink.last_success)):
            if moment is not None:
                gauge.add_metric(labels, moment.timestamp())
        for sink_state in states:
            state.add_metric([*labels, sink_state.value], sink_state is sink.state)
    yield from (waiting, oldest, delivered, rejected, dropped, success, state)


def _reading_metrics(latest: Sequence[Reading]) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415
    from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415

    values: dict[Quantity, Counter | Gauge] = {
        quantity: (Counter if quantity.is_total else Gauge)(
            f"sst_cloud_{quantity.metric}", _help(quantity), labels=_POINT_LABELS
        )
        for quantity in Quantity
    }
    labels_with_quantity = ["quantity", *_POINT_LABELS]
    time = Gauge(
        "sst_cloud_reading_timestamp_seconds",
        "Time of the latest reading.",
        labels=labels_with_quantity,
    )
    suspect = Gauge(
        "sst_cloud_reading_suspect", "Whether the reading is suspect.", labels=labels_with_quantity
    )
    stale = Gauge(
        "sst_cloud_reading_stale", "Whether the reading is stale.", labels=labels_with_quantity
    )
    for reading in {reading.series: reading for reading in latest}.values():
        record = reading.as_dict()
        labels = ["" if record[name] is None else str(record[name]) for name in _POINT_LABELS]
        is_reset = reading.quantity.is_total and reading.quality is Quality.SUSPECT
        if reading.unit == reading.quantity.unit and not is_reset:  # a level is no percentage
            factor = 0.01 if reading.quantity.unit == "%" else 1
            values[reading.quantity].add_metric(labels, reading.value * factor)
        labels.insert(0, reading.quantity.value)
        time.add_metric(labels, reading.time.timestamp())
        suspect.add_metric(labels, reading.quality is Quality.SUSPECT)
        stale.add_metric(labels, reading.quality is Quality.STALE)
    yield from values.values()
    yield from (time, suspect, stale)


def _help(quantity: Quantity) -> str:
    if quantity.is_total:
        return f"{quantity.help} Suspect totals are omitted: they would look like resets."
    if quantity.unit == "%":
        return f"{quantity.help.removesuffix('.')}, 0 to 1."
    return quantity.help


@attrs.frozen(kw_only=True)
class CollectorHealth:
    """What `/metrics` and `/health` need from the collector."""

    status: Callable[[], Awaitable[Status]]
    """May raise `SSTCloudError`: then the collector is unhealthy."""
    latest: Callable[[], Iterable[Reading]]
    """The newest reading of every series."""
    outbox_error: Callable[[], str | None]
    """Why the outbox cannot be written; None if the last commit succeeded."""
    every: timedelta
    """The interval between polls."""
    clock: Clock = attrs.field(factory=SystemClock)
    since: datetime = attrs.field()
    """When the collector started."""

    @since.default
    def _now(self) -> datetime:
        return self.clock.now()

    async def problem(self) -> str | None:
        """What is wrong with the collector itself, not counting an unavailable source or sink."""
        try:
            status = await self.status()
        except SSTCloudError as error:
            return str(error)
        if reason := self.outbox_error():
            return f"the outbox cannot be written: {reason}"
        last_attempt = max(filter(None, (self.since, status.last_poll)))
        if self.clock.now() - last_attempt > 2 * self.every + POLL_LIMIT:
            cause = f"; then: {status.source_error}" if status.source_error else ""
            return f"no poll has been attempted since {format_time(last_attempt)}{cause}"
        return None


@asynccontextmanager
async def serve_metrics(health: CollectorHealth, host: str, port: int) -> AsyncIterator[int]:
    """Serve `/metrics` and `/health`; yields the port, which the system chooses for port 0.

    At most 32 connections are open at a time, each for 10 s, one request and its answer.
    Raises `SSTCloudError` if prometheus-client is not installed or the port cannot be used.
    """
    _require_package()
    from aiohttp import web  # noqa: PLC0415  takes a megabyte or two

    from .bounded_server import MAX_CONNECTIONS, BoundedServer  # noqa: PLC0415

    runner = web.ServerRunner(BoundedServer(_pages(health)), shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=MAX_CONNECTIONS).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise SSTCloudError(f"{host}:{port} cannot be used for metrics: {reason}") from None
        bound_port: int = runner.addresses[0][1]
        _log.info("serving metrics at http://%s:%d/metrics", host, bound_port)
        yield bound_port
    finally:
        await runner.cleanup()


def _pages(health: CollectorHealth) -> Mapping[str, Callable[[], Awaitable["web.Response"]]]:
    from aiohttp import web  # noqa: PLC0415

    async def metrics_page() -> web.Response:
        try:
            status = await health.status()
        except SSTCloudError as error:
            return web.Response(status=503, text=f"{error}\n")
        body = exposition(status, health.latest())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def health_page() -> web.Response:
        reason = await health.problem()
        body = {"status": "ok"} if reason is None else {"status": "unhealthy", "reason": reason}
        return web.json_response(body, status=200 if reason is None else 503)

    async def index() -> web.Response:
        links = (f'<a href="{path}">{path}</a>' for path in ("/metrics", "/health"))
        return web.Response(text=f"{' '.join(links)}\n", content_type="text/html")

    return {"/": index, "/metrics": metrics_page, "/health": health_page}
