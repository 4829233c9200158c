"""The Lambda beside the old one, which uses requests and boto3, one request after another.

Both run from folders as they are deployed, compiled, with nothing else on the path; every response
of the cloud and of Timestream is delayed by 100 ms, over TLS as in reality.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from platform import machine
from tempfile import mkdtemp
from time import perf_counter

import attrs

from .background import Certificate
from .cloud import remote_cloud
from .measure import Benchmark, Figure, Pairs, alternate
from .timestream import CREDENTIALS, DATABASE, TABLE, remote_timestream

LATENCY = 0.1
COLD_LIMIT = 0.95
WARM_LIMIT = 0.7
HOUSES_LIMIT = 0.25

ROOT = Path(__file__).parent.parent
FUNCTIONS = Path(__file__).parent / "functions"


def cold(runs: int) -> Sequence[Figure]:
    """From the start of a process to the first result; one house."""
    with _both_functions(houses=1) as (ours, base):
        pairs = alternate(ours.cold, base.cold, runs)
    return [pairs.figure("Lambda, cold", COLD_LIMIT, "took", "the old function")]


def warm(runs: int) -> Sequence[Figure]:
    """From a request to its result, in a process that has run before; one house."""
    with _both_functions(houses=1) as (ours, base):
        pairs = _warm(ours, base, runs)
    return [pairs.figure("Lambda, warm", WARM_LIMIT, "took", "the old function")]


def houses(runs: int) -> Sequence[Figure]:
    """Ten houses; the old one takes them one after another, each with a write of its own."""
    with _both_functions(houses=10) as (ours, base):
        pairs = _warm(ours, base, runs)
        first = alternate(ours.cold, base.cold, max(1, runs // 3))
    return [
        pairs.figure("Lambda, ten houses", HOUSES_LIMIT, "took", "the old function"),
        first.figure("Lambda, ten, cold", HOUSES_LIMIT, "took", "the old function"),
    ]


@attrs.frozen
class Deployed:
    """A function's folder, and the environment it runs in."""

    folder: Path
    environ: Mapping[str, str]
    counters: int

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[str]"]:
        """A process that runs it once for every line of input."""
        command = (sys.executable, "-I", "-S", str(FUNCTIONS / "drive.py"), str(self.folder))
        environ = {"PATH": os.environ["PATH"], **self.environ}
        with subprocess.Popen(
            command,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            yield process
            assert process.stdin is not None
            process.stdin.close()

    def invoke(self, process: "subprocess.Popen[str]") -> None:
        """Run it once, and check its result."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if len(answer) != self.counters or {*answer[0]} != {"id", "line", "hot_water", "value"}:
            raise RuntimeError(f"{self.folder} answers {answer}")

    def cold(self) -> float:
        """Seconds from the start of a process to its first result."""
        started = perf_counter()
        with self.running() as process:
            self.invoke(process)
            return perf_counter() - started

    def warm(self, process: "subprocess.Popen[str]") -> float:
        """Seconds of one more run."""
        started = perf_counter()
        self.invoke(process)
        return perf_counter() - started


def _warm(ours: Deployed, base: Deployed, runs: int) -> Pairs:
    with ours.running() as our_process, base.running() as base_process:
        return alternate(partial(ours.warm, our_process), partial(base.warm, base_process), runs)


@contextmanager
def _both_functions(houses: int) -> Iterator[tuple[Deployed, Deployed]]:
    """Both functions, with the same cloud and the same Timestream."""
    new, old = folders()
    tls = Certificate.create_in(new.parent)
    with (
        remote_cloud(houses, devices=1, latency=LATENCY, tls=tls) as cloud,
        remote_timestream(LATENCY, tls) as timestream,
    ):
        environ = {
            **CREDENTIALS,
            **tls.environ,
            "SST_CLOUD_URL": cloud.url,
            "SST_CLOUT_TOKEN": cloud.token,
        }
        sink = f"timestream:{DATABASE}/{TABLE}?location=home&endpoint_url={timestream.url}"
        table = {"DATABASE_NAME": DATABASE, "TABLE_NAME": TABLE, "LOCATION": "home"}
        counters = houses * 2
        yield (
            Deployed(new, {**environ, "SINK": sink}, counters),
            Deployed(old, {**environ, **table, "TIMESTREAM_URL": timestream.url}, counters),
        )


@cache
def folders() -> tuple[Path, Path]:
    """Our function as `make lambda` builds it, and the baseline with the same boto3; compiled."""
    folder = Path(mkdtemp(prefix="sst-cloud-"))
    new, old = folder / "new", folder / "old"
    arch = "arm64" if machine() in ("aarch64", "arm64") else "x86_64"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    build = (ROOT / "examples/lambda_timestream/build.py", "--arch", arch, "--python", version)
    archive = folder / "lambda.zip"
    command = (sys.executable, *build, "--compiler", sys.executable, "--output", archive)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with zipfile.ZipFile(archive) as content:
        content.extractall(new)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    pinned = [_installed(new, "boto3"), _installed(new, "botocore")]
    subprocess.run([*pip, "--no-compile", "--target", old, *pinned, "requests"], check=True)
    shutil.copy(FUNCTIONS / "baseline.py", old / "handler.py")
    mode = ("--invalidation-mode", "unchecked-hash")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-q", *mode, old], check=True)
    return new, old


def _installed(folder: Path, package: str) -> str:
    (info,) = folder.glob(f"{package}-*.dist-info")
    return info.name.removesuffix(".dist-info").replace("-", "==")


COLD = Benchmark("lambda-cold", 11, cold)
WARM = Benchmark("lambda-warm", 11, warm)
HOUSES = Benchmark("lambda-houses", 9, houses)
