"""Snapshots, readings, usage and reports for a terminal or a notebook, by means of rich."""

from importlib.util import find_spec

from sst_cloud._lazy import lazy_exports

if find_spec("rich") is None:
    raise ModuleNotFoundError(
        "tables for a terminal need rich: pip install 'sst-cloud[cli]'", name="rich"
    )

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "report": (
            "ReportTable",
            "report_text",
        ),
        "snapshot": (
            "SnapshotTable",
            "snapshot_tree",
        ),
        "tables": ("readings_table",),
        "usage": ("UsageTable",),
    },
)
