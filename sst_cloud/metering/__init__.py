"""Totals of meters: plausibility, usage, the report to the water utility. Pure functions."""
