"""Marks of tests that an Airflow older than the pinned one cannot pass."""

import pytest

from athena_reports.scheduling.asset_partitions import HAS_KEYED_EVENTS

# Deliveries, schedules by published periods, notes of executions, and a trigger's `on_kill`.
since_3_3 = pytest.mark.skipif(not HAS_KEYED_EVENTS, reason="requires Airflow 3.3")
