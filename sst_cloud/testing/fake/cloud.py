"""A fake cloud on the loopback interface."""

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import attrs
from aiohttp import web

from sst_cloud.clock import Clock, ManualClock

from .account import FakeAccount, FakeHouse, assign_ids
from .counter import FakeCounter
from .demo_account import demo_account
from .device import FakeDevice
from .faults import CLOSING, Fault, Handler, InjectedFault
from .routes import Endpoints, SeenCommand


@attrs.frozen
class SeenRequest:
    """A request that the fake cloud received."""

    method: str
    path: str
    headers: dict[str, str] = attrs.field(repr=False)


class FakeCloud:
    """SST Cloud's HTTP API with made-up accounts, on a free port of the loopback interface.

    Counters follow a household's daily rhythm and are updated every 10 minutes of `clock`. By
    default, time is frozen at the present until advanced: `cloud.clock.advance(600)`. A command
    takes effect after `settle` seconds of that clock: a read right after a write returns the old
    value.
    """

    def __init__(  # noqa: PLR0913  all have good defaults
        self,
        accounts: Iterable[FakeAccount] | None = None,
        *,
        clock: Clock | None = None,
        settle: float = 5.0,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        remember: int | None = None,
    ) -> None:
        """By default there is one account, with two houses. `port` 0 picks a free port.

        With `tls` it uses HTTPS, as the real one does. It remembers all `requests` and `commands`,
        or only the last `remember`.
        """
        self.accounts: list[FakeAccount] = [demo_account()] if accounts is None else list(accounts)
        assign_ids(self.accounts)
        self.clock: Clock = clock or ManualClock(datetime.now(UTC))
        self.settle = settle
        """Seconds until a command takes effect; 0 for immediately."""
        for device in self._all_devices():
            device.bind(self.clock.now)
        self.commands: list[SeenCommand] = []
        """Every command received since the start, oldest first."""
        self.requests: list[SeenRequest] = []
        """Every request since the start, oldest first."""
        self.most_at_once: int = 0
        """The highest number of concurrent requests so far."""
        self._open_requests = 0
        self._faults: list[InjectedFault] = []
        self._host = host
        self._port = port
        self._tls = tls
        self._remember = remember
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The base URL to pass to a client."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def account(self) -> FakeAccount:
        """The first account."""
        return self.accounts[0]

    @property
    def email(self) -> str:
        """The e-mail of the first account."""
        return self.account.email

    @property
    def password(self) -> str:
        """The password of the first account."""
        return self.account.password

    @property
    def token(self) -> str:
        """The current token of the first account."""
        return self.account.token

    @property
    def houses(self) -> list[FakeHouse]:
        """The houses of the first account."""
        return self.account.houses

    @property
    def devices(self) -> list[FakeDevice]:
        """The devices of the first account."""
        return [device for house in self.houses for device in house.devices]

    def device(self, name: str) -> FakeDevice:
        """The first device with this name, of any account."""
        for device in self._all_devices():
            if device.name == name:
                return device
        raise LookupError(f"there is no device named {name!r}")

    @property
    def counters(self) -> list[FakeCounter]:
        """The counters of the first account."""
        return [counter for device in self.devices for counter in device.counters]

    def inject(
        self, fault: Fault, *, path: str = "*", method: str = "*", times: int | None = None
    ) -> None:
        """Inject a fault into matching requests; `times` None means until cleared."""
        self._faults.append(InjectedFault(fault, path, method, times))

    def clear_faults(self) -> None:
        """Remove all injected faults."""
        self._faults.clear()

    def settle_now(self) -> None:
        """Apply all accepted commands now, without advancing the clock."""
        for device in self._all_devices():
            device.catch_up(self.clock.now(), everything=True)

    def expire_tokens(self) -> None:
        """Invalidate all tokens and sessions; logging in creates new ones."""
        for account in self.accounts:
            account.generation += 1

    async def __aenter__(self) -> Self:
        app = Endpoints(
            self.accounts, self.clock.now, lambda: self.settle, self.commands
        ).application()
        app.middlewares.insert(0, self._record_request)
        app[CLOSING] = asyncio.Event()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            self._runner.app[CLOSING].set()
            await self._runner.cleanup()
            self._runner = None

    def _all_devices(self) -> list[FakeDevice]:
        houses = [house for account in self.accounts for house in account.houses]
        return [device for house in houses for device in house.devices]

    @web.middleware
    async def _record_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(SeenRequest(request.method, request.path, dict(request.headers)))
        self._open_requests += 1
        self.most_at_once = max(self.most_at_once, self._open_requests)
        try:
            for injected in [fault for fault in self._faults if fault.applies_to(request)]:
                handler = _with_fault(injected.fault, handler)
            return await handler(request)
        finally:
            self._open_requests -= 1
            if self._remember is not None:
                del self.requests[: -self._remember]
                del self.commands[: -self._remember]


def _with_fault(fault: Fault, handler: Handler) -> Handler:
    async def respond(request: web.Request) -> web.StreamResponse:
        return await fault.apply(request, handler)

    return respond
