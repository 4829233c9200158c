"""Where events go: commands, webhooks, mail."""

from sst_cloud._lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    {
        "base": ("Handler",),
        "factory": ("handler_from",),
    },
)
