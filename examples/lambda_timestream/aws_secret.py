"""The cloud's token, from Secrets Manager or SSM Parameter Store."""

import json
from typing import Any, Final

from sst_cloud.errors import SSTCloudError
from sst_cloud.http_bodies import EXCERPT_LENGTH
from sst_cloud.sent_secrets import Secrets

_TIMEOUT: Final = 5.0
"""Seconds, to connect and to read."""
_ATTEMPTS: Final = 3
_MAX_REASON: Final = 300
"""Characters of a message of AWS."""
_PARSE_ERRORS: Final = (RecursionError, AttributeError, KeyError, TypeError)
"""What botocore raises for JSON that is nested too deeply, or of an unexpected form."""


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

    from sst_cloud_sinks.timestream.http import HTTPSession  # noqa: PLC0415

    config = AioConfig(
        connect_timeout=_TIMEOUT,
        read_timeout=_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        http_session_cls=HTTPSession,
    )
    secrets = Secrets()
    try:
        session = aioboto3.Session(region_name=parts[3])
        if (credentials := await session.get_credentials()) is not None:
            current = await credentials.get_frozen_credentials()
            secrets.add(current.access_key, current.secret_key, current.token or "")
        async with session.client(service, config=config) as client:
            return _token(await _fetch(client, service, arn))
    except ClientError as error:
        code = secrets.mask(str(error.response.get("Error", {}).get("Code", ""))[:EXCERPT_LENGTH])[
            :_MAX_REASON
        ]
        action = "ssm:GetParameter" if service == "ssm" else "secretsmanager:GetSecretValue"
        reason = f" ({code}); check that it exists and that this role has {action}"
    except BotoCoreError as error:
        reason = f": {secrets.mask(str(error)[:EXCERPT_LENGTH])[:_MAX_REASON]}"
    except (ResponseParserError, *_PARSE_ERRORS):
        reason = ": the response of AWS cannot be read"
    # Raised here: botocore's error holds what was sent, and a response may be the secret.
    raise SSTCloudError(f"{arn} cannot be read{reason}")


async def _fetch(client: Any, service: str, arn: str) -> str:
    if service == "ssm":
        response = await client.get_parameter(Name=arn, WithDecryption=True)
        return str(response["Parameter"]["Value"])
    response = await client.get_secret_value(SecretId=arn)
    return str(response["SecretString"])


def _token(text: str) -> str:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(content["token"]) if isinstance(content, dict) and "token" in content else text
