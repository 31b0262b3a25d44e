"""The DAGs of docs/how-to/start-a-dag.md, which start when a report is published,
in a metadata database as Airflow fills it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow import settings as airflow_settings
from airflow.assets.manager import asset_manager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models import DagModel, DagRun, import_all_models
from airflow.models.asset import (
    AssetActive,
    AssetModel,
    DagScheduleAssetReference,
    TaskOutletAssetReference,
)
from airflow.models.base import Base
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.db import synchronize_log_template
from airflow.utils.session import create_session
from sqlalchemy import select, update

from athena_reports import monthly, weekly
from tests.support.airflow_versions import since_3_3
from tests.support.examples import consumers_dag_file
from tests.support.reports import DAGS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

WEEKLY, PERIODS = "top_users_weekly", "top_users_weekly_periods"


@pytest.fixture
def session(dags_folder: Path) -> Iterator[Session]:
    airflow_settings.initialize()
    import_all_models()
    Base.metadata.create_all(airflow_settings.engine)
    with create_session() as session:
        session.add(DagBundleModel(name="dags"))
        session.flush()
        synchronize_log_template(session=session)  # which every run refers to
        yield session
        session.rollback()
    Base.metadata.drop_all(airflow_settings.engine)


def parse(names: Sequence[str], folder: Path, session: Session) -> None:
    """Store the DAGs of each file in turn, as the DAG processor does."""
    (folder / "consumers.py").write_text(consumers_dag_file())
    shutil.copy(DAGS / "top_users.py", folder)
    for name in names:
        bag = DagBag(folder / f"{name}.py", bundle_path=folder, bundle_name="dags")
        assert bag.import_errors == {}
        sync_bag_to_db(bag, "dags", None, session=session)


@since_3_3
@pytest.mark.parametrize("names", [("top_users", "consumers"), ("consumers", "top_users")])
def test_a_consumer_and_the_report_mean_the_same_assets_whichever_is_parsed_first(
    names: Sequence[str], tmp_path: Path, session: Session
) -> None:
    parse(names, tmp_path, session)

    produced, consumed = (
        set(session.execute(select(AssetModel.name, AssetModel.uri).join(reference)).tuples())
        for reference in (TaskOutletAssetReference, DagScheduleAssetReference)
    )
    active = set(session.execute(select(AssetActive.name, AssetActive.uri)).tuples())
    assert consumed == {(name, name) for name in (WEEKLY, PERIODS)}
    assert consumed < produced == active


@since_3_3
def test_a_month_starts_once_all_its_weeks_are_published(tmp_path: Path, session: Session) -> None:
    parse(["top_users", "consumers"], tmp_path, session)
    session.execute(update(DagModel).values(is_paused=False))
    job = Job()
    session.add(job)
    session.flush()
    scheduler: Any = SchedulerJobRunner(job, executors=[])
    asset = session.scalars(select(AssetModel).where(AssetModel.name == PERIODS)).one()
    june, weeks = monthly("Asia/Tokyo").period("2025-06"), weekly("sunday", "Asia/Tokyo")
    keys = [week.id for week in weeks.overlapping(june)]

    started = []
    for key in [keys[-1], *keys[:-1]]:  # a backfill need not keep the order
        asset_manager.register_asset_change(asset=asset, partition_key=key, session=session)
        session.flush()
        scheduler._create_dagruns_for_partitioned_asset_dags(session)
        runs = session.execute(select(DagRun.dag_id, DagRun.partition_key)).tuples()
        started.append({key for dag_id, key in runs if dag_id == "after_all_weeks_of_a_month"})

    assert started == [set(), set(), set(), set(), {"2025-06"}]
    each = session.scalars(
        select(DagRun.partition_key).where(DagRun.dag_id == "after_each_week")
    ).all()
    assert sorted(each) == keys
