"""The wired lines of a leak module, as all families report them."""

from collections.abc import Mapping
from typing import Any

from sst_cloud.cloud.payload_values import Read, flag, mapping_or_empty, unique_names
from sst_cloud.enums import LineKind
from sst_cloud.models import WiredLine


def wired_lines(
    payload: Mapping[str, Any], statuses: Any, kinds: Any, read: Read
) -> tuple[WiredLine, ...]:
    """Lines in the order of their JSON; names are matched by position, as far as they go."""
    names = payload.get("line_names")
    names = names if isinstance(names, list) else []
    kinds, statuses = mapping_or_empty(kinds), mapping_or_empty(statuses)
    point_ids = unique_names([read(key, str) or "" for key in statuses])
    lines = []
    for number, ((key, status), point_id) in enumerate(
        zip(statuses.items(), point_ids, strict=True), start=1
    ):
        kind = read(kinds.get(key), LineKind | str)
        line = WiredLine(
            point_id=point_id,
            number=number,
            name=read(names[number - 1], str) or None if number <= len(names) else None,
            leak=None if kind is LineKind.COUNTER else flag(status),
            kind=kind,
        )
        lines.append(line)
    return tuple(lines)
