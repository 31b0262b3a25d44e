"""An alert. Templates of a notifier can use some of it, as `alert`."""

from dataclasses import dataclass
from html import escape

_LONGEST_SUBJECT = 99  # characters; SNS takes no more


@dataclass(frozen=True)
class Alert:
    """One alert about a period of a report.

    Attributes:
        dag_id: The report's DAG, or the DAG beside it if that one failed itself.
        period_id: Id of the period; the text "unknown" if it is not known.
        environment: Name of the environment.
        problem: What happened to the period, such as "is late". It follows the period's id.
        reason: Why.
        next_step: What to do about it.
        url: The page of the DAG or its run in Airflow.
    """

    dag_id: str
    period_id: str
    environment: str
    problem: str
    reason: str
    next_step: str
    url: str

    @property
    def subject(self) -> str:
        """The alert in one line, short enough for SNS."""
        subject = f"{self.environment}: {self.dag_id} {self.period_id} {self.problem}"
        return subject[:_LONGEST_SUBJECT]

    @property
    def message(self) -> str:
        """The alert as plain text."""
        return f"{self._headline}\nReason: {self.reason}\nNext step: {self.next_step}\n{self.url}"

    @property
    def html(self) -> str:
        """The alert as HTML. A reason can quote values of rows, so all texts are escaped."""
        url = escape(self.url)
        return (
            f"<p><strong>{_html_text(self._headline)}</strong></p>\n"
            f"<p>Reason: {_html_text(self.reason)}</p>\n"
            f"<p>Next step: {_html_text(self.next_step)}</p>\n"
            f'<p><a href="{url}">{url}</a></p>'
        )

    @property
    def _headline(self) -> str:
        return (
            f"{self.dag_id}, period {self.period_id}, environment {self.environment}: "
            f"{self.problem}."
        )


def _html_text(text: str) -> str:
    return escape(text).replace("\n", "<br>\n")
