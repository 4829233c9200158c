"""The URL of the sink, and what it must not contain."""

from typing import Any

import pytest

from sst_cloud import SinkOptionsError, open_sink
from sst_cloud_sinks.influxdb import InfluxDBSink


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (
            "influxdb:https://host:8086/home?org=me",
            "https://host:8086/api/v2/write?org=me&bucket=home&precision=s",
        ),
        ("influxdb:http://host/home", "http://host/api/v2/write?bucket=home&precision=s"),
        (
            "influxdb:http://[::1]:8086/sub/path/db%2Fautogen?version=2",
            "http://[::1]:8086/sub/path/api/v2/write?bucket=db/autogen&precision=s",
        ),
        (
            "influxdb:http://host:8086/home?version=1&retention_policy=year",
            "http://host:8086/write?db=home&rp=year&precision=s",
        ),
    ],
)
def test_url_determines_the_write_endpoint(url: str, endpoint: str) -> None:
    sink = open_sink(url)
    assert isinstance(sink, InfluxDBSink)
    assert str(sink._endpoints.write) == endpoint


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("influxdb:", "needs an address and a bucket: influxdb:https://HOST:8086/BUCKET"),
        ("influxdb:home", "needs an address"),
        ("influxdb:localhost:8086/home", "needs an address"),
        ("influxdb:https://host:8086", "needs an address"),
        ("influxdb:https://host:8086/", "needs an address"),
        ("influxdb:https:///home", "needs an address"),
        ("influxdb:https://host:port/home", "needs an address"),
        ("influxdb:https://host/home#S3CRET", "needs an address"),
        ("influxdb:ftp://host/home", "needs an address"),
        (
            "influxdb:https://S3CRET@host/home",
            "remove the .*: the token is read from INFLUXDB_TOKEN",
        ),
        ("influxdb:https://me:S3CRET@host/home", "remove the user, password or token"),
        ("influxdb:https://me:S3/CRET@host/home", "remove the user, password or token"),
        ("influxdb:S3CRET@https://host/home", "remove the user, password or token"),
        (
            "influxdb:https://host/home?token=S3CRET",
            "no option 'token'.*are read from the environment",
        ),
        ("influxdb:https://host/home?password=S3CRET", "are read from the environment"),
        ("influxdb:https://host/home?p=S3CRET", "it knows: org, version, user, retention_policy"),
        ("influxdb:https://host/home?version=1&user=me:S3CRET", "is read from INFLUXDB_PASSWORD"),
        ("influxdb:https://host/home?version=3", "must be one of 1, 2"),
        ("influxdb:https://host/home?version=1&org=me", "org= is for InfluxDB 2"),
        ("influxdb:https://host/home?retention_policy=a", "is for InfluxDB 1: add version=1"),
        ("influxdb:https://host/home?user=me", "user= is for InfluxDB 1: add version=1"),
        ("influxdb:https://host/home?version=1&user=me", "user 'me' is missing: set INFLUXDB_PASS"),
        ("influxdb:https://host/home?names=maybe", "must be one of yes, no"),
    ],
)
def test_invalid_urls_are_refused(url: str, sentence: str) -> None:
    with pytest.raises(SinkOptionsError, match=sentence) as caught:
        open_sink(url)
    assert "S3CRET" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_token_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_TOKEN", "  S3CRET==\n")
    sink: Any = open_sink("influxdb:https://host/home")
    assert sink._server._headers["Authorization"] == "Token S3CRET=="
    assert "S3CRET" not in repr(sink)


def test_malformed_token_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_TOKEN", "S3CRET\nX-Header: yes")
    with pytest.raises(SinkOptionsError, match="unexpected characters") as caught:
        open_sink("influxdb:https://host/home")
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "batch_size", "max_concurrency"])
def test_numbers_must_be_positive(name: str) -> None:
    numbers: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=name):
        InfluxDBSink("https://host", "home", **numbers)
