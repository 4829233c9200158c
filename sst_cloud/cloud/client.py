"""The client: an account of SST Cloud as typed objects."""

import asyncio
import random
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.commands import Command
from sst_cloud.controls import Controls
from sst_cloud.errors import (
    ApiError,
    AuthenticationError,
    CommandRejectedError,
    SSTCloudError,
    TokenRejectedError,
)
from sst_cloud.models import (
    Counter,
    Device,
    Entity,
    Group,
    House,
    LeakModule,
    Listing,
    Network,
    News,
    Snapshot,
    Unreadable,
    User,
    WirelessSensor,
)
from sst_cloud.redaction import TOKEN_VARIABLES

from .auth import Auth
from .devices.wireless_sensor import sensor_list_fields
from .request_limiter import RequestLimiter
from .requests import request_for
from .structuring import shared_structurer
from .transport import BASE_URL, Transport

if TYPE_CHECKING:
    from sst_cloud.plugin_url import Option, SourceURL

_REFUSALS: Final = frozenset({400, 404, 405, 409, 415, 422})
"""Statuses that mean that a command was not carried out."""

T = TypeVar("T")
E = TypeVar("E", bound=Entity)

_EMPTY_HINT: Final = "if the account was migrated to the ATLAS app, it has left SST Cloud for good"


def _unchanged(payload: Any) -> Any:
    return payload


