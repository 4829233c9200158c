"""One poll per call: settings, cached data, and failures."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins import asking_sink
from sources import OpenSource
from sst_cloud import (
    ManualClock,
    Quantity,
    SelectedHouses,
    ServiceUnavailableError,
    SinkOptionsError,
    SinkRefusedError,
    Snapshot,
    Source,
    SSTCloud,
    SSTCloudError,
    TokenAuth,
    TokenRejectedError,
    UnknownSinkError,
)
from sst_cloud.serverless import ScheduledPoll
from sst_cloud.serverless.scheduled_poll import CounterRecord, sink_url_from
from sst_cloud.testing import FakeAccount, FakeCloud, Html, Status
from sst_cloud_sinks.sqlite import SqliteSink

TABLE = {"DATABASE_NAME": "mydb", "TABLE_NAME": "meters", "LOCATION": "home & garden"}


class Caller:
    """Creates and calls polls in a thread, since they run their own event loop."""

    def __init__(self, fake: FakeCloud, path: Path) -> None:
        self.path = path
        self._fake = fake
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._stack = ExitStack()
        self.clock = ManualClock()

    async def make(
        self, source: Source | None = None, **environ: str
    ) -> Callable[[], Awaitable[list[CounterRecord]]]:
        environ = {
            "SST_CLOUD_TOKEN": self._fake.token,
            "SST_CLOUD_URL": self._fake.url,
            "SINK": f"sqlite:{self.path}",
            **environ,
        }
        poll = ScheduledPoll.from_environment(environ, secret, self.clock)
        if source is not None:
            poll = ScheduledPoll(source, environ["SINK"])
        await self._in_thread(self._stack.enter_context, poll)
        return lambda: self._in_thread(poll)

    async def close(self) -> None:
        await self._in_thread(self._stack.close)
        self._thread.shutdown()

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def stored(self) -> int:
        async with SqliteSink(self.path) as sink:
            return len([reading async for reading in sink.read(Quantity.VOLUME)])


@pytest.fixture
async def caller(fake: FakeCloud, tmp_path: Path) -> Any:
    caller = Caller(fake, tmp_path / "home.db")
    yield caller
    await caller.close()


async def test_poll_answers_like_the_old_function(caller: Caller, fake: FakeCloud) -> None:
    poll = await caller.make()
    counter = fake.counters[0]
    first, *rest = await poll()
    value = counter.value_l(fake.clock.now())
    assert first == {"id": counter.id, "line": counter.line, "hot_water": False, "value": value}
    assert len(rest) == 4
    assert await caller.stored() == 5


async def test_house_list_is_cached_for_a_while(caller: Caller, fake: FakeCloud) -> None:
    poll = await caller.make()
    for minutes, request_count in ((0, 1), (359, 1), (2, 2)):
        caller.clock.advance(timedelta(minutes=minutes))
        await poll()
        assert sum(request.path == "/houses/" for request in fake.requests) == request_count


async def test_cached_house_list_is_dropped_if_a_house_is_unreadable(
    caller: Caller, fake: FakeCloud
) -> None:
    poll = await caller.make()
    await poll()
    del fake.houses[1]
    with pytest.raises(SSTCloudError, match="404"):
        await poll()
    assert len(await poll()) == 4


async def test_readable_part_is_stored_before_the_failure_is_raised(
    caller: Caller, fake: FakeCloud
) -> None:
    fake.inject(Status(500), path=f"/houses/{fake.houses[1].id}/counters/")
    poll = await caller.make()
    with pytest.raises(ServiceUnavailableError):
        await poll()
    assert await caller.stored() == 4


@pytest.mark.parametrize("exists", [True, False])
async def test_only_the_configured_house_is_read(
    caller: Caller, fake: FakeCloud, exists: bool
) -> None:
    poll = await caller.make(HOUSE_ID=str(fake.houses[1].id) if exists else "7")
    if exists:
        assert len(await poll()) == 1
    else:
        with pytest.raises(SSTCloudError, match="there is no house '7'; SST Cloud at 127"):
            await poll()


async def test_an_account_without_houses_is_a_failure(tmp_path: Path) -> None:
    async with FakeCloud([FakeAccount()]) as empty:
        caller = Caller(empty, tmp_path / "home.db")
        poll = await caller.make()
        with pytest.raises(SSTCloudError, match=r"SST Cloud at 127.* has no houses; .* ATLAS"):
            await poll()
        await caller.close()


async def test_rejected_readings_are_a_failure(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sst_cloud.sink import Rejection, WriteReport  # noqa: PLC0415

    class Choosy(SqliteSink):
        async def write(self, readings: Any) -> WriteReport:
            return WriteReport(len(readings) - 1, (Rejection(readings[0], "too blue"),))

    monkeypatch.setattr(
        "sst_cloud.serverless.scheduled_poll.open_sink", lambda *_: Choosy(caller.path)
    )
    poll = await caller.make()
    with pytest.raises(SinkRefusedError, match=r"1 of \d+ readings were rejected.* too blue"):
        await poll()


async def test_sink_that_failed_to_open_is_opened_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = await caller.make()
    with monkeypatch.context() as patch:
        patch.setattr("sst_cloud.plugins._installed", lambda _: ())
        with pytest.raises(UnknownSinkError):
            await poll()
    assert len(await poll()) == 5


@pytest.mark.parametrize("counters_only", [True, False])
async def test_devices_are_requested_unless_counters_only(
    caller: Caller, fake: FakeCloud, counters_only: bool
) -> None:
    cloud = SSTCloud(TokenAuth(fake.token), base_url=fake.url)
    poll = await caller.make(SelectedHouses(cloud, counters_only=counters_only))
    await poll()
    assert any("/devices/" in request.path for request in fake.requests) is not counters_only
    async with SqliteSink(caller.path) as sink:
        named = {reading.device for reading in await sink.latest()}
    assert named == ({""} if counters_only else {device.name for device in fake.devices})


async def test_slow_sink_is_warmed_up_once_before_writing(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    class Slow(SqliteSink):
        async def warm_up(self) -> None:
            done.append("ready")

        async def write(self, readings: Any) -> Any:
            done.append("written")
            return await super().write(readings)

    monkeypatch.setattr(
        "sst_cloud.serverless.scheduled_poll.open_sink", lambda *_: Slow(caller.path)
    )
    poll = await caller.make()
    await poll()
    await poll()
    assert done == ["ready", "written", "written"]


async def test_html_page_of_the_cloud_is_a_failure(caller: Caller, fake: FakeCloud) -> None:
    fake.inject(Html())
    poll = await caller.make()
    with pytest.raises(SSTCloudError, match="HTML page"):
        await poll()


async def secret(arn: str) -> str:
    raise AssertionError("nobody asked for a secret")


def settings(**environ: str) -> ScheduledPoll:
    return ScheduledPoll.from_environment({"SST_CLOUT_TOKEN": "t", **TABLE, **environ}, secret)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    "environ", [{}, {"HOUSE_ID": "12"}, {"SST_CLOUT_TOKEN": "", "SST_CLOUD_TOKEN": "t"}]
)
def test_settings_of_existing_deployments_are_accepted(
    closing: ExitStack, environ: dict[str, str]
) -> None:
    closing.enter_context(settings(**environ))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SST_CLOUT_TOKEN": ""}, "set SST_CLOUD_TOKEN"),
        ({"HOUSE_ID": "my house"}, "HOUSE_ID must be the number of a house"),
        ({"TABLE_NAME": ""}, "set TABLE_NAME in the environment"),
        ({"SST_CLOUD_URL": "nowhere"}, "the base URL must look like"),
    ],
)
def test_wrong_settings_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**environ)


def test_wrong_sink_url_is_refused() -> None:
    with pytest.raises(SinkOptionsError):
        settings(SINK="no url")


def test_sink_url_is_built_from_the_table_settings() -> None:
    assert sink_url_from(TABLE) == "timestream:mydb/meters?location=home+%26+garden"
    assert sink_url_from({**TABLE, "SINK": "stdout:"}) == "stdout:"


async def test_sink_receives_the_secrets_of_the_function(fake: FakeCloud, plugins: Path) -> None:
    asking_sink(plugins)
    environ = {"SST_CLOUD_TOKEN": fake.token, "SST_CLOUD_URL": fake.url, "SINK": "asking:"}
    poll = ScheduledPoll.from_environment(environ | {"ASKED": "of the function"}, secret)
    run = asyncio.get_running_loop().run_in_executor
    with pytest.raises(SinkOptionsError, match="the secret is of the function"):
        await run(None, poll)
    await run(None, poll.close)


async def test_token_from_a_secret_is_fetched_again_when_rejected(
    caller: Caller, fake: FakeCloud
) -> None:
    fetched = []

    async def kept(arn: str) -> str:
        fetched.append(arn)
        return fake.token

    arn = "arn:aws:secretsmanager:eu-central-1:1:secret:token"
    environ = {"SST_CLOUD_TOKEN": arn, "SINK": f"sqlite:{caller.path}", "SST_CLOUD_URL": fake.url}
    poll = ScheduledPoll.from_environment(environ, kept)
    run = asyncio.get_running_loop().run_in_executor
    assert len(await run(None, poll)) == 5
    assert len(await run(None, poll)) == 5
    assert fetched == [arn]
    fake.expire_tokens()
    assert len(await run(None, poll)) == 5
    assert fetched == [arn, arn]
    fake.inject(Status(401, "Invalid token."))
    with pytest.raises(TokenRejectedError):
        await run(None, poll)
    await run(None, poll.close)


async def test_error_of_any_source_is_a_failure(caller: Caller) -> None:
    """A time-out of its own as well, which is none of the poll."""

    class Slow(OpenSource):
        async def snapshot(self) -> Snapshot:
            raise TimeoutError("no answer from the module")

    poll = await caller.make(source=Slow())
    with pytest.raises(SSTCloudError, match=r"^TimeoutError: no answer from the module$"):
        await poll()


async def test_same_source_is_asked_once(caller: Caller, fake: FakeCloud) -> None:
    poll = await caller.make(SOURCE=" cloud:\n\tcloud: ", SST_CLOUD_TOKEN="wrong")
    with pytest.raises(TokenRejectedError):
        await poll()
    assert len(fake.requests) == 1
