"""Registers the library with an Airflow that has it in its plugins folder."""

from importlib.metadata import distributions
from pathlib import Path

from athena_reports.plugin import AthenaReportsPlugin

__all__ = ["AthenaReportsPlugin"]


def _refuse_an_installed_library() -> None:
    """Raise an error if pip has installed the library too; Airflow shows it among its plugins.

    Airflow appends the plugins folder to the path, so what pip has installed is imported. It
    registers its own plugin. Without this error, Airflow 3.2 would say in a warning alone that
    there are two plugins of a name, and no version why.
    """
    installed = list(distributions(name="athena-reports"))
    if installed:
        raise ImportError(
            f"athena-reports {installed[0].version} is installed with pip, but the plugins folder"
            f" {Path(__file__).parent} also contains the library. Airflow uses the installed one."
            " Remove athena-reports from requirements.txt, or the library from the plugins folder."
        )


_refuse_an_installed_library()
