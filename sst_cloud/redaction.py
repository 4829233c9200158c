"""Recognises secrets, and masks them in logs, reprs, exceptions and dumps."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from .bounded_json import loads

MASK: Final = "***"

SENSITIVE_KEYS: Final = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "authorization",
        "configuration",  # its frame contains the device's MAC address
        "cookie",
        "csrftoken",
        "email",
        "first_name",
        "key",
        "last_name",
        "mac_address",
        "owner",
        "password",
        "passwd",
        "phone",
        "refresh_token",
        "secret",
        "sessionid",
        "set-cookie",
        "token",
        "uid",
        "user",
        "pk",
        "username",
        "users",
        "x-csrftoken",
    }
)
"""Names, in lower case, whose values are never shown."""

TOKEN_VARIABLES: Final = ("SST_CLOUD_TOKEN", "SST_CLOUT_TOKEN")
"""Environment variables for the token. The second is a misspelling that is in use."""
SECRET_VARIABLES: Final = frozenset(
    {
        *TOKEN_VARIABLES,
        "SST_CLOUD_EMAIL",
        "SST_CLOUD_PASSWORD",
        "SST_CLOUD_SMTP",
        "SST_CLOUD_SMTP_PASSWORD",
    }
)
"""The environment variables with the secrets of this program itself."""

MAC_ADDRESS: Final = re.compile(r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b")
SECRET_PATTERNS: Final = (
    # E-mails, anchored at a word's start: a long word without @ is not scanned from every letter.
    re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)+"),
    MAC_ADDRESS,
    re.compile(r"(?<=Token )\S+"),
    re.compile(r"(?<=Basic )[\w+/=-]{16,}|(?<=Bearer )[\w+/=.~-]{16,}"),
    re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{32,}"),  # token, sessionid, csrftoken
    re.compile(r"(?<=//)[^/@\s]++(?=@)"),  # user:password in a URL
)
SECRET_OPTION: Final = re.compile(
    r"([?&][\w.-]*(?:token|passw(?:or)?d|pwd|secret|key|auth|sig|signature|session|credentials?)=)"
    r"([^&#\s]+)",
    re.IGNORECASE,
)
"""In a URL's query."""


def is_sensitive(name: str) -> bool:
    """Whether values under this key must not be shown."""
    return name.lower() in SENSITIVE_KEYS


def redact_text(text: str) -> str:
    """Mask anything that looks like an e-mail, MAC address, token or credentials in a URL."""
    for pattern in SECRET_PATTERNS:
        text = pattern.sub(MASK, text)
    return SECRET_OPTION.sub(rf"\1{MASK}", text)


def display_name(visible: str, whole: str) -> str:
    """The part of a name that may be shown, with a hash if something was masked."""
    visible = redact_text(visible)
    return visible if visible == whole else f"{visible}…{sha256(whole.encode()).hexdigest()[:6]}"


def embedded_json(text: str) -> Any:
    """The object or list that a string contains as JSON, if any."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return loads(text)
    except ValueError:
        return None


def redact(value: Any) -> Any:
    """Copy a payload with its secrets masked, including those in JSON inside strings."""
    if isinstance(value, Mapping):
        return {
            redact_text(key) if isinstance(key, str) else key: (
                MASK if is_sensitive(str(key)) and item else redact(item)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, bytes | bytearray):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        content = embedded_json(value)
        if content is not None:
            return json.dumps(redact(content), ensure_ascii=False)
        return redact_text(value)
    return value
