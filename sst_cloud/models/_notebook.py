"""The models' only link to a higher layer: `display.html`, imported when a notebook needs it."""


class NotebookView:
    """An object with an HTML view for notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from sst_cloud.display.html import html  # noqa: PLC0415

        return html(self)
