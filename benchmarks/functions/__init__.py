"""Programs that run by themselves: the old function's shape, and what drives a function."""
