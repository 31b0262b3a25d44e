"""
# A report

An Airflow report, named by its file.
"""

from pathlib import Path

from athena_reports import Report, build_dag, monthly, weekly

name = Path(__file__).stem
report = Report(name=name, sql=f"{name}.sql", owner="analytics", since="2025-01-01", params={"top": 100}, doc=__doc__)
weekly_dag = build_dag(report, weekly(first_day="sunday", timezone="Asia/Tokyo"))
monthly_dag = build_dag(report, monthly(timezone="Asia/Tokyo"))
