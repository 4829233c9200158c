"""Where InfluxDB takes lines and answers questions: from what people write to addresses."""

from typing import Final, NamedTuple
from urllib.parse import unquote

from yarl import URL

from sst_cloud.errors import SinkOptionsError

_FORM: Final = "influxdb:https://HOST:8086/BUCKET?org=ORG"
_CHUNK: Final = "5000"
"""Rows that an answer brings at a time."""


class Endpoints(NamedTuple):
    """The addresses of one database or bucket."""

    write: URL
    """Lines are posted to it."""
    query: URL
    """InfluxQL is asked of it, which every version knows."""


def address_and_bucket(target: str) -> tuple[str, str]:
    """`https://host:8086/some/path/bucket` as the address and the bucket."""
    address, _, bucket = target.rpartition("/")
    if "://" not in address or address.endswith("/") or not bucket:
        raise SinkOptionsError(f"the influxdb sink needs an address and a bucket: {_FORM}")
    return address, unquote(bucket)


def endpoints(
    address: str, bucket: str, *, org: str, version: int, retention_policy: str
) -> Endpoints:
    """Where to write and to read. Raises `SinkOptionsError`, and echoes no secret."""
    if "@" in address:
        raise SinkOptionsError(
            "the address of the influxdb sink holds a user, a password or a token; take it out: "
            "the token comes from INFLUXDB_TOKEN, the password of user=NAME from INFLUXDB_PASSWORD"
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
            raise SinkOptionsError("an org is of InfluxDB 2: leave it out, or version=1")
        database, policy = bucket, retention_policy
        path, where = "write", {"db": database, "rp": policy}
    else:
        if retention_policy:
            raise SinkOptionsError("a retention_policy is of InfluxDB 1: add version=1")
        # To InfluxQL a bucket `a/b` is the retention policy `b` of the database `a`.
        database, _, policy = bucket.partition("/")
        path, where = "api/v2/write", {"org": org, "bucket": bucket}
    asked = {"db": database, "rp": policy, "epoch": "s", "chunked": "true", "chunk_size": _CHUNK}
    return Endpoints(
        base / path % _given({**where, "precision": "s"}), base / "query" % _given(asked)
    )


def _given(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
