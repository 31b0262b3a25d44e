"""A metadata database as Airflow fills it: the DAGs of reports, and their runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow import settings as airflow_settings
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models import DagRun, import_all_models
from airflow.models.base import Base
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.db import synchronize_log_template
from airflow.utils.session import create_session
from pydantic import BaseModel
from sqlalchemy.orm import Session

from athena_reports.periods.calendar import Period
from athena_reports.scheduling.asset_partitions import HAS_KEYED_EVENTS
from tests.support.calendars import WEEKS

_WEEK = WEEKS.period("2026-03-01")
DAGS = '''
"""DAGs of Airflow.

A report in two cadences, one that ended and has no table, one that is delivered, one that reads
another, and three DAGs that are no reports.
"""
from datetime import datetime

from airflow.sdk import DAG
from athena_reports import Published, Report, build_dag, mail, monthly, weekly
from athena_reports.scheduling.timetable import PeriodTimetable

plays = Report(name="plays", sql="plays.sql", since="2026-03-01")
plays_weekly = build_dag(plays, weekly("sunday", "Asia/Tokyo"))
plays_monthly = build_dag(plays, monthly("Asia/Tokyo"))
texts = Report(
    name="texts", sql="plays.sql", since="2026-03-01", until="2026-03-15", outputs=["csv"]
)
texts_weekly = build_dag(texts, weekly("sunday", "Asia/Tokyo"))
sent = Report(name="sent", sql="plays.sql", since="2026-03-01")
sent_weekly = build_dag(
    sent,
    weekly("sunday", "Asia/Tokyo"),
    deliver=[mail("sales", to=["a@example.com"]), mail("board", to=["b@example.com"])],
)
sums = Report(
    name="sums",
    sql="plays.sql",
    since="2026-03-01",
    inputs=[Published("plays", weekly("sunday", "Asia/Tokyo"))],
)
sums_weekly = build_dag(sums, weekly("sunday", "Asia/Tokyo"))
tagged = DAG(
    "tagged_weekly",
    schedule="@weekly",
    start_date=datetime(2026, 3, 1),
    tags=["athena-report"],
)
undated = DAG("undated_weekly", schedule=PeriodTimetable(weekly("sunday")), tags=["athena-report"])
other = DAG("other", schedule=None)
'''


@contextmanager
def database(folder: Path, filled: Path) -> Iterator[Session]:
    """A database in which the DAG processor has stored the DAGs.

    Args:
        folder: An empty one, for the DAGs.
        filled: Where the first test keeps the database for the others: it takes half a second to
            fill.
    """
    airflow_settings.dispose_orm(do_log=False)  # of a DAG file that has asked for a connection
    airflow_settings.initialize()
    file = Path(str(airflow_settings.engine.url.database))
    if filled.exists():
        shutil.copyfile(filled, file)
    else:
        _fill(folder)
        airflow_settings.engine.dispose()
        # Without a connection, SQLite has moved its write-ahead log into the file.
        assert not file.with_name(f"{file.name}-wal").exists()
        shutil.copyfile(file, filled)
    with create_session() as session:
        yield session
        session.rollback()
    airflow_settings.engine.dispose()
    file.unlink()


def _fill(folder: Path) -> None:
    import_all_models()
    Base.metadata.create_all(airflow_settings.engine)
    (folder / "dags").mkdir()
    # Deliveries require Airflow 3.3.
    text = DAGS if HAS_KEYED_EVENTS else re.sub(r"    deliver=.*\n", "", DAGS)
    (folder / "dags" / "reports.py").write_text(text)
    with create_session() as session:
        session.add(DagBundleModel(name="dags"))
        session.flush()
        synchronize_log_template(session=session)  # which every run refers to
        bag = DagBag(folder / "dags", bundle_path=folder / "dags", bundle_name="dags")
        assert bag.import_errors == {}
        sync_bag_to_db(bag, "dags", None, session=session)


def add_run(
    session: Session,
    run_id: str,
    state: str,
    *,
    ended: datetime | None = None,
    run_type: str = "manual",
    dag_id: str = "plays_weekly",
    **fields: Any,
) -> None:
    """Store a run as Airflow stores one that the API triggers.

    It has no logical date unless `fields` have it.
    """
    run = DagRun(dag_id, run_id, run_type=run_type, run_after=_WEEK.end_utc, state=state, **fields)
    run.end_date = ended
    session.add(run)
    session.flush()


def add_task(
    session: Session,
    run_id: str,
    task_id: str,
    state: str | None,
    xcoms: Mapping[str, BaseModel] | None = None,
    *,
    dag_id: str = "plays_weekly",
    try_number: int = 0,
) -> None:
    """Store a task of a run, in a state, with what it has pushed."""
    dag = SerializedDagModel.get_dag(dag_id, session=session)
    assert dag is not None
    version = DagVersion.get_latest_version(dag_id, session=session)
    assert version is not None
    task = TaskInstance(
        next(iter(dag.tasks)), run_id=run_id, state=state, dag_version_id=version.id
    )
    task.task_id = task_id
    task.try_number = try_number
    session.add(task)
    session.flush()
    for key, value in (xcoms or {}).items():
        stored = value.model_dump(mode="json")  # as the Execution API stores it
        XComModel.set(
            key,
            stored,
            dag_id=dag_id,
            task_id=task_id,
            run_id=run_id,
            serialize=False,
            session=session,
        )


def dated(period: Period) -> dict[str, Any]:
    return {"logical_date": period.start_utc, "data_interval": (period.start_utc, period.end_utc)}
