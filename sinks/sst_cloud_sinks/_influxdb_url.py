"""InfluxDB's write and query endpoints, from a sink URL."""

from typing import Final, NamedTuple
from urllib.parse import unquote

from yarl import URL

from sst_cloud.errors import SinkOptionsError

_FORM: Final = "influxdb:https://HOST:8086/BUCKET?org=ORG"
_CHUNK: Final = "5000"
"""Rows per chunk of a response."""


class Endpoints(NamedTuple):
    """The endpoints of one database or bucket."""

    write: URL
    """Lines are posted here."""
    query: URL
    """InfluxQL queries are sent here; every version supports them."""


def address_and_bucket(target: str) -> tuple[str, str]:
    """`https://host:8086/some/path/bucket` as the address and the bucket."""
    address, _, bucket = target.rpartition("/")
    if "://" not in address or address.endswith("/") or not bucket:
        raise SinkOptionsError(f"the influxdb sink needs an address and a bucket: {_FORM}")
    return address, unquote(bucket)


def endpoints(
    address: str, bucket: str, *, org: str, version: int, retention_policy: str
) -> Endpoints:
    """Where to write and to query. Raises `SinkOptionsError`, without echoing secrets."""
    if "@" in address:
        raise SinkOptionsError(
            "remove the user, password or token from the influxdb sink's address: the token is "
            "read from INFLUXDB_TOKEN, the password for user=NAME from INFLUXDB_PASSWORD"
        )
    try:
        base = URL(address)
        fine = base.scheme in ("http", "https") and base.host and base.port
    except ValueError:
        fine = False
    if not fine or "?" in address or "#" in address + bucket:
        raise SinkOptionsError(f"the influxdb sink needs an address and a bucket: {_FORM}")
    if version == 1:
        if org:
            raise SinkOptionsError("org= is for InfluxDB 2: remove it, or version=1")
        database, policy = bucket, retention_policy
        path, where = "write", {"db": database, "rp": policy}
    else:
        if retention_policy:
            raise SinkOptionsError("retention_policy= is for InfluxDB 1: add version=1")
        # To InfluxQL a bucket `a/b` is the retention policy `b` of the database `a`.
        database, _, policy = bucket.partition("/")
        path, where = "api/v2/write", {"org": org, "bucket": bucket}
    asked = {"db": database, "rp": policy, "epoch": "s", "chunked": "true", "chunk_size": _CHUNK}
    return Endpoints(
        base / path % _given({**where, "precision": "s"}), base / "query" % _given(asked)
    )


def _given(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
