"""A DAG file that breaks no rule, for the tests to break."""

DAG_FILE = '''"""Plays, by an Airflow DAG."""

from athena_reports import Report, build_dag, weekly

plays = Report(
    name="plays",
    sql="plays.sql",
    since="2025-01-01",
    owner="analytics",
    doc=__doc__,
)
plays_weekly = build_dag(plays, weekly("sunday", timezone="Asia/Tokyo"))
'''
