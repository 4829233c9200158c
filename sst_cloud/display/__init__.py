"""Readings and usage as HTML, data frames and plots."""
