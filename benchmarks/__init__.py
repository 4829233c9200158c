"""Speed and memory against their limits, mostly as ratios to a baseline.

Absolute times mean little on a busy machine; the ratio of two things that are measured in turn,
in one run, is stable. So times are given as medians of such ratios.
"""
