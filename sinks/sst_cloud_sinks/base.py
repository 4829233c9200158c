"""A help for sinks, and no duty: whatever has the methods of `Sink` is one."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Any, ClassVar, Final, Self, TypeVar

from sst_cloud.errors import SinkOptionsError, SinkRefusedError
from sst_cloud.readings import Reading
from sst_cloud.sink import Guarantee, Option, Rejection, SinkURL, WriteReport

T = TypeVar("T")
R = TypeVar("R")

_MANY: Final = 10
"""If so many rows are all refused for one reason, the store is at fault."""


class BatchRefusedError(SinkRefusedError):
    """The store refuses a whole batch for some of its rows, and does not say which."""


class BaseSink(ABC):
    """A sink with the class's `target`, `options` and `secrets`, which writes in batches.

    A subclass defines `guarantee`, `check`, and `write_batch` or a `write` of its own.
    """

    target: ClassVar[str] = ""
    """What follows the colon: nothing, `PATH` for a path, or the form of any other text."""
    options: ClassVar[Sequence[Option]] = ()
    """Each is a keyword argument of the class."""
    secrets: ClassVar[Sequence[str]] = ()
    guarantee: ClassVar[Guarantee]
    batch_size: int = 1_000
    """The most readings that `write_batch` gets."""
    max_concurrency: int = 1
    """How many batches are written at a time."""

    @classmethod
    def from_url(cls, url: SinkURL) -> Self:
        """Create a sink with what is in its URL, and its secrets. Raises `SinkOptionsError`."""
        create: Callable[..., Self] = cls
        options, secrets = url.convert(cls.options), cls.pick_secrets(url.secrets)
        return create(*cls.parse_target(url), **options, **secrets)

    @classmethod
    def parse_target(cls, url: SinkURL) -> Sequence[Any]:
        """What follows the colon, as positional arguments of the class."""
        if not cls.target:
            url.no_target()
            return ()
        if cls.target == "PATH":
            return (url.path(),)
        if not url.target:
            raise SinkOptionsError(f"the {url.scheme} sink needs {url.scheme}:{cls.target}")
        return (url.target,)

    @classmethod
    def pick_secrets(cls, secrets: Mapping[str, str]) -> Mapping[str, Any]:
        """The secrets as keyword arguments: `secrets`, if the class declares any."""
        given = {name: secrets[name] for name in cls.secrets if name in secrets}
        return {"secrets": given} if cls.secrets else {}

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:  # noqa: B027  many sinks have nothing to open
        """Open what stays open between writes."""

    async def close(self) -> None:  # noqa: B027
        """Close it."""

    @abstractmethod
    async def check(self) -> None:
        """Check whether writing would work, without writing. Raises as `write` does."""

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings in batches; of those with the same key, the last one is sent last."""
        repeated = len({reading.key for reading in readings}) < len(readings)
        rejected = await self.write_in_batches(
            readings, self.write_batch, Rejection, limit=1 if repeated else self.max_concurrency
        )
        return WriteReport(len(readings) - len(rejected), tuple(rejected))

    async def write_batch(self, readings: Sequence[Reading]) -> Iterable[Rejection]:
        """Store readings, durably, and return those that the store will never take.

        Raises as `write` does, and `BatchRefusedError` to get the same readings in smaller batches.
        """
        raise NotImplementedError

    async def write_in_batches(
        self,
        rows: Sequence[T],
        write: Callable[[Sequence[T]], Awaitable[Iterable[R]]],
        reject: Callable[[T, str], R],
        *,
        limit: int,
    ) -> list[R]:
        """Write rows of any form, `limit` batches at a time; returns the rejections, in order.

        A batch with a `BatchRefusedError` is halved until the rows at fault stand alone. Before
        that, `check` may find that the store is at fault.
        """

        async def write_and_isolate(batch: Sequence[T]) -> list[R]:
            rejected: list[R] = []
            reasons: list[str] = []
            unsent = [batch]
            while unsent:
                rows = unsent.pop()
                try:
                    rejected += await write(rows)
                    continue
                except BatchRefusedError as error:
                    reason = str(error)
                if rows is batch:
                    await self.check()
                if len(rows) == 1:
                    rejected.append(reject(rows[0], reason))
                    reasons.append(reason)
                else:
                    middle = len(rows) // 2
                    unsent += (rows[middle:], rows[:middle])
            if len(batch) == len(reasons) >= _MANY and len(set(reasons)) == 1:
                raise SinkRefusedError(f"none of {len(batch)} readings is accepted: {reasons[0]}")
            return rejected

        size = self.batch_size
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        return [*chain.from_iterable(await run_concurrently(write_and_isolate, batches, limit))]


async def run_concurrently(
    function: Callable[[T], Awaitable[R]], items: Sequence[T], limit: int
) -> list[R]:
    """The results for all items, in their order, of at most `limit` calls at a time.

    The first error ends it: running calls are cancelled, and no further ones are made.
    """
    results: dict[int, R] = {}
    remaining = iter(enumerate(items))

    async def work() -> None:
        for index, item in remaining:
            results[index] = await function(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for _ in range(min(limit, len(items)))]
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
    for task in tasks:
        task.result()  # raises if it cancelled itself, which is no error to a group
    return [results[index] for index in range(len(items))]
