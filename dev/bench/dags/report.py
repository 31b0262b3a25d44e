"""A report of Airflow, named by its file."""

from pathlib import Path

from athena_reports import Input, Report, build_dag, monthly, weekly

name = Path(__file__).stem
plays = Input("plays", "dt", previous=True)
facts = {"owner": "analytics", "since": "2025-01-01", "params": {"top": 100}, "doc": __doc__}
report = Report(name=name, sql=f"{name}.sql", inputs=[plays], **facts)
weekly_dag = build_dag(report, weekly(first_day="sunday", timezone="Asia/Tokyo"))
monthly_dag = build_dag(report, monthly(timezone="Asia/Tokyo"))
