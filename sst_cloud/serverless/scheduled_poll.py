"""One poll per call, for anything run on a schedule: an AWS Lambda, a job runner's worker.

What is slow to set up (event loop, connections, the sink and its packages) is set up once and
reused by later calls.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from time import perf_counter
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlencode

from sst_cloud.clock import Clock
from sst_cloud.cloud.auth import Auth, StoredTokenAuth, TokenAuth
from sst_cloud.cloud.client import SSTCloud
from sst_cloud.combined_sources import FirstAnswering, SelectedHouses
from sst_cloud.enums import Water
from sst_cloud.errors import RequestTimeoutError, SSTCloudError
from sst_cloud.models import Counter
from sst_cloud.plugins import open_sink, open_source
from sst_cloud.polling import PollResult, poll_once
from sst_cloud.readings import Reading
from sst_cloud.redaction import TOKEN_VARIABLES
from sst_cloud.sink import Sink, SinkURL, WarmUp, WriteReport
from sst_cloud.source import (
    DEFAULT_SOURCE,
    Source,
    SourceURL,
    errors_of,
)

_log = logging.getLogger(__name__)

REMEMBER: Final = timedelta(hours=6)
"""How long the list of houses is reused; it rarely changes."""

CounterRecord = dict[str, int | bool | None]
"""A counter in the format of the former Lambda function: `id`, `line`, `hot_water`, `value`."""


class ScheduledPoll:
    """Reads a source and stores its readings, once per call.

    Call it like a function, outside any running event loop. Every failure raises, once everything
    that could be read has been stored: retrying is up to the caller.
    """

    def __init__(
        self, source: Source, sink_url: str, *, secrets: Mapping[str, str] | None = None
    ) -> None:
        """Open nothing yet. Raises `SinkOptionsError` if `sink_url` is malformed.

        The sink takes its secrets from `secrets`, by default from the environment.
        """
        SinkURL.parse(sink_url)
        self._sink_url = sink_url
        self._secrets = secrets
        self._source = source
        self._source_is_open = False
        self._runner = asyncio.Runner()
        self._sink_task: asyncio.Task[Sink] | None = None
        self._runs = 0

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        secret: Callable[[str], Awaitable[str]],
        clock: Clock | None = None,
    ) -> Self:
        """Take the settings from a Lambda's environment. Raises ValueError for an invalid one.

        `SINK` is a sink's URL; without it, `DATABASE_NAME`, `TABLE_NAME` and `LOCATION` name a
        Timestream table, which gets only meters. `SOURCE` is a source's URL, or several separated
        by spaces, of which the first that answers is read; the default is `cloud:`, for which
        `SST_CLOUD_TOKEN` is the token, or the ARN of a secret for `secret` to fetch, and
        `SST_CLOUD_URL` is optional. With `HOUSE_ID`, only that house is read.
        """
        sink_url = sink_url_from(environ)
        house = environ.get("HOUSE_ID", "").strip()
        if house and not house.isdecimal():
            raise ValueError("HOUSE_ID must be the number of a house, or unset for all houses")
        sources: list[Source] = [
            SelectedHouses(
                _open_source(url, environ, secret, clock),
                [house] if house else (),
                # The former function's tables hold only meters; devices would add columns.
                counters_only=SinkURL.parse(sink_url).scheme == "timestream",
                remember=REMEMBER,
                clock=clock,
            )
            for url in dict.fromkeys(environ.get("SOURCE", "").split() or [DEFAULT_SOURCE])
        ]
        source = sources[0] if len(sources) == 1 else FirstAnswering(sources, clock=clock)
        return cls(source, sink_url, secrets=environ)

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
                result = await self._poll()
        except TimeoutError as error:
            if isinstance(error, SSTCloudError) or limit is None:
                raise
            raise RequestTimeoutError(f"the poll did not finish within {limit:g} s") from None
        extra = {
            "houses": len(result.snapshot.houses),
            "readings": len(result.readings),
            "seconds": round(perf_counter() - started, 3),
            "run": self._runs,
        }
        _log.info("stored %d readings", len(result.readings), extra=extra)
        return [_counter_record(counter) for counter in result.snapshot.counters]

    async def _poll(self) -> PollResult:
        sink = _OpeningSink(self._start_opening())  # in parallel with the requests to the source
        if not self._source_is_open:
            with errors_of(self._source):
                await self._source.__aenter__()
            self._source_is_open = True
        result = await poll_once(self._source, sink)
        for problem in result.snapshot.problems:
            _log.warning("%s", problem)
        for rejection in result.report.rejected:
            _log.error("rejected %s: %s", rejection.reading.key, rejection.reason)
        result.raise_if_incomplete()
        return result

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
        if self._source_is_open:
            await self._source.__aexit__(None, None, None)
        if self._sink_task is not None:
            sink = await self._sink_task
            await sink.__aexit__(None, None, None)


class _OpeningSink:
    """A sink that another task is opening; the first write waits for it."""

    def __init__(self, opening: asyncio.Task[Sink]) -> None:
        self._opening = opening

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        sink = await asyncio.shield(self._opening)
        return await sink.write(readings)


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


def _open_source(
    text: str,
    environ: Mapping[str, str],
    secret: Callable[[str], Awaitable[str]],
    clock: Clock | None,
) -> Source:
    url = SourceURL.parse(text, environ)
    if url.scheme != "cloud":
        return open_source(text, environ)
    url.convert(SSTCloud.options)
    base_url = url.target or environ.get("SST_CLOUD_URL") or None
    return SSTCloud(_auth(environ, secret), base_url=base_url, clock=clock)


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
