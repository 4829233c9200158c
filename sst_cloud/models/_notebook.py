"""The models' only link to the higher layers that render them and make data frames.

Those are imported only when a notebook needs them, so that using a model loads neither.
"""

from typing import Any


class Shown:
    """An object with an HTML view for notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from sst_cloud.html import html  # noqa: PLC0415

        return html(self)


def frame(snapshot: Any, library: Any) -> Any:
    """The readings of a snapshot as a data frame."""
    from sst_cloud.dataframes import readings_frame  # noqa: PLC0415
    from sst_cloud.measurements import readings_from  # noqa: PLC0415

    return readings_frame(readings_from(snapshot), library=library)
