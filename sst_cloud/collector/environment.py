"""The environment of the commands that are run: that of this process, without the secrets."""

import os
from collections.abc import Collection, Mapping
from typing import Final

from sst_cloud.auth import TOKEN_VARIABLES
from sst_cloud.sink import declared_secrets

OURS: Final = frozenset(
    {
        *TOKEN_VARIABLES,
        "SST_CLOUD_EMAIL",
        "SST_CLOUD_PASSWORD",
        "SST_CLOUD_SMTP",
        "SST_CLOUD_SMTP_PASSWORD",
    }
)
"""The variables with the secrets of this program itself."""

_SHORT: Final = 5
"""A variable with a value this short may have the value of a secret by chance."""
_LONG: Final = 8
"""A secret this long is not part of another value by chance."""


def environment(given: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """What a command gets: `given`, and what is neither a secret by its name nor by its value.

    Secrets are those of this program, of `secrets`, and what installed sinks declare.
    """
    names = {*OURS, *declared_secrets(), *secrets}
    known = (*secrets.values(), *(os.environ.get(name, "") for name in names))
    values = {value.strip() for value in known if len(value.strip()) > _SHORT}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in names and not _has_secret(value.strip(), values)
    }
    return inherited | dict(given)


def _has_secret(text: str, secrets: Collection[str]) -> bool:
    return text in secrets or any(secret in text for secret in secrets if len(secret) >= _LONG)
