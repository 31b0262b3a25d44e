"""Which alerts share a record of who was told."""

from pathlib import Path

from athena_reports.alerts.kinds import all_clear_record, failure_record, late_record


def test_each_time_that_a_run_is_cleared_has_records_of_its_own(sql_folder: Path) -> None:
    records = [
        record("plays_weekly", "scheduled__1", clear_number)
        for record in (failure_record, late_record, all_clear_record)
        for clear_number in range(4)
    ]
    assert len({record.uri for record in records}) == len(records)
