"""Benchmarks: ratios of interleaved medians in one run, side by side with peers and with the bare compiled gradient."""
