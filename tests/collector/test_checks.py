"""Whether a collector would work, asked by a program; the command is in `tests/cli`."""

import asyncio
from pathlib import Path
from typing import Any, Self

import pytest

from plugins import asking_sink
from sources import OpenSource
from sst_cloud import House, Snapshot, SSTCloud, SSTCloudError, TokenAuth, Unreadable
from sst_cloud.collector import checks
from sst_cloud.collector.checks import (
    CheckResult,
    check_folder,
    check_handler,
    check_sink,
    check_source,
)
from sst_cloud.plugins import InstalledPlugin
from sst_cloud.testing import FakeCloud
from sst_cloud.testing.sink_contract import START
from sst_cloud_sinks.csv import CsvSink

FLAT = House(id=1, name="Flat")
TOKEN = "0123456789abcdef" * 3


class Fixed(OpenSource):
    """A source with an answer."""

    def __init__(self, answer: Snapshot | Exception, name: str = "Home") -> None:
        self.answer = answer
        self.name = name

    async def snapshot(self) -> Snapshot:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_source_is_summed_up(fake: FakeCloud) -> None:
    cloud = SSTCloud(TokenAuth(fake.token), base_url=fake.url)
    result = await check_source("cloud:", lambda _: cloud)
    assert (result.name, result.ok) == (cloud.name, True)
    assert result.detail.startswith("2 houses, 4 devices, ")


@pytest.mark.parametrize(
    ("answer", "ok", "detail"),
    [
        (Snapshot(time=START, houses=(FLAT,)), True, "1 house, 0 devices, 0 readings"),
        (
            Snapshot(
                time=START,
                unreadable=(
                    Unreadable(kind="house", id=1, reason="it is odd", error=ValueError()),
                ),
            ),
            True,
            "0 houses, 0 devices, 0 readings, 1 unreadable",
        ),
        (Snapshot(time=START), False, "*** has no houses"),
        (SSTCloudError("the token\nis wrong"), False, "the token is wrong"),
        (RuntimeError(f"{TOKEN} is no key"), False, "RuntimeError: *** is no key"),
        (TimeoutError("its own limit"), False, "TimeoutError: its own limit"),
    ],
)
async def test_answers_of_a_source(answer: Snapshot | Exception, ok: bool, detail: str) -> None:
    result = await check_source("home:", lambda _: Fixed(answer, name="me@example.com"))
    assert (result.name, result.ok) == ("***", ok)
    assert result.detail.startswith(detail)


async def test_source_that_cannot_be_opened_is_a_result() -> None:
    class Closed(OpenSource):
        async def __aenter__(self) -> Self:
            raise SSTCloudError("not logged in")

        async def snapshot(self) -> Snapshot:
            raise AssertionError("it is not open")

    result = await check_source("home:", lambda _: Closed())
    assert result == CheckResult("the test source", False, "not logged in")


async def test_source_that_cannot_be_created_is_a_result() -> None:
    result = await check_source(f"nonsense:{TOKEN}?token=s3cret")
    assert (result.name[:12], result.ok) == ("nonsense:***", False)
    assert "there is no 'nonsense' source" in result.detail


async def test_checks_run_side_by_side(tmp_path: Path) -> None:
    results = await asyncio.gather(
        check_source("home:", lambda _: Fixed(Snapshot(time=START, houses=(FLAT,)))),
        check_folder(tmp_path / "state"),
        check_sink(f"csv:{tmp_path}/readings.csv"),
        check_sink(f"csv:{tmp_path}/no/readings.csv"),
        check_sink(f"nonsense:{TOKEN}?token=s3cret"),
        check_handler("/no/such/bell"),
        check_handler("'unclosed"),
        check_handler("https://hooks.example/s3cret"),
    )
    assert [result.ok for result in results] == [*[True] * 3, *[False] * 4, True]
    assert "there is no 'nonsense' sink" in results[4].detail
    assert "not found or not executable" in results[5].detail
    assert results[6].name == "event handler"
    assert results[7].detail == "not tested, as that would post something"
    assert not [secret for secret in ("s3cret", TOKEN) if secret in str(results)]
    assert list(tmp_path.iterdir()) == []


async def test_sink_gets_the_secrets(plugins: Path) -> None:
    asking_sink(plugins)
    result = await check_sink("asking:", {"ASKED": "of the mapping"})
    assert (result.ok, result.detail) == (False, "the secret is of the mapping")


async def test_sink_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(self: CsvSink) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(CsvSink, "check", hang)
    monkeypatch.setattr(checks, "_TIMEOUT", 0.01)
    result = await check_sink(f"csv:{tmp_path}/readings.csv")
    assert (result.ok, result.detail) == (False, "no response within 0.01 s")


@pytest.mark.parametrize("place", ["load", "check"])
async def test_any_exception_of_a_third_party_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError(f"oops {TOKEN}")

    monkeypatch.setattr(InstalledPlugin if place == "load" else CsvSink, place, broken)
    result = await check_sink(f"csv:{tmp_path}/readings.csv")
    assert (result.ok, result.detail) == (False, "RuntimeError: oops ***")


async def test_folder_with_something_else_is_not_usable(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"x" * 9000)
    result = await check_folder(tmp_path)
    assert (result.name, result.ok) == (str(tmp_path), False)
    assert "outbox.db" in result.detail
    result = await check_folder(Path("/proc/nowhere"))
    assert result.detail.startswith("/proc cannot be written to: ")
