"""Sinks for the readings of `sst_cloud`, one adapter per module, found by entry point."""
