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
    services = {match[1] for name in names if (match := DATA.match(name))}
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


def test_compiled_files_are_used_without_checking_the_source(code: Path) -> None:
    (compiled,) = (code / "__pycache__").glob("handler.*.pyc")
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01


def test_endpoints_are_limited_to_the_remaining_services(code: Path) -> None:
    content = json.loads((code / "botocore/data/endpoints.json").read_text())
    services = {
        partition["partition"]: {*partition["services"]} for partition in content["partitions"]
    }
    assert services["aws"] == {
        "ingest.timestream", "oidc", "portal.sso", "secretsmanager", "ssm", "sts"
    }  # fmt: skip
    assert {"aws-cn", "aws-us-gov"} < services.keys()


async def test_cold_and_warm_runs_store_all_readings(
    start_function: StartFunction, fake: FakeCloud, timestream: Timestream, table: Table
) -> None:
    function = await start_function()
    expected = [
        {"id": c.id, "line": c.line, "hot_water": c.hot, "value": c.value_l(fake.clock.now())}
        for c in fake.counters
    ]
    assert await function.invoke() == expected
    paths = [request.path for request in fake.requests]
    assert paths[0] == "/houses/"
    assert sorted(paths[1:]) == [f"/houses/{house.id}/counters/" for house in fake.houses]
    fake.requests.clear()
    assert await function.invoke() == expected
    assert sorted(request.path for request in fake.requests) == sorted(paths[1:])
    assert [len(body["Records"]) for body in timestream.requests_for("WriteRecords")] == [5, 5]
    stored, again = [line for line in await function.json_logs() if "readings" in line]
    assert stored["message"] == "stored 5 readings"
    assert (stored["houses"], stored["run"], again["run"]) == (2, 1, 2)
    assert stored["requestId"]


async def test_only_the_configured_house_is_read(
    start_function: StartFunction, fake: FakeCloud
) -> None:
    house = fake.houses[1]
    function = await start_function(HOUSE_ID=str(house.id))
    counters = [counter.id for device in house.devices for counter in device.counters]
    assert [each["id"] for each in await function.invoke()] == counters


async def test_failed_run_raises_and_the_next_run_works(
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


async def test_hanging_cloud_ends_the_run_before_the_lambda_timeout(
    start_function: StartFunction, fake: FakeCloud, api: RuntimeApi
) -> None:
    api.seconds = 2
    fake.inject(Hang())
    function = await start_function()
    with pytest.raises(FailedRunError, match=r"RequestTimeoutError.*did not finish within"):
        await function.invoke()


async def test_wrong_setting_fails_at_startup(start_function: StartFunction) -> None:
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
