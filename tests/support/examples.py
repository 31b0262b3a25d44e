"""The DAG files that pages of docs/ show, for the reports of the tests."""

from pathlib import Path

from tests.support.code_blocks import blocks_of
from tests.support.paths import ROOT

ALERTS_PAGE = ROOT / "docs" / "how-to" / "alerts.md"
EVENTS_PAGE = ROOT / "docs" / "how-to" / "start-a-dag.md"
DELIVERY_PAGE = ROOT / "docs" / "how-to" / "deliver.md"


def alerts_dag_file(*, mail: bool = False) -> str:
    """The file of `alerts.md`, with the SQL of the tests; optionally with the mail too."""
    file, notifier = _python_of(ALERTS_PAGE)
    text = file.replace("best_users.sql", "top_users.sql")
    if mail:
        text = text.replace("best_users = Report", f"{notifier}best_users = Report")
        text = text.replace("[team]", "[team, mail]")
    return text


def consumers_dag_file() -> str:
    """The file of `start-a-dag.md`, for the report of the tests."""
    (file,) = [block for block in _python_of(EVENTS_PAGE) if "MONTHS" in block]
    return file.replace("user_ranking", "top_users")


def delivery_dag_file() -> str:
    """The file of `deliver.md`, with the SQL of the tests."""
    (file,) = _python_of(DELIVERY_PAGE)
    return file.replace("best_users.sql", "top_users.sql")


def _python_of(page: Path) -> list[str]:
    return [block.text for block in blocks_of(page) if block.language == "python"]
