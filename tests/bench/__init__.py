"""Benchmarks: speed and memory, as ratios to a reference that runs in the same minute. Not collected by pytest."""