class SSTCloud(Controls):
    """An account of SST Cloud.

    As a source it is `cloud:`. Use it as an async context manager, or call `close()` when done. An
    injected aiohttp `session` is never closed. Methods raise subclasses of `SSTCloudError`.
    """

    target: ClassVar[str] = "[URL]"
    options: ClassVar[Sequence["Option"]] = ()
    secrets: ClassVar[Sequence[str]] = (*TOKEN_VARIABLES, "SST_CLOUD_EMAIL", "SST_CLOUD_PASSWORD")

    refresh: timedelta = timedelta(minutes=10)
    """Roughly how often the cloud receives new values from the devices."""

    def __init__(  # noqa: PLR0913  all but the first are options with good defaults
        self,
        auth: Auth,
        *,
        session: aiohttp.ClientSession | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_concurrency: int = 8,
        limiter: RequestLimiter | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Send nothing yet; the first request logs in if necessary.

        `timeout` and `connect_timeout` are in seconds per request: responses taking 10 to 30 s
        have been seen. At most `max_concurrency` requests run at a time; a `limiter`, which other
        clients may share, sets it for all of them instead. `clock` and `random` set the delays
        between retries. Raises ValueError for an invalid `base_url`, or a `max_concurrency`
        below 1.
        """
        self._auth = auth
        self._base_url = base_url or BASE_URL
        self._clock = clock or SystemClock()
        self._transport = Transport(
            self._base_url,
            session=session,
            timeout=timeout,
            connect_timeout=connect_timeout,
            limiter=limiter or RequestLimiter(max_concurrency),
            clock=self._clock,
            random=random,
        )

    @classmethod
    def from_url(cls, url: "SourceURL") -> Self:
        """The account of `cloud:`, with credentials from the URL's secrets.

        They are named like the environment variables. Raises `CredentialsError`.
        """
        from .credentials import Account, find_auth  # noqa: PLC0415  needed only here

        url.convert(cls.options)
        account = Account.from_environment(url.secrets)
        auth = find_auth([account])
        try:
            return cls(auth, base_url=url.target or account.url)
        except ValueError as error:
            raise url.error(str(error)) from None

    @property
    def name(self) -> str:
        """`SST Cloud`, and where it is if that is not the vendor's."""
        if self._base_url == BASE_URL:
            return "SST Cloud"
        return f"SST Cloud at {urlsplit(self._base_url).netloc.rpartition('@')[2]}"

    async def close(self) -> None:
        """Cancel pending commands, and close the connections this client opened."""
        await super().close()
        await self._transport.close()

    async def login(self) -> str:
        """Log in if necessary, and return the token, which can be stored for `TokenAuth`."""
        return await self._auth.token(self._transport)

    async def raw(self, path: str) -> Any:
        """The JSON at any path, unchanged; `path` begins and ends with a slash.

        Raises ValueError if it does not begin with one.
        """
        if not path.startswith("/"):  # it would become part of the host name
            raise ValueError(f"a path must begin with a slash, unlike {path!r}")
        return await self._request("GET", path)

    async def user(self) -> User:
        """The account that is logged in."""
        return await self._get_one(User, "/auth/user/")

    async def houses(self) -> Listing[House]:
        """All houses in the account."""
        return await self._get_list(House, "/houses/")

    async def house(self, house_id: int) -> House:
        """One house. Raises `NotFoundError`."""
        return await self._get_one(House, f"/houses/{house_id:d}/")

    async def devices(self, house_id: int) -> Listing[Device]:
        """All devices in a house, in one request."""
        return await self._get_list(Device, f"/houses/{house_id:d}/devices/", house_id=house_id)

    async def device(self, house_id: int, device_id: int) -> Device:
        """One device. Raises `NotFoundError`."""
        path = f"/houses/{house_id:d}/devices/{device_id:d}/"
        return await self._get_one(Device, path, house_id=house_id)

    async def counters(self, house_id: int, device_id: int | None = None) -> Listing[Counter]:
        """The water meters of a house, or of one of its devices, in one request."""
        if device_id is None:
            return await self._get_list(
                Counter, f"/houses/{house_id:d}/counters/", house_id=house_id
            )
        path = f"/houses/{house_id:d}/devices/{device_id:d}/counters/"
        return await self._get_list(Counter, path, house_id=house_id, device_id=device_id)

    async def wireless_sensors(self, house_id: int, device_id: int) -> Listing[WirelessSensor]:
        """The wireless leak sensors of a leak module."""
        path = f"/houses/{house_id:d}/devices/{device_id:d}/wireless_sensors/"
        ids = {"house_id": house_id, "device_id": device_id}
        return await self._get_list(WirelessSensor, path, element_fields=sensor_list_fields, **ids)

    async def networks(self, house_id: int) -> Listing[Network]:
        """The Wi-Fi networks of a house."""
        return await self._get_list(Network, f"/houses/{house_id:d}/networks/", house_id=house_id)

    async def groups(self, house_id: int) -> Listing[Group]:
        """The groups into which the owner has sorted the devices of a house."""
        return await self._get_list(Group, f"/houses/{house_id:d}/groups/", house_id=house_id)

    async def news(self) -> Listing[News]:
        """The vendor's news."""
        return await self._get_list(News, "/news/")

    async def logout(self) -> None:
        """Revoke the token, for every program that uses it."""
        await self._request("POST", "/auth/logout/")
        self._auth.forget()

    async def snapshot(
        self,
        *,
        houses: Listing[House] | None = None,
        house_ids: Collection[int] | None = None,
        counters_only: bool = False,
    ) -> Snapshot:
        """The current state of the whole account, read concurrently.

        Houses, devices, meters and wireless sensors: everything that has readings, and nothing
        else. Pass the `houses` of an earlier call to avoid requesting them again. `house_ids`
        limits it to some houses, `counters_only` to houses and their meters (the readings then
        lack the names and models of devices). What cannot be read is in `unreadable`; its error
        is raised only if nothing else could be read.
        """
        time = self._clock.now()
        if houses is None:
            houses = await self.houses()
        selected_ids = None if house_ids is None else set(house_ids)
        selected_houses = [
            house for house in houses if selected_ids is None or house.id in selected_ids
        ]
        unreadable = list(houses.unreadable)
        listed_ids = {house.id for house in selected_houses} | {item.id for item in unreadable}
        for missing_id in sorted((selected_ids or set()) - listed_ids):
            item = Unreadable(kind="house", id=missing_id, reason="the account has no such house")
            unreadable.append(item)
        ids = list(dict.fromkeys(house.id for house in selected_houses))
        reads: list[Coroutine[Any, Any, Any]] = [
            _list_or_unreadable("counters", id_, self.counters(id_)) for id_ in ids
        ]
        if not counters_only:
            reads += [self._devices_and_sensors(id_) for id_ in ids]
        results = await _gather(reads)
        counters: list[Listing[Counter]] = results[: len(ids)]
        devices: list[Listing[Device]] = [listing for listing, _ in results[len(ids) :]]
        sensors: list[Listing[WirelessSensor]] = [listing for _, listing in results[len(ids) :]]
        lists: list[Listing[Any]] = [*counters, *devices]
        errors = [item.error for listing in lists for item in listing.unreadable if item.error]
        if errors and len(errors) == len(lists):
            raise errors[0]
        return Snapshot(
            time=time,
            houses=tuple(selected_houses),
            devices=tuple(Listing.joined(devices)),
            counters=tuple(Listing.joined(counters)),
            wireless_sensors=tuple(Listing.joined(sensors)),
            unreadable=(*unreadable, *Listing.joined([*lists, *sensors]).unreadable),
            source=self.name,
            refresh=self.refresh,
            empty_hint="" if houses else _EMPTY_HINT,
        )

    async def _devices_and_sensors(
        self, house_id: int
    ) -> tuple[Listing[Device], Listing[WirelessSensor]]:
        """The devices of a house, then the wireless sensors of those that have any."""
        devices = await _list_or_unreadable("devices", house_id, self.devices(house_id))
        modules = dict.fromkeys(device.id for device in devices if isinstance(device, LeakModule))
        sensors = await _gather(
            _list_or_unreadable("wireless_sensors", id_, self.wireless_sensors(house_id, id_))
            for id_ in modules
        )
        return devices, Listing.joined(sensors)

    async def _send(self, command: Command) -> None:
        request = request_for(command)
        try:
            await self._request(request.method, request.path, dict(request.body))
        except ApiError as error:
            if error.status in _REFUSALS:
                raise CommandRejectedError(f"the cloud refused the command: {error}") from error
            raise

    async def _get_one(self, type_: type[E], path: str, **known_fields: Any) -> E:
        def read(payload: Any) -> E:
            return shared_structurer().one(payload, type_, path, **known_fields)

        return await self._request("GET", path, read=read)

    async def _get_list(
        self,
        type_: type[E],
        path: str,
        element_fields: Callable[[Any], Sequence[Mapping[str, Any]]] | None = None,
        **known_fields: Any,
    ) -> Listing[E]:
        """A list; `element_fields` computes further fields of each element from the whole list."""

        def read(payload: Any) -> Listing[E]:
            own_fields = element_fields(payload) if element_fields else None
            return shared_structurer().listing(
                payload, type_, path, element_fields=own_fields, **known_fields
            )

        return await self._request("GET", path, read=read)

    async def _request(
        self, method: str, path: str, json: Any = None, *, read: Callable[[Any], T] = _unchanged
    ) -> T:
        token = await self._auth.token(self._transport)
        try:
            return await self._transport.request(method, path, token=token, json=json, read=read)
        except TokenRejectedError as rejected:
            # A rejected request was not carried out, so it is safe to repeat even a command.
            token = await self._auth.renew(self._transport, rejected, token)
        return await self._transport.request(method, path, token=token, json=json, read=read)


async def _list_or_unreadable(kind: str, id_: int, read: Awaitable[Listing[Any]]) -> Listing[Any]:
    """A list that cannot be read counts as one `Unreadable`; authentication errors are raised."""
    try:
        return await read
    except AuthenticationError:
        raise
    except SSTCloudError as error:
        return Listing(unreadable=[Unreadable(kind=kind, id=id_, reason=str(error), error=error)])


async def _gather(reads: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once; if one fails, or the caller is cancelled, the others are cancelled."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
