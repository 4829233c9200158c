"""Bad lines among good ones: only the bad ones are rejected, in every dialect of errors."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.influxdb.stand_in import StandIn
from sst_cloud import Point, Quantity, Reading, SinkRefusedError, WriteReport
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink

Dialect = Callable[[Sequence[str], Sequence[int]], tuple[int, str, bool]]
"""Lines and the places of the bad ones → status, body, and whether the good ones are stored."""

NASTY = "': unable to parse '"


def parse_errors(lines: Sequence[str], bad: Sequence[int]) -> str:
    return "\n".join(f"unable to parse '{lines[place]}': bad: really" for place in bad)


def v1_names(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    error = f"partial write: {parse_errors(lines, bad)} dropped=0"
    return 400, json.dumps({"error": error}), True


def v1_counts(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    error = f"partial write: points beyond retention policy dropped={len(bad)}"
    return 400, json.dumps({"error": error}), True


def v1_conflict(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    """It reports the drops of one shard only."""
    error = (
        'partial write: field type conflict: input field "volume_litres" on measurement '
        f'"water_meter" is type float, already exists as type integer dropped={len(bad[::2])}'
    )
    return 400, json.dumps({"error": error}), True


def v2_names(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    body = {"code": "invalid", "message": parse_errors(lines, bad)}
    return 400, json.dumps(body), False


def v2_names_the_first(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    return v2_names(lines, bad[:1])


def v2_counts(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    message = f"failure writing points to database: partial write: too old dropped={len(bad)}"
    return 422, json.dumps({"code": "unprocessable entity", "message": message}), True


def v3_names(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    data = [
        {"original_line": lines[place][:9], "line_number": place + 1, "error_message": "bad"}
        for place in bad[:100]
    ]
    body = {"error": "partial write of line protocol occurred", "data": data}
    return 400, json.dumps(body), True


def v3_takes_all_or_none(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    data = {"original_line": lines[bad[0]], "line_number": bad[0] + 1, "error_message": "bad"}
    body = {"error": "parsing failed for write_lp endpoint", "data": data}
    return 400, json.dumps(body), False


def created_in_part(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    return 201, json.dumps({"code": "invalid", "message": "rejected some points"}), True


def silent(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    return 400, json.dumps({"error": "bad luck"}), False


def plain(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    return 400, "bad luck", False


def miscounts(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    error = "partial write: points beyond retention policy dropped=99999"
    return 400, json.dumps({"error": error}), True


def counts_none(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    return 400, json.dumps({"error": "partial write: bad dropped=0"}), True


def names_others(lines: Sequence[str], bad: Sequence[int]) -> tuple[int, str, bool]:
    """Lines that were never sent, and line numbers that are not there."""
    data = [{"line_number": 0}, {"line_number": 10**6}, {"line_number": "1"}, 7]
    body = {"error": "unable to parse 'cpu v=1 5': bad", "data": data}
    return 400, json.dumps(body), False


DIALECTS: list[Dialect] = [
    v1_names,
    v1_counts,
    v1_conflict,
    v2_names,
    v2_names_the_first,
    v2_counts,
    v3_names,
    v3_takes_all_or_none,
    created_in_part,
    silent,
    plain,
    miscounts,
    counts_none,
    names_others,
]


def household(count: int) -> list[Reading]:
    """Meters and thermostats in turn, at different times, one with a difficult serial number."""
    return [
        sample_reading(time=START + timedelta(minutes=7 * n % 60), point_id=f"{n}{NASTY}")
        if n % 2
        else sample_reading(
            time=START + timedelta(minutes=7 * n % 60),
            quantity=Quantity.AIR_TEMPERATURE,
            point=Point.THERMOSTAT,
            point_id=str(n),
            value=n / 4,
        )
        for n in range(count)
    ]


async def write(
    readings: Sequence[Reading], bad: set[int], dialect: Dialect
) -> tuple[WriteReport, list[str], int]:
    """The report, the lines that ended up stored, and how many requests it took."""
    hates = set[str]()
    async with StandIn() as server:
        async with InfluxDBSink(server.url, "home") as sink:
            await sink.write(readings)
            hates = {server.lines[place] for place in bad}
            server.stored.clear()
            server.requests.clear()

            async def answer(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
                places = [place for place, line in enumerate(lines) if line in hates]
                if not places:
                    return await server.store(request, lines)
                status, body, stores = dialect(lines, places)
                if stores:
                    server.stored |= set(lines) - hates
                return web.Response(status=status, text=body)

            server.answer = answer
            report = await sink.write(readings)
        assert not server.stored & hates
        return report, sorted(server.stored), len(server.requests)


@pytest.mark.not_quick
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 24).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_exactly_the_bad_lines_are_rejected(dialect: Dialect, case: tuple[int, set[int]]) -> None:
    count, bad = case
    readings = household(count)
    if dialect is plain and count == len(bad) > 1:
        with pytest.raises(SinkRefusedError, match=f"accepted none of {count} readings: bad luck"):
            asyncio.run(write(readings, bad, dialect))
        return
    report, stored, requests = asyncio.run(write(readings, bad, dialect))
    assert {rejection.reading for rejection in report.rejected} == {readings[n] for n in bad}
    assert len(report.rejected) == len(bad)
    assert report.accepted == len(stored) == count - len(bad)
    assert requests <= 2 * count + 1
    for rejection in report.rejected:
        assert rejection.reason
        assert "\n" not in rejection.reason
        assert "dropped=" not in rejection.reason


@pytest.mark.parametrize("dialect", [v1_names, v2_names, v3_names])
async def test_named_bad_lines_cost_one_more_request(dialect: Dialect) -> None:
    bad = set(range(0, 60, 7))
    report, _, requests = await write(household(60), bad, dialect)
    assert len(report.rejected) == len(bad)
    assert requests == 2
    expected = "bad" if dialect is v3_names else "bad: really"
    assert {rejection.reason for rejection in report.rejected} == {expected}


async def test_duplicated_bad_reading_is_rejected_twice() -> None:
    (reading,) = household(1)
    others = household(4)[1:]
    report, stored, _ = await write([reading, *others, reading], {0}, v1_names)
    assert [rejection.reading for rejection in report.rejected] == [reading, reading]
    assert report.accepted == len(stored) == 3


async def test_too_large_request_is_split_in_halves(stand_in: StandIn) -> None:
    async def narrow(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        if len(lines) > 3:
            return web.json_response({"message": "too large"}, status=413)
        return await stand_in.store(request, lines)

    stand_in.answer = narrow
    async with InfluxDBSink(stand_in.url, "home") as sink:
        assert (await sink.write(household(20))).accepted == 20
    assert len(stand_in.stored) == 20


async def test_single_too_large_reading_is_rejected(stand_in: StandIn) -> None:
    async def narrow(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        if any(len(line) > 500 for line in lines):
            return web.json_response({"message": "too large"}, status=413)
        return await stand_in.store(request, lines)

    stand_in.answer = narrow
    large = sample_reading(point_id="x" * 600)
    async with InfluxDBSink(stand_in.url, "home") as sink:
        report = await sink.write([*household(5), large])
    assert [(r.reading, r.reason) for r in report.rejected] == [(large, "too large")]
    assert report.accepted == len(stand_in.stored) == 5
