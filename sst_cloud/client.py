"""The client: an account of SST Cloud as typed objects."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from .auth import Auth
from .clock import Clock, SystemClock
from .errors import AuthenticationError, SSTCloudError, TokenRejectedError
from .models import Counter, Device, Entity, House, Listing, Snapshot, Unreadable, User
from .structuring import Structurer
from .transport import BASE_URL, Transport

T = TypeVar("T")
E = TypeVar("E", bound=Entity)


class SSTCloud:
    """An account of SST Cloud.

    Use it as an async context manager, or call `close()` when done. An injected aiohttp
    `session` is never closed. Every method raises `SSTCloudError` in one of its forms.
    """

    def __init__(  # noqa: PLR0913  all but the first are options with good defaults
        self,
        auth: Auth,
        *,
        session: aiohttp.ClientSession | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_concurrency: int = 8,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is sent yet; the first request logs in if need be.

        `timeout` and `connect_timeout` are seconds per request: answers of 10 to 30 s have been
        seen. At most `max_concurrency` requests are under way at a time. `clock` and `random`
        serve the waits between attempts.
        """
        self._auth = auth
        self._clock = clock or SystemClock()
        self._transport = Transport(
            base_url or BASE_URL,
            session=session,
            timeout=timeout,
            connect_timeout=connect_timeout,
            max_concurrency=max_concurrency,
            clock=self._clock,
            random=random,
        )
        self._structurer = Structurer()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections this client has opened."""
        await self._transport.close()

    async def login(self) -> str:
        """Make sure of being logged in, and return the token: it can be kept for `TokenAuth`."""
        return await self._auth.token(self._transport)

    async def user(self) -> User:
        """The account that is logged in."""
        path = "/auth/user/"
        return self._structurer.one(await self._get(path), User, path)

    async def houses(self) -> Listing[House]:
        """All houses of the account."""
        return await self._list(House, "/houses/")

    async def house(self, house_id: int) -> House:
        """One house. Raises `NotFoundError`."""
        path = f"/houses/{house_id:d}/"
        return self._structurer.one(await self._get(path), House, path)

    async def devices(self, house_id: int) -> Listing[Device]:
        """All devices of a house, in one request."""
        return await self._list(Device, f"/houses/{house_id:d}/devices/", house_id=house_id)

    async def device(self, house_id: int, device_id: int) -> Device:
        """One device. Raises `NotFoundError`."""
        path = f"/houses/{house_id:d}/devices/{device_id:d}/"
        return self._structurer.one(await self._get(path), Device, path, house_id=house_id)

    async def counters(self, house_id: int, device_id: int | None = None) -> Listing[Counter]:
        """The water meters of a house in one request, or of one of its devices."""
        if device_id is None:
            return await self._list(Counter, f"/houses/{house_id:d}/counters/", house_id=house_id)
        path = f"/houses/{house_id:d}/devices/{device_id:d}/counters/"
        return await self._list(Counter, path, house_id=house_id, device_id=device_id)

    async def snapshot(
        self,
        *,
        houses: Listing[House] | None = None,
        house_ids: Collection[int] | None = None,
        counters_only: bool = False,
    ) -> Snapshot:
        """The whole account at this moment, read concurrently.

        `houses` are those of an earlier call, if they need not be asked for again. `house_ids`
        narrows it to some houses, `counters_only` to houses and their meters (the readings then
        lack the names and models of devices). What cannot be read is in `unreadable`; only if
        there is nothing else does its error come out.
        """
        time = self._clock.now()
        if houses is None:
            houses = await self.houses()
        chosen = [house for house in houses if house_ids is None or house.id in house_ids]
        unreadable = list(houses.unreadable)
        found = {house.id for house in chosen} | {bad.id for bad in unreadable}
        for missing in sorted(set(house_ids or ()) - found):
            bad = Unreadable(kind="house", id=missing, reason="there is no such house here")
            unreadable.append(bad)
        reads = [_lenient("counters", house.id, self.counters(house.id)) for house in chosen]
        if not counters_only:
            reads += [_lenient("devices", house.id, self.devices(house.id)) for house in chosen]
        lists = await _together(reads)
        counters = Listing.joined(lists[: len(chosen)])
        devices = Listing.joined(lists[len(chosen) :])
        failed = [*counters.unreadable, *devices.unreadable]
        errors = [bad.error for bad in failed if bad.error is not None]
        if errors and len(errors) == len(lists):
            raise errors[0]
        return Snapshot(
            time=time,
            houses=tuple(chosen),
            devices=tuple(devices),
            counters=tuple(counters),
            unreadable=(*unreadable, *failed),
        )

    async def _list(self, type_: type[E], path: str, **given: Any) -> Listing[E]:
        return self._structurer.listing(await self._get(path), type_, path, **given)

    async def _get(self, path: str) -> Any:
        token = await self._auth.token(self._transport)
        try:
            return await self._transport.request("GET", path, token=token)
        except TokenRejectedError as rejected:
            token = await self._auth.renew(self._transport, rejected, token)
        return await self._transport.request("GET", path, token=token)


async def _lenient(kind: str, id_: int, read: Awaitable[Listing[Any]]) -> Listing[Any]:
    """A list that cannot be read counts as one `Unreadable`, unless nobody is logged in."""
    try:
        return await read
    except AuthenticationError:
        raise
    except SSTCloudError as error:
        return Listing(unreadable=[Unreadable(kind=kind, id=id_, reason=str(error), error=error)])


async def _together(reads: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once; when one fails, or the caller gives up, the others are cancelled."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
