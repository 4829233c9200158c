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

from .auth import TOKEN_VARIABLES, Auth, StoredTokenAuth, TokenAuth
from .client import SSTCloud
from .clock import Clock, SystemClock
from .enums import Water
from .errors import RequestTimeoutError, SinkRefusedError, SSTCloudError
from .measurements import readings_from
from .models import Counter, House, Listing, Snapshot
from .readings import Reading
from .sink import Sink, SinkURL, WarmUp, open_sink
from .wording import NO_HOUSES

_log = logging.getLogger(__name__)

REMEMBER: Final = timedelta(hours=6)
"""How long to reuse the list of houses, which rarely changes."""

Answer = dict[str, int | bool | None]
"""A counter in the format of the old function: `id`, `line`, `hot_water`, `value`."""


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
        self._houses_at = datetime.min.replace(tzinfo=UTC)
        self._sink: asyncio.Task[Sink] | None = None
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
            # The old function's tables hold only meters, without the columns devices would add.
            counters_only=SinkURL.parse(sink_url).scheme == "timestream",
            base_url=environ.get("SST_CLOUD_URL") or None,
            secrets=environ,
        )

    def __call__(self, limit: float | None = None) -> list[Answer]:
        """Poll once; `limit` is in seconds. Raises `SSTCloudError`."""
        return self._runner.run(self._limited(limit))

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

    async def _limited(self, limit: float | None) -> list[Answer]:
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
        return [_answer(counter) for counter in snapshot.counters]

    async def _poll(self) -> tuple[Snapshot, list[Reading]]:
        opening = self._opening()  # in parallel with the requests to the cloud
        snapshot = await self._read()
        readings = readings_from(snapshot)
        sink = await asyncio.shield(opening)
        report = await sink.write(readings)
        for rejection in report.rejected:
            _log.error("rejected %s: %s", rejection.reading.key, rejection.reason)
        self._check_all_read(snapshot)
        if report.rejected:
            raise SinkRefusedError(
                f"{len(report.rejected)} of {len(readings)} readings were rejected, the first "
                f"because: {report.rejected[0].reason}"
            )
        return snapshot, readings

    async def _read(self) -> Snapshot:
        if self._houses is None or self._clock.now() - self._houses_at > self._remember:
            self._houses_at = self._clock.now()
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

    def _check_all_read(self, snapshot: Snapshot) -> None:
        """Raise why a house could not be read; an unreadable element of a list is only logged."""
        for bad in snapshot.unreadable:
            _log.warning("%s %s cannot be read: %s", bad.kind, bad.id, bad.reason)
        for bad in snapshot.unreadable:
            if bad.error is not None or bad.kind == "house":
                self._houses = None
                raise bad.error or SSTCloudError(f"house {bad.id} cannot be read: {bad.reason}")

    def _opening(self) -> asyncio.Task[Sink]:
        """The sink, open or being opened. If opening failed, try again."""
        if self._sink is None:
            self._sink = asyncio.ensure_future(self._open())
            self._sink.add_done_callback(self._opened)
        return self._sink

    async def _open(self) -> Sink:
        sink = await asyncio.to_thread(open_sink, self._sink_url, self._secrets)
        await sink.__aenter__()
        if isinstance(sink, WarmUp):
            await sink.warm_up()
        return sink

    def _opened(self, task: asyncio.Task[Sink]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._sink = None

    async def _close(self) -> None:
        await self._client.close()
        if self._sink is not None:
            sink = await self._sink
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


def _answer(counter: Counter) -> Answer:
    return {
        "id": counter.id,
        "line": counter.line,
        "hot_water": counter.water is Water.HOT,
        "value": counter.value_l,
    }
