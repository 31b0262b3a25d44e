"""Lets the scheduler do once what every task of a report would do again.

A LocalExecutor forks its tasks from the scheduler's process, so what is there costs a task nothing: boto3,
the provider's operators and pyarrow, the models of the AWS services, the sources that each AWS hook looks
through for its User-Agent, and what a first DAG file loads are most of what a task of a report would spend.
Airflow calls `on_starting` in each component when it starts ("Listeners" in Airflow's documentation), and in
each task.
"""

from __future__ import annotations

import inspect
import linecache
import logging
import os
import sys
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Asset, Param

from athena_reports.sql import template_problem

_log = logging.getLogger(__name__)

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


_SERVICES = ("athena", "glue", "s3")
_ON_THE_STACK = (
    "airflow.executors.base_executor",
    "airflow.executors.local_executor",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.amazon.aws.utils.suppress",
    "airflow.providers.standard.operators.python",
    "airflow.sdk.bases.operator",
    "airflow.sdk.execution_time.callback_runner",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "athena_reports.operators",
    "contextlib",
    "functools",
    "multiprocessing.context",
    "multiprocessing.popen_fork",
    "multiprocessing.process",
)
"""Modules whose functions call each other when a task asks for an AWS client."""


@hookimpl
def on_starting() -> None:
    """Prepare a scheduler that forks tasks. Its command tells: Airflow has not named its component yet."""
    if sys.argv[1:2] == ["scheduler"] and "LocalExecutor" in conf.get("core", "executor"):
        _prepare(os.environ.get("AWS_DEFAULT_REGION") or "us-east-1")


@cache  # a task is a fork, in which Airflow calls again
def _prepare(region: str) -> None:
    for step in (_import, _know_the_stack, _parse_once, partial(_keep_service_models, region)):
        try:
            step()
        except Exception:  # no scheduler may fail for what only saves time
            _log.warning("The tasks of reports start slower than they could.", exc_info=True)


def _import() -> None:
    for name in _MODULES:
        import_module(name)
    import_module("pyarrow").array([0])  # imports pandas, where there is one


def _know_the_stack() -> None:
    """Do what each AWS hook does for its User-Agent.

    It asks for its provider's version, and looks for its caller in the stack, for which Python goes through
    all modules and reads their sources.
    """
    ProvidersManager().initialize_providers_hooks()
    for name in _ON_THE_STACK:
        linecache.getlines(str(import_module(name).__file__))
    inspect.stack()


def _parse_once() -> None:
    """Do for the first time what a report's DAG file does: what Airflow, Jinja and jsonschema then keep."""
    Asset("s3://bucket/key")
    Param("", type="string").resolve()
    template_problem('{{ period.partitions("dt") }}', {}, Path())


def _keep_service_models(region: str) -> None:
    """Let botocore's sessions share the models of the services that were read.

    Each session has a loader of its own, which would parse some megabytes of JSON again.
    """
    session: Any = import_module("botocore.session")
    create_loader = session.create_loader
    models: dict[str | None, Any] = {None: create_loader(None)._cache}  # before anything depends on it

    def create_sharing_loader(data_path: str | None = None) -> Any:
        loader = create_loader(data_path)
        loader._cache = models.setdefault(data_path, loader._cache)
        return loader

    session.create_loader = create_sharing_loader
    for service in _SERVICES:
        import_module("boto3.session").Session().client(
            service, region_name=region, aws_access_key_id="none", aws_secret_access_key="none"
        )
