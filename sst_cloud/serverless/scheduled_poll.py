"""One poll per call, for anything run on a schedule: an AWS Lambda, a job runner's worker.

What is slow to set up (event loop, connections, the sink and its packages) is set up once and
reused by later calls.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from time import perf_counter
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlencode

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.cloud.auth import Auth, StoredTokenAuth, TokenAuth
from sst_cloud.cloud.client import SSTCloud
from sst_cloud.enums import Water
from sst_cloud.errors import RequestTimeoutError, SinkRefusedError, SSTCloudError
from sst_cloud.extraction import readings_from
from sst_cloud.models import Counter, House, Listing, Snapshot
from sst_cloud.plugins import open_sink
from sst_cloud.readings import Reading
from sst_cloud.redaction import TOKEN_VARIABLES
from sst_cloud.sink import Sink, SinkURL, WarmUp
from sst_cloud.source import NO_HOUSES

_log = logging.getLogger(__name__)

REMEMBER: Final = timedelta(hours=6)
"""How long the list of houses is reused; it rarely changes."""

CounterRecord = dict[str, int | bool | None]
"""A counter in the format of the former Lambda function: `id`, `line`, `hot_water`, `value`."""


class ScheduledPoll:
    """Reads the meters and stores their readings, once per call.

    Call it like a function, outside any running event loop. Every failure raises, once everything
    that could be read has been stored: retrying is up to the caller.
    """

    def __init__(  # noqa: PLR0913  all but two are options with good defaults
        self,
        auth: Auth,
        sink_url: str,
        *,
        house_id: int | None = None,
        counters_only: bool = False,
        base_url: str | None = None,
        remember: timedelta = REMEMBER,
        secrets: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Open nothing yet. Raises `SinkOptionsError` if `sink_url` is malformed.

        `house_id` limits it to one house, `counters_only` to meters, without the names and models
        of devices. The list of houses is requested again after `remember`. The sink takes its
        secrets from `secrets`, by default from the environment.
        """
        self._sink_url = sink_url
        self._secrets = secrets
        self._house_ids = None if house_id is None else [house_id]
        SinkURL.parse(sink_url)
        self._counters_only = counters_only
        self._remember = remember
        self._clock = clock or SystemClock()
        self._client = SSTCloud(auth, base_url=base_url, clock=self._clock)
        self._runner = asyncio.Runner()
        self._houses: Listing[House] | None = None
        self._houses_time = datetime.min.replace(tzinfo=UTC)
        self._sink_task: asyncio.Task[Sink] | None = None
        self._runs = 0

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], secret: Callable[[str], Awaitable[str]]
    ) -> Self:
        """Take the settings from a Lambda's environment. Raises ValueError for an invalid one.

        `SST_CLOUD_TOKEN` is the token, or the ARN of a secret for `secret` to fetch. `SINK` is a
        sink's URL; without it, `DATABASE_NAME`, `TABLE_NAME` and `LOCATION` name a Timestream
        table, which gets only meters. `HOUSE_ID` and `SST_CLOUD_URL` are optional.
        """
        sink_url = sink_url_from(environ)
        house = environ.get("HOUSE_ID", "").strip()
        if house and not house.isdecimal():
            raise ValueError("HOUSE_ID must be the number of a house, or unset for all houses")
        return cls(
            _auth(environ, secret),
            sink_url,
            house_id=int(house) if house else None,
            # The former function's tables hold only meters; devices would add columns.
            counters_only=SinkURL.parse(sink_url).scheme == "timestream",
            base_url=environ.get("SST_CLOUD_URL") or None,
            secrets=environ,
        )

    def __call__(self, limit: float | None = None) -> list[CounterRecord]:
        """Poll once; `limit` is in seconds. Raises `SSTCloudError`."""
        return self._runner.run(self._run(limit))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections, sink and event loop. Not needed if the process just ends."""
        with self._runner:
            self._runner.run(self._close())

    async def _run(self, limit: float | None) -> list[CounterRecord]:
        started = perf_counter()
        self._runs += 1
        try:
            async with asyncio.timeout(limit):
                snapshot, readings = await self._poll()
        except TimeoutError as error:
            if isinstance(error, SSTCloudError):
                raise
            raise RequestTimeoutError(f"the poll did not finish within {limit:g} s") from None
        extra = {
            "houses": len(snapshot.houses),
            "readings": len(readings),
            "seconds": round(perf_counter() - started, 3),
            "run": self._runs,
        }
        _log.info("stored %d readings", len(readings), extra=extra)
        return [_counter_record(counter) for counter in snapshot.counters]

    async def _poll(self) -> tuple[Snapshot, list[Reading]]:
        sink_task = self._start_opening()  # in parallel with the requests to the cloud
        snapshot = await self._read()
        readings = readings_from(snapshot)
        sink = await asyncio.shield(sink_task)
        report = await sink.write(readings)
        for rejection in report.rejected:
            _log.error("rejected %s: %s", rejection.reading.key, rejection.reason)
        self._raise_if_unreadable(snapshot)
        if report.rejected:
            raise SinkRefusedError(
                f"{len(report.rejected)} of {len(readings)} readings were rejected, the first "
                f"because: {report.rejected[0].reason}"
            )
        return snapshot, readings

    async def _read(self) -> Snapshot:
        if self._houses is None or self._clock.now() - self._houses_time > self._remember:
            self._houses_time = self._clock.now()
            self._houses = await self._client.houses()
            if not self._houses and not self._houses.unreadable:
                raise SSTCloudError(NO_HOUSES)
        try:
            return await self._client.snapshot(
                houses=self._houses, house_ids=self._house_ids, counters_only=self._counters_only
            )
        except SSTCloudError:
            self._houses = None
            raise

    def _raise_if_unreadable(self, snapshot: Snapshot) -> None:
        """Raise an error for an unreadable house; unreadable elements of lists are only logged."""
        for item in snapshot.unreadable:
            _log.warning("%s %s cannot be read: %s", item.kind, item.id, item.reason)
        for item in snapshot.unreadable:
            if item.error is not None or item.kind == "house":
                self._houses = None
                raise item.error or SSTCloudError(f"house {item.id} cannot be read: {item.reason}")

    def _start_opening(self) -> asyncio.Task[Sink]:
        """The task that opens the sink, or has opened it. If opening failed, try again."""
        if self._sink_task is None:
            self._sink_task = asyncio.ensure_future(self._open())
            self._sink_task.add_done_callback(self._on_opened)
        return self._sink_task

    async def _open(self) -> Sink:
        sink = await asyncio.to_thread(open_sink, self._sink_url, self._secrets)
        await sink.__aenter__()
        if isinstance(sink, WarmUp):
            await sink.warm_up()
        return sink

    def _on_opened(self, task: asyncio.Task[Sink]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._sink_task = None

    async def _close(self) -> None:
        await self._client.close()
        if self._sink_task is not None:
            sink = await self._sink_task
            await sink.__aexit__(None, None, None)


def sink_url_from(environ: Mapping[str, str]) -> str:
    """`SINK`, or the URL of the Timestream table that the other variables name."""
    if url := environ.get("SINK", "").strip():
        return url
    names = ("DATABASE_NAME", "TABLE_NAME", "LOCATION")
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise ValueError(
            f"set {', '.join(missing)} in the environment, or set SINK to the URL of another sink"
        )
    database, table, location = (environ[name] for name in names)
    path = f"{quote(database, safe='')}/{quote(table, safe='')}"
    return f"timestream:{path}?{urlencode({'location': location})}"


def _auth(environ: Mapping[str, str], secret: Callable[[str], Awaitable[str]]) -> Auth:
    token = next((environ[name].strip() for name in TOKEN_VARIABLES if environ.get(name)), "")
    if token.startswith("arn:"):
        return StoredTokenAuth(lambda: secret(token))
    if not token:
        raise ValueError(
            "set SST_CLOUD_TOKEN to the token, or to the ARN of the secret that holds it"
        )
    return TokenAuth(token)


def _counter_record(counter: Counter) -> CounterRecord:
    return {
        "id": counter.id,
        "line": counter.line,
        "hot_water": counter.water is Water.HOT,
        "value": counter.value_l,
    }
