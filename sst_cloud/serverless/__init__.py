"""One poll per call, for whatever runs on a schedule."""

from sst_cloud._lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    {
        "scheduled_poll": ("ScheduledPoll",),
    },
)
