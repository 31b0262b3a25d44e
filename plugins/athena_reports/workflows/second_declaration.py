"""Rejects a report that another DAG file declares too.

Airflow parses each file by itself. If two have a DAG of one id, each parse replaces the DAG of the
other file.
"""

import ast
from functools import cache
from pathlib import Path

from airflow.configuration import conf
from airflow.sdk import get_parsing_context

from athena_reports.declaration import author_file
from athena_reports.reports.report import Report
from athena_reports.workflows.dag_files import dag_files


def refuse_second_declaration(report: Report) -> None:
    """Raise ReportError if a DAG file that sorts before this one declares the report too."""
    folder = Path(conf.get_mandatory_value("core", "dags_folder")).resolve()
    is_for_a_task = get_parsing_context().task_id is not None
    file = author_file()
    if is_for_a_task or not file.is_relative_to(folder):
        return  # the DAG processor has parsed a task's file before, and accepted it
    files = _declaring_files(report.name, folder)
    if file in files[1:]:  # the first of them keeps the name
        report.refuse(
            "name",
            f"{file} and {files[0]} both declare it, so their DAG ids are the same. "
            "Give it another name, or import the report from the other file.",
        )


@cache
def _declaring_files(report_name: str, folder: Path) -> list[Path]:
    sources = _sources(folder)
    return sorted(path for path, source in sources.items() if _declares(source, report_name))


# A command imports all DAG files in one process, and each would read all others.
@cache
def _sources(folder: Path) -> dict[Path, bytes]:
    return {path.resolve(): path.read_bytes() for path in dag_files(folder)}


def _declares(source: bytes, report_name: str) -> bool:
    if report_name.encode() not in source:
        return False
    try:
        nodes = ast.walk(ast.parse(source))
    except (SyntaxError, ValueError):
        return False  # Airflow shows its import error
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Report"):
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if arguments.get("name") == repr(report_name):
                return True
    return False
