"""Payloads of the cloud without what identifies their owner."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sst_cloud import tlv_frame
from sst_cloud.redaction import (
    MAC_ADDRESS,
    SECRET_OPTION,
    SECRET_PATTERNS,
    embedded_json,
    is_sensitive,
)


def anonymize(value: Any) -> Any:
    """Copy a payload, replacing the letters and digits of its secrets.

    Letters become x and digits 0; MAC addresses inside binary frames are replaced and their
    checksums updated. The copy can be parsed like the original.
    """
    if isinstance(value, Mapping):
        return {key: _anonymize_item(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [anonymize(item) for item in value]
    if isinstance(value, str):
        content = embedded_json(value)
        if content is not None:
            return json.dumps(anonymize(content), ensure_ascii=False)
        for pattern in SECRET_PATTERNS:
            value = pattern.sub(lambda match: _blank(match[0]), value)
        value = SECRET_OPTION.sub(lambda match: match[1] + _blank(match[2]), value)
    return value


def _anonymize_item(key: str, value: Any) -> Any:
    if not is_sensitive(key):
        return anonymize(value)
    if key == "configuration" and isinstance(value, str):
        return tlv_frame.mask(value) or _blank(value)
    return _blank(value)


def _blank(value: Any) -> Any:
    """A value of the same form, with x for letters and 0 for digits."""
    if isinstance(value, Mapping):
        return {key: _blank(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_blank(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return type(value)(0)
    text = str(value)
    if MAC_ADDRESS.fullmatch(text):
        return re.sub(r"\w", "0", text)
    return re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "0", text))
