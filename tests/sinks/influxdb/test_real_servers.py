"""How InfluxDB 1 and VictoriaMetrics handle our lines, and how the sink handles their errors."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from sinks.influxdb.servers import InfluxDB1, VictoriaMetrics, binary
from sinks.influxdb.stored import as_written
from sst_cloud import (
    Point,
    Quantity,
    Reading,
    SinkRefusedError,
    SinkUnavailableError,
    Water,
    open_sink,
)
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink

NOW = datetime.now(UTC).replace(microsecond=0)


def make_sink(server: InfluxDB1, database: str, **options: object) -> InfluxDBSink:
    own: dict[str, object] = {"version": 1, "user": server.admin, "password": server.password}
    return InfluxDBSink(server.url, database, **own | options)  # type: ignore[arg-type]


def thermostat(number: int, **changes: object) -> Reading:
    fields: dict[str, object] = {
        "quantity": Quantity.AIR_TEMPERATURE,
        "value": 20.5,
        "point": Point.THERMOSTAT,
        "point_id": f"t {number}",
        "time": NOW,
        "line": None,
        "water": None,
    }
    return sample_reading(**fields | changes)


@pytest.fixture
def short(influxdb1: InfluxDB1, database: str) -> str:
    """A database that keeps nothing older than an hour."""
    influxdb1.query(
        f'CREATE RETENTION POLICY "hour" ON "{database}" DURATION 1h REPLICATION 1 DEFAULT'
    )
    return database


async def test_type_conflict_rejects_only_the_affected_field(
    influxdb1: InfluxDB1, database: str
) -> None:
    influxdb1.write_raw(database, f"water_meter volume_litres=1i {NOW.timestamp():.0f}")
    meters = [sample_reading(point_id=str(number), time=NOW) for number in range(20)]
    others = [thermostat(number) for number in range(20)]
    mixed = [reading for pair in zip(meters, others, strict=True) for reading in pair]
    async with make_sink(influxdb1, database) as sink:
        report = await sink.write(mixed)
    assert report.accepted == len(others)
    assert {rejection.reading for rejection in report.rejected} == set(meters)
    (reason,) = {rejection.reason for rejection in report.rejected}
    assert reason.startswith("partial write: field type conflict: ")
    assert reason.endswith("is type float, already exists as type integer")
    rows = [row for row in influxdb1.rows(database) if row.tags]
    assert set(as_written(rows, mixed)) == set(others)


async def test_readings_older_than_the_retention_policy_are_rejected(
    influxdb1: InfluxDB1, short: str
) -> None:
    fresh = [thermostat(number, time=NOW - timedelta(minutes=number)) for number in range(30)]
    old = [thermostat(number, time=NOW - timedelta(days=number)) for number in range(1, 40)]
    mixed = [*old[:20], *fresh, *old[20:]]
    async with make_sink(influxdb1, short) as sink:
        report = await sink.write(mixed)
    assert report.accepted == len(fresh)
    assert {rejection.reading for rejection in report.rejected} == set(old)
    assert {rejection.reason for rejection in report.rejected} == {
        "partial write: points beyond retention policy"
    }
    assert set(as_written(influxdb1.rows(short), mixed)) == set(fresh)


async def test_unparsable_line_is_found_in_a_huge_answer(
    influxdb1: InfluxDB1, database: str
) -> None:
    good = [thermostat(number) for number in range(5)]
    bad = [thermostat(0, point_id=letter * 66_000) for letter in ("x", "', ': unable to parse '")]
    async with make_sink(influxdb1, database) as sink:
        report = await sink.write([bad[0], *good, bad[1]])
    assert report.accepted == len(good)
    assert [rejection.reading for rejection in report.rejected] == bad
    for rejection in report.rejected:
        assert "max key length exceeded" in rejection.reason
        assert len(rejection.reason) < 250
    assert set(as_written(influxdb1.rows(database), good)) == set(good)


async def test_several_kinds_of_faults_in_one_write_are_separated(
    influxdb1: InfluxDB1, short: str
) -> None:
    """InfluxDB reports only one kind of fault and hides the others."""
    influxdb1.write_raw(short, f"water_meter volume_litres=1i {NOW.timestamp():.0f}")
    good = [thermostat(number) for number in range(50)]
    wrong = {
        "conflict": [sample_reading(point_id=str(number), time=NOW) for number in range(7)],
        "retention": [thermostat(n, time=NOW - timedelta(days=9 * n)) for n in range(1, 12)],
        "key length": [thermostat(0, point_id=f"{n}".ljust(66_000, "x")) for n in range(3)],
        "1677": [thermostat(0, time=datetime(1600, 1, 1, tzinfo=UTC))],
        "digits": [sample_reading(value=2**53 + 1)],
        "unit": [sample_reading(unit="m³")],
    }
    bad = [reading for readings in wrong.values() for reading in readings]
    mixed = sorted([*good, *bad], key=lambda reading: hash(reading.key))
    async with make_sink(influxdb1, short) as sink:
        report = await sink.write(mixed)
    assert report.accepted == len(good)
    reasons = {rejection.reading: rejection.reason for rejection in report.rejected}
    assert set(reasons) == set(bad)
    for word, readings in wrong.items():
        assert all(word in reasons[reading] for reading in readings)
    rows = [row for row in influxdb1.rows(short) if row.tags]
    assert set(as_written(rows, mixed)) == set(good)


async def test_write_uses_a_named_retention_policy(influxdb1: InfluxDB1, database: str) -> None:
    influxdb1.query(f'CREATE RETENTION POLICY "year" ON "{database}" DURATION 52w REPLICATION 1')
    async with make_sink(influxdb1, database, retention_policy="year") as sink:
        await sink.check()
        assert (await sink.write([thermostat(1)])).accepted == 1
    assert influxdb1.query('SELECT * FROM "year"."thermostat"', db=database)
    async with make_sink(influxdb1, database, retention_policy="eon") as sink:
        with pytest.raises(SinkRefusedError, match="retention policy not found: eon"):
            await sink.check()
        with pytest.raises(SinkRefusedError, match="create it"):
            await sink.write([thermostat(1)])


async def test_missing_database_is_refused(influxdb1: InfluxDB1) -> None:
    async with make_sink(influxdb1, "nowhere") as sink:
        for attempt in (sink.check(), sink.write([thermostat(1)])):
            with pytest.raises(SinkRefusedError, match=r'database not found: "nowhere".*create'):
                await attempt


async def test_wrong_credentials_and_missing_rights_are_refused(
    influxdb1: InfluxDB1, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    influxdb1.query("CREATE USER reader WITH PASSWORD 'secret'")
    address = f"influxdb:{influxdb1.url}/{database.replace(' ', '%20')}?version=1"
    async with open_sink(address) as sink:
        with pytest.raises(SinkRefusedError, match=r"set INFLUXDB_TOKEN .*, or add user="):
            await sink.check()
    monkeypatch.setenv("INFLUXDB_PASSWORD", "wrong-one")
    async with open_sink(f"{address}&user=reader") as sink:
        with pytest.raises(SinkRefusedError, match="check the user 'reader', and the") as caught:
            await sink.write([thermostat(1)])
        assert "wrong-one" not in str(caught.value)
    monkeypatch.setenv("INFLUXDB_PASSWORD", "secret")
    async with open_sink(f"{address}&user=reader") as sink:
        with pytest.raises(SinkRefusedError, match="grant write access to database"):
            await sink.check()
        influxdb1.query(f'GRANT WRITE ON "{database}" TO reader')
        await sink.check()
        assert (await sink.write([thermostat(1)])).accepted == 1


async def test_server_of_another_version_is_refused(influxdb1: InfluxDB1, database: str) -> None:
    async with InfluxDBSink(influxdb1.url, database) as sink:
        with pytest.raises(SinkRefusedError, match="whether it needs version=1"):
            await sink.check()


async def test_rewritten_reading_gets_the_new_value_and_quality(
    influxdb1: InfluxDB1, database: str
) -> None:
    first = thermostat(1, value=85.0, quality="suspect")
    corrected = attrs.evolve(first, value=21.5, quality="good")
    async with make_sink(influxdb1, database) as sink:
        await sink.write([first])
        await sink.write([corrected])
    assert as_written(influxdb1.rows(database), [corrected]) == [corrected]


async def test_many_readings_are_sent_in_several_requests(
    influxdb1: InfluxDB1, database: str
) -> None:
    readings = [sample_reading(time=NOW + timedelta(seconds=n), value=n) for n in range(12_345)]
    async with make_sink(influxdb1, database) as sink:
        assert (await sink.write(readings)).accepted == len(readings)
    (series,) = influxdb1.query("SELECT COUNT(*) FROM water_meter", db=database)
    assert series["values"][0][1:] == [len(readings), len(readings)]


async def test_last_reading_of_a_key_wins_across_requests(
    influxdb1: InfluxDB1, database: str
) -> None:
    readings = [sample_reading(time=NOW, value=n) for n in range(50)]
    async with make_sink(influxdb1, database, batch_size=4) as sink:
        assert (await sink.write(readings)).accepted == len(readings)
    assert as_written(influxdb1.rows(database), readings[-1:]) == readings[-1:]


@pytest.fixture
def two_meters() -> list[Reading]:
    """Two cold meters in one house, a reading each 20 minutes: 6 and 12 litres an hour."""
    start = NOW.replace(minute=0, second=0) - timedelta(hours=3)
    return [
        sample_reading(
            time=start + timedelta(minutes=20 * step),
            point_id=meter,
            value=1000 + litres * step,
            water=Water.COLD,
        )
        for meter, litres in (("11", 2), ("12", 4))
        for step in range(10)
    ]


async def test_documented_query_gives_litres_per_hour(
    influxdb1: InfluxDB1, database: str, two_meters: list[Reading]
) -> None:
    """The query of the documentation, on our own records."""
    async with make_sink(influxdb1, database) as sink:
        await sink.write(two_meters)
    page = (Path(__file__).parents[3] / "docs/sinks/influxdb.md").read_text("utf-8")
    queries = re.findall(
        r"^SELECT NON_NEGATIVE_DIFFERENCE.*?(?=^```)", page, re.MULTILINE | re.DOTALL
    )
    series = influxdb1.query(queries[0], db=database)
    litres = {entry["tags"]["point_id"]: [row[1] for row in entry["values"]] for entry in series}
    assert {meter: hours[:2] for meter, hours in litres.items()} == {"11": [6, 6], "12": [12, 12]}


def test_missing_server_skips_the_test_but_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"install-servers"):
        binary("no-such-server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"install-servers"):
        binary("no-such-server")


@pytest.fixture
def stopped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a server that has just ended."""
    with VictoriaMetrics.start(tmp_path_factory.mktemp("stopped")) as server:
        return server.url


async def test_stopped_server_is_a_temporary_error(stopped: str) -> None:
    async with InfluxDBSink(stopped, "home") as sink:
        for attempt in (sink.check(), sink.write([thermostat(1)])):
            with pytest.raises(SinkUnavailableError, match="cannot be reached"):
                await attempt
