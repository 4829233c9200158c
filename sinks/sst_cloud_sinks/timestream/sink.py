"""Readings in Amazon Timestream for LiveAnalytics, compatible with existing tables."""

import re
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.readings import Quantity, Reading
from sst_cloud.sink import Guarantee, Option, Rejection, SinkURL, WriteReport, flag, retention
from sst_cloud_sinks.base import BaseSink, BatchRefusedError

from .aws import CREDENTIALS, QUERY, WRITE, Connection, Refusal
from .batches import BATCH_SIZE, Entry, plan, request_for
from .history import history, newest, rows
from .tables import Retention, create

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,256}")
_TIME_REJECTED: Final = re.compile(
    "time range|retention|memory store|ingestion window", re.IGNORECASE
)
_OLD_READINGS_HINT: Final = (
    "(Older readings need a table with magnetic-store writes and a long enough retention)"
)
_RECENT_REQUESTS: Final = 100
"""Number of requests whose readings are kept, to recognise retries."""


class TimestreamSink(BaseSink):
    """Writes readings to a table of Amazon Timestream, and reads them back.

    `location` is the value of that dimension, by default the house's name. `overwrite` lets later
    values replace stored ones. `memory`, `magnetic` and `magnetic_writes` are for `provision` only.
    `credentials` are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with
    AWS_SESSION_TOKEN if there is one; by default they come from where AWS programs find them, as
    they do for a `profile`. `timeout` and `query_timeout` are in seconds per request, including
    retries; at most `concurrency` requests run at a time. An injected aiobotocore `client`
    (timestream-write) or `query_client` is never closed.
    """

    target: ClassVar[str] = "DATABASE/TABLE"
    options: ClassVar[Sequence[Option]] = (
        Option("location", "value of the dimension `location`; default: the house's name"),
        Option("region", "AWS region; default: from the profile or AWS_DEFAULT_REGION"),
        Option("profile", "profile in ~/.aws/config"),
        Option("endpoint_url", "use this endpoint; AWS_ENDPOINT_URL is ignored"),
        Option("overwrite", "yes: replace stored values; no (default)", flag),
        Option("memory", "to provision: greatest age of a new reading, default 30d", retention),
        Option("magnetic", "to provision: how long to keep readings, default 10y", retention),
        Option("magnetic_writes", "to provision: yes: accept older readings, too", flag),
    )
    guarantee: ClassVar[Guarantee] = Guarantee.IDEMPOTENT
    secrets: ClassVar[Sequence[str]] = CREDENTIALS
    batch_size = BATCH_SIZE

    def __init__(  # noqa: PLR0913  one keyword an option
        self,
        database: str,
        table: str,
        *,
        location: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        overwrite: bool = False,
        memory: timedelta = timedelta(days=30),
        magnetic: timedelta = timedelta(days=3650),
        magnetic_writes: bool = False,
        credentials: Mapping[str, str] | None = None,
        client: Any = None,
        query_client: Any = None,
        timeout: float = 20.0,
        query_timeout: float = 120.0,
        concurrency: int = 8,
    ) -> None:
        for kind, name in (("database", database), ("table", table)):
            if not _NAME.fullmatch(name):
                raise SinkOptionsError(
                    f"{name!r} is not a valid Timestream {kind}: 3 to 256 of a-z A-Z 0-9 _ . -"
                )
        if location == "":
            raise SinkOptionsError("the location must not be empty; omit it instead")
        self._database = database
        self._table = table
        self._name = f"{database}/{table}"
        self._location = location
        self._overwrite = overwrite
        self._retention = Retention.from_periods(memory, magnetic, writes=magnetic_writes)
        self._version = 0
        self.max_concurrency = concurrency
        clients = {WRITE: client, QUERY: query_client}
        self._aws = Connection(
            table=self._name,
            region=region,
            profile=profile,
            endpoint_url=endpoint_url,
            credentials=credentials or {},
            max_concurrency=concurrency,
            limits={WRITE: timeout, QUERY: query_timeout},
            clients={name: injected for name, injected in clients.items() if injected is not None},
        )
        self._recent_requests: deque[Sequence[Reading]] = deque(maxlen=_RECENT_REQUESTS)

    @classmethod
    def parse_target(cls, url: SinkURL) -> Sequence[str]:
        """Database and table."""
        names = unquote(url.target).split("/")
        if len(names) != 2:
            raise SinkOptionsError(f"the {url.scheme} sink needs {url.scheme}:{cls.target}")
        return names

    @classmethod
    def pick_secrets(cls, secrets: Mapping[str, str]) -> Mapping[str, Any]:
        """The credentials, if AWS programs do not find others."""
        return {"credentials": secrets}

    async def close(self) -> None:
        """Close the clients that are its own."""
        await self._aws.close()

    async def warm_up(self) -> None:
        """Import aioboto3 and create the client, mostly in a thread.

        Otherwise the first use does so. Await it, or run it as a task alongside other work.
        """
        await self._aws.open(WRITE)

    async def check(self) -> None:
        """Check that the table can be written to, with a record that every table rejects.

        It lies a year in the future, so this needs no permissions beyond writing.
        """
        year_ahead = int(time.time()) + int(timedelta(days=365).total_seconds())
        probe = {
            "Dimensions": [{"Name": "service", "Value": "check"}],
            "MeasureName": "check",
            "MeasureValue": "0",
            "MeasureValueType": "BIGINT",
            "Time": str(year_ahead),
            "TimeUnit": "SECONDS",
        }
        try:
            await self._write_records(Records=[probe])
        except Refusal as refusal:
            if refusal.code != "RejectedRecordsException":
                raise SinkRefusedError(
                    f"{self._name} refused the request: {refusal.message}"
                ) from None

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings in requests of up to 100. If one fails, others may still be stored.

        Rejections carry the service's reason. If a different value is already stored for the same
        time, it is kept, unless the sink overwrites.
        """
        reasons: dict[int, str] = {}
        remaining: Sequence[int] = range(len(readings))
        while remaining:
            next_plan = plan(readings, remaining, self._location)
            reasons |= next_plan.problems
            send = partial(self._send, readings, self._next_version())
            reasons |= await self.write_in_batches(
                next_plan.entries, send, _rejected_entry, limit=self.max_concurrency
            )
            reasons |= {
                twin: reasons[first] for twin, first in next_plan.duplicates if first in reasons
            }
            remaining = next_plan.later
        rejections = tuple(Rejection(readings[i], reason) for i, reason in sorted(reasons.items()))
        return WriteReport(len(readings) - len(rejections), rejections)

    async def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings by time, loading a page at a time; needs timestream:Select.

        Rows of the old function are returned under house 0, one series per location and water.
        """
        async for reading in history(self._aws, self._quoted_table, quantity, since, until):
            yield reading

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series. Timestream scans the whole table for this."""
        return await newest(self._aws, self._quoted_table)

    async def provision(self) -> Sequence[str]:
        """Create database and table if missing; returns what was done, a sentence each.

        The retention of an existing table is never shortened: that would delete readings.
        """
        return await create(self._aws, self._database, self._table, self._retention)

    @property
    def _quoted_table(self) -> str:
        return f'"{self._database}"."{self._table}"'

    async def _send(
        self, readings: Sequence[Reading], version: int | None, entries: Sequence[Entry]
    ) -> Iterable[tuple[int, str]]:
        """Send a request; returns the indices of what could not be stored, with the reasons."""
        reasons: dict[int, str] = {}
        sent = [readings[index] for index, *_ in entries]
        try:
            await self._write_records(**request_for(entries, version))
        except Refusal as refusal:
            if refusal.code != "RejectedRecordsException":
                sent = []
                raise BatchRefusedError(refusal.message or refusal.code) from None
            reasons = await self._rejection_reasons(readings, entries, version, refusal)
            sent = [readings[index] for index, *_ in entries if index not in reasons]
        finally:
            self._recent_requests.append(sent)  # even without a response: it may have arrived
        return reasons.items()

    async def _rejection_reasons(
        self,
        readings: Sequence[Reading],
        entries: Sequence[Entry],
        version: int | None,
        refusal: Refusal,
    ) -> dict[int, str]:
        """The reasons of the rejected records, except those that are already stored."""
        reasons: dict[int, str] = {}
        maybe_stored: dict[int, Reading] = {}
        for record in refusal.rejected:
            if record.index not in range(len(entries)):
                raise SinkUnavailableError(f"{self._name} rejected a record that was not sent")
            index = entries[record.index][0]
            reasons[index] = _reason(record.reason, readings[index])
            if record.existing_version == (version or 1):
                maybe_stored[index] = readings[index]
        if maybe_stored:
            stored = await self._already_stored(maybe_stored.values(), retried=refusal.retried)
            for index, reading in maybe_stored.items():
                if reading in stored:
                    del reasons[index]
        return reasons

    async def _already_stored(
        self, readings: Collection[Reading], *, retried: bool
    ) -> set[Reading]:
        """The readings already stored unchanged, which were rejected only for being sent again.

        The table is queried. If that is not allowed, or the row is not visible yet, a reading
        counts as stored if it was sent before.
        """
        stored: set[Reading] = set()
        try:
            for quantity in {reading.quantity for reading in readings}:
                times = [reading.time for reading in readings if reading.quantity is quantity]
                until = max(times) + timedelta(seconds=1)
                async for reading in rows(
                    self._aws, self._quoted_table, quantity, min(times), until
                ):
                    stored.add(reading)
        except SinkRefusedError:
            stored.clear()
        stored_keys = {reading.key for reading in stored}
        sent_before = {reading for sent in self._recent_requests for reading in sent}
        return {
            reading
            for reading in readings
            if reading in stored
            or (reading.key not in stored_keys and (retried or reading in sent_before))
        }

    async def _write_records(self, **request: Any) -> None:
        await self._aws.call(
            WRITE,
            "write_records",
            "RejectedRecordsException",
            "ValidationException",
            DatabaseName=self._database,
            TableName=self._table,
            **request,
        )

    def _next_version(self) -> int | None:
        """None for the service's default of 1, or a number that grows with every write."""
        if not self._overwrite:
            return None
        self._version = max(self._version + 1, time.time_ns() // 1_000_000)
        return self._version


def _rejected_entry(entry: Entry, reason: str) -> tuple[int, str]:
    return entry[0], reason


def _reason(reason: str, reading: Reading) -> str:
    reason = reason or "Timestream rejected the record without a reason"
    if _TIME_REJECTED.search(reason) and reading.time.timestamp() < time.time():
        return f"{reason} {_OLD_READINGS_HINT}"
    return reason
