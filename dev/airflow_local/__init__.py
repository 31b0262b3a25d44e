"""Airflow and what it needs on this machine, as processes: for the demo, the tests and the benchmarks."""
