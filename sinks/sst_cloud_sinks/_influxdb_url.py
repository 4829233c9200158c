"""Where InfluxDB takes lines: from what people write to the address of a request."""

from typing import Final
from urllib.parse import unquote

from yarl import URL

from sst_cloud.errors import SinkOptionsError

_FORM: Final = "influxdb:https://HOST:8086/BUCKET?org=ORG"


def address_and_bucket(target: str) -> tuple[str, str]:
    """`https://host:8086/some/path/bucket` as the address and the bucket."""
    address, _, bucket = target.rpartition("/")
    if "://" not in address or address.endswith("/") or not bucket:
        raise SinkOptionsError(f"the influxdb sink needs an address and a bucket: {_FORM}")
    return address, unquote(bucket)


def write_endpoint(
    address: str, bucket: str, *, org: str, version: int, retention_policy: str
) -> URL:
    """The URL that lines are posted to. Raises `SinkOptionsError`, and echoes no secret."""
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
        query = {"db": bucket, "rp": retention_policy, "precision": "s"}
        path = "write"
    else:
        if retention_policy:
            raise SinkOptionsError("a retention_policy is of InfluxDB 1: add version=1")
        query = {"org": org, "bucket": bucket, "precision": "s"}
        path = "api/v2/write"
    return base / path % {name: value for name, value in query.items() if value}
