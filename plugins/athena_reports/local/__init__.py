"""Airflow and what it needs on this machine, as processes.

The demo, the tests and the benchmarks use it.
"""
