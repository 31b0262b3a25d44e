"""A report for its readers, as Markdown: the template `templates/docs.md.jinja`."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.text_templates import text_templates

_MARKUP = re.compile(r"([\\`*\[\]|])")


def markdown(dags: Sequence[DeclaredReport]) -> str:
    """Return what a report counts, when, from what, and where the DAGs of it publish."""
    first = dags[0]
    report = first.report
    description = first.dag.doc_md or f"# {report.name}"
    document = (
        text_templates()
        .get_template("docs.md.jinja")
        .render(
            description=description.strip(),
            report=report,
            key=", ".join(map(_cell, report.row_key)),
            late_hours=report.late_by / timedelta(hours=1),
            dags=dags,
            database=settings().report_database,
            cell=_cell,
            date=_local_date,
        )
    )
    return document.rstrip("\n")


def _local_date(instant: datetime | None, declared: DeclaredReport) -> str:
    """Return the date of an instant in the zone of a report; an empty text for None."""
    if instant is None:
        return ""
    return instant.astimezone(declared.cadence.zone).date().isoformat()


def _cell(text: str) -> str:
    """Return a text as one cell of a table, without line breaks and without a meaning as markup."""
    one_line = " ".join(text.split())
    without_html = escape(one_line, quote=False)
    return _MARKUP.sub(r"\\\1", without_html)
