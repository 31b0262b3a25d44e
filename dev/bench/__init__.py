"""Benchmarks: this package beside what its user would write or install instead, in one run."""
