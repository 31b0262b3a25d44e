"""The DAG files that pages of docs/ show, for the reports of the tests."""

import re

from tests.support.paths import ROOT

ALERTS_PAGE = ROOT / "docs" / "how-to" / "alerts.md"
EVENTS_PAGE = ROOT / "docs" / "how-to" / "start-a-dag.md"
DELIVERY_PAGE = ROOT / "docs" / "how-to" / "deliver.md"


def alerts_dag_file(*, mail: bool = False) -> str:
    """The file of `alerts.md`, with the SQL of the tests; optionally with the mail too."""
    file, notifier = re.findall(r"```python\n(.*?)```", ALERTS_PAGE.read_text(), re.DOTALL)
    text = str(file).replace("best_users.sql", "top_users.sql")
    if mail:
        text = text.replace("best_users = Report", f"{notifier}best_users = Report")
        text = text.replace("[team]", "[team, mail]")
    return text


def consumers_dag_file() -> str:
    """The file of `start-a-dag.md`, for the report of the tests."""
    (block,) = (
        each
        for each in re.findall(r"```python\n(.*?)```", EVENTS_PAGE.read_text(), re.DOTALL)
        if "MONTHS" in each
    )
    return str(block).replace("user_ranking", "top_users")


def delivery_dag_file() -> str:
    """The file of `deliver.md`, with the SQL of the tests."""
    (file,) = re.findall(r"```python\n(.*?)```", DELIVERY_PAGE.read_text(), re.DOTALL)
    return str(file).replace("best_users.sql", "top_users.sql")
