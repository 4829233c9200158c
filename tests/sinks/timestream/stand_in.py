"""A stand-in for Amazon Timestream on the loopback interface: write, query and control plane."""

import asyncio
import json
import ssl
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import attrs
from aiohttp import web

from sinks.timestream.store import ServiceError, Table
from sst_cloud.testing.fake.faults import CLOSING, Fault, Handler

_PREFIX: Final = "Timestream_20181101."
NOW: Final = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)


@attrs.frozen
class Error:
    """An error that the service answers with."""

    code: str
    status: int = 400
    message: str = "Something is wrong."

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        raise ServiceError(self.code, self.message, self.status)


@attrs.frozen
class DropAfter:
    """The request is carried out, and the answer lost."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        assert request.transport is not None
        request.transport.abort()
        return answer


@attrs.frozen
class ReceivedRequest:
    """A request that came in."""

    operation: str
    body: dict[str, Any]
    host: str
    signed: str = attrs.field(repr=False)
    """The header with the signature, which names the key."""


@attrs.define
class _Injected:
    operation: str
    fault: Fault
    times: int | None


class Timestream:
    """Speaks JSON 1.0, and enforces the documented limits; `now` is constant."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.databases: dict[str, dict[str, Table]] = {}
        self.now = NOW
        self.requests: list[ReceivedRequest] = []
        self.denied: Collection[str] = ()
        """Operations that the caller may not ask for."""
        self.page_rows = 1000
        self.empty_first_page = False
        """Begin an answer with an empty page, like a slow query."""
        self.most_at_once = 0
        self._under_way = 0
        self._tls = tls
        self._faults: list[_Injected] = []
        self._pages: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_table(self, database: str = "mydb", table: str = "meters", **settings: Any) -> Table:
        new_table = Table(**settings)
        self.databases.setdefault(database, {})[table] = new_table
        return new_table

    def inject(
        self, fault: Fault, operation: str = "WriteRecords", times: int | None = None
    ) -> None:
        """Inject a fault into requests for an operation; `times` None: into all."""
        self._faults.append(_Injected(operation, fault, times))

    def clear_faults(self) -> None:
        self._faults.clear()

    def requests_for(self, operation: str) -> list[dict[str, Any]]:
        """The bodies of the requests for an operation."""
        return [request.body for request in self.requests if request.operation == operation]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=10 * 2**20)
        app.router.add_post("/", self._handle)
        app[CLOSING] = asyncio.Event()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        self._runner.app[CLOSING].set()
        await self._runner.cleanup()
        for tables in self.databases.values():
            for table in tables.values():
                table.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        operation = request.headers["X-Amz-Target"].removeprefix(_PREFIX)
        body = json.loads(await request.read())
        signed = request.headers.get("Authorization", "")
        self.requests.append(ReceivedRequest(operation, body, request.host, signed))
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        handler: Handler = self._answer
        for injected in self._faults:
            if injected.operation == operation and injected.times != 0:
                injected.times = None if injected.times is None else injected.times - 1
                handler = _through(injected.fault, handler)
                break
        try:
            return await handler(request)
        except ServiceError as error:
            return _json(error.body, error.status)
        finally:
            self._under_way -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        operation = request.headers["X-Amz-Target"].removeprefix(_PREFIX)
        operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateDatabase": self._create_database,
            "CreateTable": self._create_table,
            "DescribeEndpoints": self._describe_endpoints,
            "DescribeTable": self._describe_table,
            "Query": self._query,
            "UpdateTable": self._update_table,
            "WriteRecords": self._write_records,
        }
        if "AWS4-HMAC-SHA256" not in request.headers.get("Authorization", ""):
            raise ServiceError("MissingAuthenticationTokenException", "Not signed.")
        if operation not in operations:
            raise ServiceError("UnknownOperationException", operation)
        if operation in self.denied:
            message = f"User: arn:aws:iam::1:user/me is not authorized to perform: {operation}"
            raise ServiceError("AccessDeniedException", message)
        return _json(operations[operation](json.loads(await request.read())))

    def _describe_endpoints(self, body: dict[str, Any]) -> dict[str, Any]:
        address = "ingest-cell1.timestream.eu-central-1.amazonaws.com"
        return {"Endpoints": [{"Address": address, "CachePeriodInMinutes": 1440}]}

    def _write_records(self, body: dict[str, Any]) -> dict[str, Any]:
        stored = self._table(body).write(body, self.now)
        return {"RecordsIngested": {"Total": stored, "MemoryStore": stored, "MagneticStore": 0}}

    def _create_database(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["DatabaseName"]
        if name in self.databases:
            raise ServiceError("ConflictException", f"The database {name} already exists.")
        self.databases[name] = {}
        return {"Database": {"DatabaseName": name}}

    def _create_table(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["DatabaseName"] not in self.databases:
            raise ServiceError("ResourceNotFoundException", "The database does not exist.")
        if body["TableName"] in self.databases[body["DatabaseName"]]:
            raise ServiceError("ConflictException", "The table already exists.")
        self.add_table(body["DatabaseName"], body["TableName"])
        return self._update_table(body)

    def _update_table(self, body: dict[str, Any]) -> dict[str, Any]:
        table = self._table(body)
        retention = body["RetentionProperties"]
        table.memory_hours = retention["MemoryStoreRetentionPeriodInHours"]
        table.magnetic_days = retention["MagneticStoreRetentionPeriodInDays"]
        table.magnetic_writes = body["MagneticStoreWriteProperties"]["EnableMagneticStoreWrites"]
        return self._describe_table(body)

    def _describe_table(self, body: dict[str, Any]) -> dict[str, Any]:
        table = self._table(body)
        return {
            "Table": {
                "DatabaseName": body["DatabaseName"],
                "TableName": body["TableName"],
                "RetentionProperties": {
                    "MemoryStoreRetentionPeriodInHours": table.memory_hours,
                    "MagneticStoreRetentionPeriodInDays": table.magnetic_days,
                },
                "MagneticStoreWriteProperties": {
                    "EnableMagneticStoreWrites": table.magnetic_writes
                },
            }
        }

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        if token := body.get("NextToken"):
            columns, rows = self._pages.pop(token)
        else:
            columns, rows = self._run(body["QueryString"])
        most = min(body.get("MaxRows", 1000), self.page_rows)
        if self.empty_first_page and not token:
            most = 0
        answer = {"QueryId": "1", "ColumnInfo": columns, "Rows": rows[:most]}
        if rest := rows[most:]:
            more = f"page {len(self.requests)}"
            self._pages[more] = (columns, rest)
            return answer | {"NextToken": more}
        return answer

    def _run(self, sql: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        for database, tables in self.databases.items():
            for name, table in tables.items():
                full = f'"{database}"."{name}"'
                if full in sql:
                    return table.query(sql, full)
        raise ServiceError("ValidationException", "The database or table does not exist.")

    def _table(self, body: dict[str, Any]) -> Table:
        try:
            return self.databases[body["DatabaseName"]][body["TableName"]]
        except KeyError as error:
            message = f"The table {error} does not exist."
            raise ServiceError("ResourceNotFoundException", message) from None


def _through(fault: Fault, handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await fault.apply(request, handler)

    return answer


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    text = json.dumps(body)
    return web.Response(text=text, status=status, content_type="application/x-amz-json-1.0")
