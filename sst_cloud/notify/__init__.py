"""Where events go: commands and web addresses; and the mail server, for reports."""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "base": ("Handler",),
        "factory": ("handler_from",),
    },
)
