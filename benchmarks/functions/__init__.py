"""Programs that run by themselves: a function like the old one, and a driver of functions."""
