"""What a deployment on AWS needs besides a sink: a secret from Secrets Manager or SSM."""

import json
from typing import Any, Final

from sst_cloud.errors import SSTCloudError
from sst_cloud.over_http import DETAIL
from sst_cloud.sent_secrets import Secrets

_LIMIT: Final = 5.0
"""Timeouts in seconds, to connect and to read."""
_ATTEMPTS: Final = 3
_SHOWN: Final = 300
"""Characters of what AWS says."""
_UNREADABLE: Final = (RecursionError, AttributeError, KeyError, TypeError)
"""What botocore raises for JSON that is nested too deeply, or is something else than promised."""


async def secret(arn: str) -> str:
    """The text of a Secrets Manager secret, or of an SSM parameter, by its ARN.

    If it is JSON, the value of its key `token`. Raises `SSTCloudError`.
    """
    parts = arn.split(":", 5)
    service = parts[2] if len(parts) == 6 and parts[0] == "arn" else ""
    if service not in ("secretsmanager", "ssm"):
        raise SSTCloudError(f"{arn} is not the ARN of a secret or an SSM parameter")
    import aioboto3  # noqa: PLC0415  half a second, and an extra
    from aiobotocore.config import AioConfig  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    from ._timestream_http import HTTPSession  # noqa: PLC0415

    config = AioConfig(
        connect_timeout=_LIMIT,
        read_timeout=_LIMIT,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        http_session_cls=HTTPSession,
    )
    secrets = Secrets()
    try:
        session = aioboto3.Session(region_name=parts[3])
        if (credentials := await session.get_credentials()) is not None:
            sent = await credentials.get_frozen_credentials()
            secrets.add(sent.access_key, sent.secret_key, sent.token or "")
        async with session.client(service, config=config) as client:
            return _token(await _fetch(client, service, arn))
    except ClientError as error:
        code = secrets.mask(str(error.response.get("Error", {}).get("Code", ""))[:DETAIL])[:_SHOWN]
        action = "ssm:GetParameter" if service == "ssm" else "secretsmanager:GetSecretValue"
        why = f" ({code}); check that it exists and that this role has {action}"
    except BotoCoreError as error:
        why = f": {secrets.mask(str(error)[:DETAIL])[:_SHOWN]}"
    except (ResponseParserError, *_UNREADABLE):
        why = ": the answer of AWS cannot be read"
    # Raised here: what botocore raises holds what was sent, and an answer may be the secret.
    raise SSTCloudError(f"{arn} cannot be read{why}")


async def _fetch(client: Any, service: str, arn: str) -> str:
    if service == "ssm":
        answer = await client.get_parameter(Name=arn, WithDecryption=True)
        return str(answer["Parameter"]["Value"])
    answer = await client.get_secret_value(SecretId=arn)
    return str(answer["SecretString"])


def _token(text: str) -> str:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(held["token"]) if isinstance(held, dict) and "token" in held else text
