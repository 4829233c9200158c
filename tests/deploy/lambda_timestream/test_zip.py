"""What `make lambda` builds, and that it runs in Lambda's own runtime."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from deploy.lambda_timestream.conftest import StartFunction
from deploy.lambda_timestream.runtime_api import FailedRunError, RuntimeApi
from sinks.timestream.stand_in import Error, Timestream
from sinks.timestream.store import Table
from sst_cloud.testing import FakeCloud, Hang, Html

pytestmark = [pytest.mark.slow, pytest.mark.source]  # build.py packs the source tree

DATA = re.compile(r"botocore/data/([^/]+)/")


def test_zip_is_compiled_and_trimmed(archive: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        names = set(content.namelist())
        unzipped = sum(entry.file_size for entry in content.infolist())
    services = {found[1] for name in names if (found := DATA.match(name))}
    assert services >= {"timestream-write", "secretsmanager", "ssm", "sts"}
    assert len(services) < 10
    sources = [name for name in names if name.startswith("sst_cloud/") and name.endswith(".py")]
    for name in ["handler.py", *sources]:
        folder, _, file = name.rpartition("/")
        prefix = f"{folder}/" if folder else ""
        stem = file.removesuffix(".py")
        assert any(each.startswith(f"{prefix}__pycache__/{stem}.cpython-") for each in names)
    assert unzipped < 50_000_000
    assert "MB" in (archive.parent / "told.txt").read_text()


def test_what_is_compiled_is_trusted_unchecked(code: Path) -> None:
    (compiled,) = (code / "__pycache__").glob("handler.*.pyc")
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01


def test_addresses_are_those_of_the_services_left(code: Path) -> None:
    content = json.loads((code / "botocore/data/endpoints.json").read_text())
    kept = {partition["partition"]: {*partition["services"]} for partition in content["partitions"]}
    assert kept["aws"] == {
        "ingest.timestream", "oidc", "portal.sso", "secretsmanager", "ssm", "sts"
    }  # fmt: skip
    assert {"aws-cn", "aws-us-gov"} < kept.keys()


async def test_cold_and_warm(
    start_function: StartFunction, fake: FakeCloud, timestream: Timestream, table: Table
) -> None:
    function = await start_function()
    expected = [
        {"id": c.id, "line": c.line, "hot_water": c.hot, "value": c.value_l(fake.clock.now())}
        for c in fake.counters
    ]
    assert await function.invoke() == expected
    asked = [seen.path for seen in fake.requests]
    assert asked[0] == "/houses/"
    assert sorted(asked[1:]) == [f"/houses/{house.id}/counters/" for house in fake.houses]
    fake.requests.clear()
    assert await function.invoke() == expected
    assert sorted(seen.path for seen in fake.requests) == sorted(asked[1:])
    assert [len(body["Records"]) for body in timestream.asked("WriteRecords")] == [5, 5]
    stored, again = [line for line in await function.json_logs() if "readings" in line]
    assert stored["message"] == "stored 5 readings"
    assert (stored["houses"], stored["run"], again["run"]) == (2, 1, 2)
    assert stored["requestId"]


async def test_one_house(start_function: StartFunction, fake: FakeCloud) -> None:
    house = fake.houses[1]
    function = await start_function(HOUSE_ID=str(house.id))
    counters = [counter.id for device in house.devices for counter in device.counters]
    assert [each["id"] for each in await function.invoke()] == counters


async def test_a_failure_raises_and_the_next_run_is_well(
    start_function: StartFunction, fake: FakeCloud, timestream: Timestream
) -> None:
    function = await start_function()
    timestream.inject(Error("AccessDeniedException"))
    with pytest.raises(FailedRunError, match=r"SinkRefusedError.*timestream:WriteRecords"):
        await function.invoke()
    timestream.clear_faults()
    fake.inject(Html(), path="/houses/*/counters/", times=2)
    with pytest.raises(FailedRunError, match="PayloadError"):
        await function.invoke()
    assert len(await function.invoke()) == 5


async def test_a_cloud_that_hangs_ends_before_lambda_does(
    start_function: StartFunction, fake: FakeCloud, api: RuntimeApi
) -> None:
    api.seconds = 2
    fake.inject(Hang())
    function = await start_function()
    with pytest.raises(FailedRunError, match=r"RequestTimeoutError.*did not finish within"):
        await function.invoke()


async def test_a_wrong_setting_is_told_at_the_start(start_function: StartFunction) -> None:
    function = await start_function(SINK="", DATABASE_NAME="mydb")
    with pytest.raises(FailedRunError, match="set TABLE_NAME, LOCATION in the environment"):
        await function.invoke()


@pytest.mark.parametrize("log_format", ["JSON", "Text"])
async def test_logs_are_json_without_secrets(
    start_function: StartFunction, fake: FakeCloud, log_format: str
) -> None:
    function = await start_function(LOG_LEVEL="DEBUG", AWS_LAMBDA_LOG_FORMAT=log_format)
    await function.invoke()
    fake.expire_tokens()
    with pytest.raises(FailedRunError, match="TokenRejectedError"):
        await function.invoke()
    text = "\n".join(await function.logs())
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {"DEBUG", "INFO"} <= {line["level"] for line in lines}
    assert "TokenRejectedError" in text
    assert all(line["timestamp"].endswith("Z") and line["message"] for line in lines[:-1])
    if log_format == "JSON":
        assert len(lines) == len(text.splitlines())
        assert lines[-1]["level"] == "ERROR"
    fake.account.generation -= 1
    for secret in (fake.token, fake.email, fake.devices[0].mac_address, "secret-key-of-nobody"):
        assert secret not in text
    assert str(fake.counters[0].name) not in text
