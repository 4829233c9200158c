"""InfluxDB's write and query endpoints, from a sink URL."""

from typing import Final, NamedTuple
from urllib.parse import unquote

from yarl import URL

from sst_cloud.errors import SinkOptionsError

_URL_FORMAT: Final = "influxdb:https://HOST:8086/BUCKET?org=ORG"
_ROWS_PER_CHUNK: Final = "5000"
"""Of a response."""


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
        raise SinkOptionsError(f"the influxdb sink needs an address and a bucket: {_URL_FORMAT}")
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
        is_valid = base.scheme in ("http", "https") and base.host and base.port
    except ValueError:
        is_valid = False
    if not is_valid or "?" in address or "#" in address + bucket:
        raise SinkOptionsError(f"the influxdb sink needs an address and a bucket: {_URL_FORMAT}")
    if version == 1:
        if org:
            raise SinkOptionsError("org= is for InfluxDB 2: remove it, or version=1")
        database, policy = bucket, retention_policy
        path, write_query = "write", {"db": database, "rp": policy}
    else:
        if retention_policy:
            raise SinkOptionsError("retention_policy= is for InfluxDB 1: add version=1")
        # To InfluxQL a bucket `a/b` is the retention policy `b` of the database `a`.
        database, _, policy = bucket.partition("/")
        path, write_query = "api/v2/write", {"org": org, "bucket": bucket}
    read_query = {
        "db": database,
        "rp": policy,
        "epoch": "s",
        "chunked": "true",
        "chunk_size": _ROWS_PER_CHUNK,
    }
    return Endpoints(
        base / path % _without_empty({**write_query, "precision": "s"}),
        base / "query" % _without_empty(read_query),
    )


def _without_empty(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
