"""The door from the models up to what shows them and makes frames of them.

Both are made from readings, in rooms above. The way there leads through here alone, and is taken
when a notebook asks: who only wants a model loads neither.
"""

from typing import Any


class Shown:
    """Shows itself in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from sst_cloud.html import html  # noqa: PLC0415

        return html(self)


def frame(snapshot: Any, library: Any) -> Any:
    """The readings of a snapshot as a data frame."""
    from sst_cloud.dataframes import readings_frame  # noqa: PLC0415
    from sst_cloud.measurements import readings_from  # noqa: PLC0415

    return readings_frame(readings_from(snapshot), library=library)
