"""Sinks for the readings of `sst_cloud`, one module or package per sink, found by entry point."""
