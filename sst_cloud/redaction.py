"""What is secret, and how to keep it out of logs, reprs, exceptions and dumps."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from . import frame
from ._json import loads

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

_MAC: Final = re.compile(r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b")
_SECRET_TEXT: Final = (
    # E-mails, anchored at a word's start: a long word without @ is not scanned from every letter.
    re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)+"),
    _MAC,
    re.compile(r"(?<=Token )\S+"),
    re.compile(r"(?<=Basic )[\w+/=-]{16,}|(?<=Bearer )[\w+/=.~-]{16,}"),
    re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{32,}"),  # token, sessionid, csrftoken
    re.compile(r"(?<=//)[^/@\s]++(?=@)"),  # user:password in a URL
)
_SECRET_OPTION: Final = re.compile(
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
    for pattern in _SECRET_TEXT:
        text = pattern.sub(MASK, text)
    return _SECRET_OPTION.sub(rf"\1{MASK}", text)


def name_of(shown: str, whole: str) -> str:
    """The part of a name that may be shown, with a hash if something was masked."""
    shown = redact_text(shown)
    return shown if shown == whole else f"{shown}…{sha256(whole.encode()).hexdigest()[:6]}"


def disguise(value: Any) -> Any:
    """Copy a payload, replacing the letters and digits of its secrets.

    Letters become x and digits 0; MAC addresses inside binary frames are replaced and their
    checksums updated. The copy can be parsed like the original.
    """
    if isinstance(value, Mapping):
        return {key: _disguise_item(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [disguise(item) for item in value]
    if isinstance(value, str):
        opened = _open(value)
        if opened is not None:
            return json.dumps(disguise(opened), ensure_ascii=False)
        for pattern in _SECRET_TEXT:
            value = pattern.sub(lambda match: _shape(match[0]), value)
        value = _SECRET_OPTION.sub(lambda match: match[1] + _shape(match[2]), value)
    return value


def _disguise_item(key: str, value: Any) -> Any:
    if not is_sensitive(key):
        return disguise(value)
    if key == "configuration" and isinstance(value, str):
        return frame.mask(value) or _shape(value)
    return _shape(value)


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shape(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return type(value)(0)
    text = str(value)
    if _MAC.fullmatch(text):
        return re.sub(r"\w", "0", text)
    return re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "0", text))


def _open(text: str) -> Any:
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
        opened = _open(value)
        if opened is not None:
            return json.dumps(redact(opened), ensure_ascii=False)
        return redact_text(value)
    return value
