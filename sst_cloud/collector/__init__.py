"""The collector: poll a source, validate, commit to the outbox, deliver to sinks."""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "collector": (
            "Collector",
            "Poll",
        ),
        "schedule": ("EVERY",),
        "supervision": ("Supervisor",),
    },
)
