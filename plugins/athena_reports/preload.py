"""Lets the scheduler import once what every task of a report needs.

A LocalExecutor forks its tasks from the scheduler's process, so what is imported there costs a task nothing:
boto3, the provider's operators and pyarrow are most of what a task of a report would spend. Airflow calls
`on_starting` in each component when it starts ("Listeners" in Airflow's documentation), and in each task.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.providers_manager import ProvidersManager

_MODULES = (
    "athena_reports.dag",
    "athena_reports.jsonlines",
    "athena_reports.result",
    "athena_reports.tally",
    "aiobotocore.session",
    "airflow.providers.amazon.aws.hooks.athena",
    "airflow.providers.standard.operators.empty",
    "boto3.s3.transfer",
    "pyarrow.acero",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
)


@hookimpl
def on_starting() -> None:
    """Import in a scheduler that forks tasks; by its command, for Airflow's component is not named yet."""
    if sys.argv[1:2] == ["scheduler"] and "LocalExecutor" in conf.get("core", "executor"):
        for name in _MODULES:
            import_module(name)
        import_module("pyarrow").array([0])  # imports pandas, where there is one
        # What each AWS hook does for its User-Agent: it asks for its provider's version, and looks for its
        # caller in the stack, for which Python goes through all modules unless it has done so before.
        ProvidersManager().initialize_providers_hooks()
        inspect.stack()
