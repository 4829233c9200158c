"""The deployed zip, the Lambda runtime, a fake cloud and a stand-in for Timestream."""

import platform
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import files
from pathlib import Path

import pytest

from deploy.lambda_timestream.runtime_api import Function, RuntimeApi, start
from sinks.timestream.stand_in import Timestream
from sinks.timestream.store import Table
from sst_cloud.testing import FakeCloud

EXAMPLE = Path(__file__).parents[3] / "examples/lambda_timestream"
RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")

StartFunction = Callable[..., Awaitable[Function]]


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)


AWS = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "secret-key-of-nobody",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip, built for this machine and this Python."""
    if sys.platform != "linux":
        pytest.skip("what is built for Lambda runs on Linux only")
    output = tmp_path_factory.mktemp("zip") / "lambda.zip"
    arch = "arm64" if platform.machine() == "aarch64" else "x86_64"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = ("--arch", arch, "--python", version, "--compiler", sys.executable)
    build = (sys.executable, EXAMPLE / "build.py", *options, "--output", output)
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (output.parent / "told.txt").write_text(done.stdout)
    return output


@pytest.fixture(scope="session")
def code(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Lambda makes of the zip."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Lambda's runtime and nothing else that is installed here."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME:
        for file in files(name) or ():
            if ".." not in file.parts and not (folder / file.parts[0]).exists():
                path = Path(str(file.locate()))
                (folder / file.parts[0]).symlink_to(
                    path.parents[len(file.parts) - 2] if len(file.parts) > 1 else path
                )
    return folder


@pytest.fixture
async def timestream() -> AsyncIterator[Timestream]:
    async with Timestream() as service:
        service.now = datetime.now(UTC)
        yield service


@pytest.fixture
def table(timestream: Timestream) -> Table:
    return timestream.add_table()


@pytest.fixture
async def api() -> AsyncIterator[RuntimeApi]:
    async with RuntimeApi() as api:
        yield api


@pytest.fixture
async def start_function(  # noqa: PLR0917  fixtures have no order
    fake: FakeCloud,
    timestream: Timestream,
    table: Table,
    api: RuntimeApi,
    code: Path,
    runtime: Path,
) -> AsyncIterator[StartFunction]:
    """Start the function that is in the zip; keyword arguments go into its environment."""
    started: list[Function] = []

    async def start_one(**environ: str) -> Function:
        env = {
            **AWS,
            "SST_CLOUT_TOKEN": fake.token,
            "SST_CLOUD_URL": fake.url,
            "SINK": f"timestream:mydb/meters?location=home&endpoint_url={timestream.url}",
            **environ,
        }
        started.append(await start(api, code, runtime, env))
        return started[-1]

    yield start_one
    for function in started:
        await function.logs()
