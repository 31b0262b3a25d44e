"""What a task raises if Airflow is to try it again."""

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)


def raises_retried(match: str | None = None) -> pytest.RaisesExc[AirflowException]:
    """Expect an error that Airflow retries.

    `pytest.raises(AirflowException)` would also take one that fails the task for good or skips it.
    """
    return pytest.raises(AirflowException, match=match, check=_is_retried)


def _is_retried(error: AirflowException) -> bool:
    is_final = isinstance(error, AirflowFailException | AirflowSensorTimeout | AirflowSkipException)
    return not is_final
