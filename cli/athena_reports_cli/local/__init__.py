"""Airflow and what it needs on this machine, as processes.

`up`, the commands that need services and the check of a bundle use it. So do the demo, the tests
and the benchmarks of the repository.
"""
