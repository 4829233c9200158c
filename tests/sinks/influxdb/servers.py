"""Real servers, started as child processes on free loopback ports, their data in a folder."""

import json
import os
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import attrs
import pytest

from sinks.influxdb.stored import Row

_START = 20.0
"""Seconds a server may take to start on a busy machine; it takes a tenth of one."""


def binary(name: str) -> str:
    """The path of a server. Without it a test is skipped, but in CI it fails."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed: as root, .ci/install-servers does it on Debian 12"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path, **settings: str) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **settings}
        )
    try:
        deadline = time.monotonic() + _START
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@attrs.frozen
class VictoriaMetrics:
    """Takes /api/v2/write; keeps numbers only, and answers 204 to whatever it is sent."""

    url: str

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator["VictoriaMetrics"]:
        port = _free_port()
        command = [
            binary("victoria-metrics"),
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={folder / 'data'}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
            "-memory.allowedPercent=5",
        ]
        with _running(command, port, folder):
            yield cls(f"http://127.0.0.1:{port}")

    def keeps_greater_value(self) -> bool:
        """Whether the greater of two values for one time is kept: newer versions do so.

        Older ones (1.79) keep the value that was written last.
        """
        for value in (2, 1):
            sample = f"probe {value} 1700000000000\n".encode()
            urlopen(f"{self.url}/api/v1/import/prometheus", sample).close()
        (probe,) = self._export('{__name__="probe"}')
        values: list[int] = probe["values"]
        return values == [2]

    def _export(self, series: str) -> list[Any]:
        urlopen(f"{self.url}/internal/force_flush").close()
        query = urlencode({"match[]": series, "start": 0, "end": 4_102_444_800})
        with urlopen(f"{self.url}/api/v1/export?{query}") as answer:
            return [json.loads(line) for line in answer]

    def rows(self) -> list[Row]:
        series = self._export('{__name__!="probe"}')
        rows: dict[Any, Row] = {}
        for entry in series:
            tags = dict(entry["metric"])
            measurement, field = _measurement_and_field(tags.pop("__name__"))
            for stamp, value in zip(entry["timestamps"], entry["values"], strict=True):
                key = (measurement, tuple(sorted(tags.items())), stamp)
                row = rows.setdefault(key, Row(measurement, tags, stamp / 1000, {}))
                row.fields[field] = value
        return list(rows.values())


def _measurement_and_field(name: str) -> tuple[str, str]:
    """VictoriaMetrics joins the two with an underscore."""
    for measurement in ("water_meter", "leak_sensor", "valve", "thermostat", "module"):
        if name.startswith(f"{measurement}_"):
            return measurement, name.removeprefix(f"{measurement}_")
    raise AssertionError(f"no measurement of ours: {name}")


@attrs.frozen
class InfluxDB1:
    """InfluxDB 1 with users; each test asks it for a database of its own."""

    url: str
    admin: str = "admin"
    password: str = "of: the-admin é"

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator["InfluxDB1"]:
        port = _free_port()
        settings = {
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_BIND_ADDRESS": "127.0.0.1:0",
            "INFLUXDB_META_DIR": str(folder / "meta"),
            "INFLUXDB_DATA_DIR": str(folder / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(folder / "wal"),
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_HTTP_AUTH_ENABLED": "true",
            "INFLUXDB_HTTP_LOG_ENABLED": "false",
        }
        command = [binary("influxd"), "-config", os.devnull]
        with _running(command, port, folder, **settings):
            server = cls(f"http://127.0.0.1:{port}")
            user = f"CREATE USER {server.admin} WITH PASSWORD '{server.password}'"
            server.query(f"{user} WITH ALL PRIVILEGES")
            yield server

    def query(self, statement: str, **options: str) -> list[dict[str, Any]]:
        """The series that a statement of InfluxQL gives."""
        body = urlencode({"q": statement, **options}).encode()
        try:
            with urlopen(self._request("query", body)) as answer:
                (result,) = json.load(answer)["results"]
        except (HTTPError, URLError) as error:
            raise AssertionError(f"{statement}: {error}") from error
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def write_raw(self, database: str, lines: str) -> None:
        """What another program has written."""
        query = urlencode({"db": database, "precision": "s"})
        urlopen(self._request(f"write?{query}", lines.encode())).close()

    def _request(self, path: str, body: bytes) -> Request:
        secret = b64encode(f"{self.admin}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}"}
        return Request(f"{self.url}/{path}", data=body, headers=headers)

    def rows(self, database: str) -> list[Row]:
        series = self.query("SELECT * FROM /.*/ GROUP BY *", db=database, epoch="s")
        rows = []
        for entry in series:
            tags = {key: value for key, value in entry["tags"].items() if value}
            for stamp, *values in entry["values"]:
                names = entry["columns"][1:]
                fields = {n: v for n, v in zip(names, values, strict=True) if v is not None}
                rows.append(Row(entry["name"], tags, stamp, fields))
        return rows
