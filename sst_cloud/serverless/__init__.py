"""One poll per call, for whatever runs on a schedule."""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "scheduled_poll": ("ScheduledPoll",),
    },
)
