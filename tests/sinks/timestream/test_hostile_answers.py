"""Answers that repeat the request, never end, are huge or nested: no leaks, limited memory."""

import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from echo import FORMS, PLACES, Echo, all_of, http, leaked, outcome
from sst_cloud import Quantity, SinkRefusedError, SinkUnavailableError
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.timestream import TimestreamSink

pytestmark = pytest.mark.not_quick

KEY_ID: Final = "AKIAECHO7ECHO7ECHO7E"
SECRET_KEY: Final = "wJalr/XUtnFEMI+K7MDENG"
SESSION: Final = "IQoJb3JpZ2luX2VjEA=="
SECRETS: Final = (KEY_ID, SECRET_KEY, SESSION)
MB: Final = 1024 * 1024


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    monkeypatch.setattr("sst_cloud_sinks.timestream.aws._ATTEMPTS", 1)


@asynccontextmanager
async def sink_of(answer: Callable[[bytes], bytes]) -> AsyncIterator[TimestreamSink]:
    async with (
        Echo(answer) as server,
        TimestreamSink("mydb", "meters", endpoint_url=server.url) as sink,
    ):
        yield sink


def refusal(code: str, text: str) -> bytes:
    """An error as the service words it."""
    records = [{"RecordIndex": 0, "Reason": text}]
    kind = {"__type": f"com.amazonaws.timestream#{code}"}
    return http(400, json.dumps({**kind, "message": text, "RejectedRecords": records}))


ANSWERS: Final[Mapping[str, Callable[[str], bytes]]] = {
    **PLACES,
    "rejected record": lambda text: refusal("RejectedRecordsException", text),
    "invalid": lambda text: refusal("ValidationException", text),
    "denied": lambda text: refusal("AccessDeniedException", text),
    "name of an error": lambda text: refusal(text, "no"),
}


async def everything(sink: TimestreamSink) -> str:
    """All texts from every request of a sink: errors with their causes, and reasons."""
    calls = (sink.check(), sink.write([sample_reading()]), sink.latest())
    return "".join([await outcome(call) for call in calls])


@pytest.mark.parametrize("place", ANSWERS)
async def test_secrets_repeated_by_the_server_are_never_shown(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    written = ""

    def answer(sent: bytes) -> bytes:
        return ANSWERS[place](written or sent.decode("latin-1"))

    async with sink_of(answer) as sink:
        assert leaked(await everything(sink) + caplog.text, *SECRETS) == []
        for name, form in FORMS.items():
            for secret in SECRETS:
                written = f"sorry: {form(secret)}."
                result = await outcome(sink.write([sample_reading()]))
                assert (name, leaked(result + caplog.text, *SECRETS)) == (name, [])


async def test_secrets_of_an_injected_client_are_masked(clients: dict[str, Any]) -> None:
    """Its credentials are not those of the environment."""
    signer = clients["client"]._request_signer
    key = (await signer._credentials.get_frozen_credentials()).access_key
    async with Echo(lambda _: refusal("AccessDeniedException", f"{key} may not")) as server:
        clients["client"].meta.events.register(
            "before-send", lambda request, **_: setattr(request, "url", server.url)
        )
        async with TimestreamSink("mydb", "meters", **clients) as sink:
            with pytest.raises(SinkRefusedError, match=r"\*\*\* may not") as caught:
                await sink.check()
    assert key not in all_of(caught.value)


@pytest.mark.parametrize("status", [200, 500])
async def test_memory_for_an_answer_is_limited(status: int) -> None:
    body = b'{"message": "' + b"out of order " * MB + b'"}'
    answer = http(status, body)
    async with sink_of(lambda _: answer) as sink:
        await sink.warm_up()
        tracemalloc.start()
        try:
            with pytest.raises(SinkUnavailableError, match="the answer is longer than 8 MB"):
                await sink.write([sample_reading()])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2 * len(answer) + 24 * MB  # Echo itself holds what the socket has not taken yet


async def test_a_redirect_is_not_followed() -> None:
    async with (
        Echo(lambda sent: http(200, sent)) as other,
        sink_of(lambda _: http(307, "", f"Location: {other.url}")) as sink,
    ):
        with pytest.raises(SinkUnavailableError, match="redirects elsewhere"):
            await sink.check()


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"Rows": ' + "[" * 100_000,
        '{"Rows": [{"Data": ' + '[{"ArrayValue": ' * 900 + "[]" + "}]" * 900 + "}]}",
        '{"Rows": [{"Data": ' + '[{"ArrayValue": ' * 200 + "[]" + "}]" * 200 + "}]}",
        '{"Rows": [{"Data": [{"RowValue": ' + '{"Data": [{"RowValue": ' * 300 + "{}" + "}]}" * 301,
        "{}",
        "[]",
        "7",
        '{"Rows": 7}',
        '{"Rows": [7], "ColumnInfo": [7]}',
        '{"Rows": [{}], "ColumnInfo": []}',
        '{"Rows": [{"Data": [{}]}], "ColumnInfo": []}',
        "<html></html>",
    ],
    ids=range(13),
)
async def test_malformed_query_answer_is_a_temporary_error(body: str) -> None:
    async with sink_of(lambda _: http(200, body)) as sink:
        for attempt in (sink.latest(), anext(aiter(sink.read(Quantity.VOLUME)))):
            with pytest.raises(SinkUnavailableError, match="an answer that cannot be read"):
                await attempt


@pytest.mark.parametrize("index", [1, -1, 10**9, None])
async def test_rejection_of_an_unsent_record_is_a_temporary_error(index: int | None) -> None:
    """Nothing uncertain may count as stored."""
    records = [{"Reason": "old"} if index is None else {"RecordIndex": index, "Reason": "old"}]
    kind = {"__type": "RejectedRecordsException", "RejectedRecords": records}
    async with sink_of(lambda _: http(400, json.dumps(kind))) as sink:
        with pytest.raises(SinkUnavailableError, match="rejected a record that was not sent"):
            await sink.write([sample_reading()])
