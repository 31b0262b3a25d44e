"""What the Airflow of a test is set up with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.reports import SQL

if TYPE_CHECKING:
    from athena_reports_cli.local.services import Services

# Airflow's own patience, in seconds, so that a test does not wait for it;
# the defaults are beside it.
PATIENCE = {
    "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "1",  # a day
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "8",  # 300
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",  # 10
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",  # 5
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",  # 5
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",  # 30
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",  # 300
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",  # 15
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",  # 5
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",  # 30
}


def environment_of_reports(services: Services) -> dict[str, str]:
    """The variables of an Airflow whose reports use these services, and wait for no schedule."""
    return {
        **services.environment,
        **PATIENCE,
        "ATHENA_REPORTS_ENV": "dev",
        "ATHENA_REPORTS_SQL_FOLDER": str(SQL),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }
