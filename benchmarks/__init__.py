"""What is promised to be fast, measured side by side and told as ratios.

Absolute times mean little on a machine that does other things too; a ratio of two things measured
in turn, in one run, means much. So every figure here is the median of such ratios.
"""
