"""`calendar.json`: the environment that a report's folder belongs to, and its kind of periods.

A folder has one environment and one calendar. Two environments would overwrite each other's
reports. The ids of two kinds of week look alike, and so do those of two time zones.
"""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel

from athena_reports.errors import PublishError
from athena_reports.periods.calendar import Cadence, Unit, Weekday, noun_of, weekday_of
from athena_reports.publication.manifest import PublicationFacts


class CalendarError(PublishError):
    """A folder belongs to another environment, or has periods of another calendar."""

    retryable = False


class PublishedCalendar(BaseModel, frozen=True):
    """`calendar.json`, which is read and written through this model.

    Attributes:
        calendar_format: The form of this document.
        environment: The environment that the folder belongs to.
        report: Name of the report.
        cadence: The unit of its periods, such as `weekly`.
        timezone: IANA name of the zone at whose midnights they begin.
        first_day: The day that its weeks begin on; None for other units.
    """

    calendar_format: Literal[1] = 1
    environment: str
    report: str
    cadence: Unit
    timezone: str
    first_day: Weekday | None

    @classmethod
    def of(cls, environment: str, report: str, cadence: Cadence) -> Self:
        """Return the calendar that a report has in an environment and a cadence."""
        return cls(
            environment=environment,
            report=report,
            cadence=cadence.unit,
            timezone=cadence.timezone,
            first_day=cadence.first_day,
        )

    @classmethod
    def of_facts(cls, facts: PublicationFacts) -> Self:
        """Return the calendar that a publication, such as a manifest, is of."""
        return cls(
            environment=facts.environment,
            report=facts.report,
            cadence=facts.period.cadence,
            timezone=facts.period.timezone,
            first_day=first_day_of(facts.period.cadence, facts.period.id),
        )

    @property
    def description(self) -> str:
        """The calendar for people: "weeks from Sunday in Asia/Tokyo"."""
        periods = f"{noun_of(self.cadence)}s"
        if self.first_day is not None:
            periods += f" from {self.first_day.capitalize()}"
        return f"{periods} in {self.timezone}"

    def conflict_with(self, other: Self, folder_uri: str) -> str:
        """Say why another calendar cannot have the same folder; empty if it is the same one.

        Args:
            other: The calendar of the report that wants to publish there.
            folder_uri: The address of the folder, for the message.
        """
        if self.environment != other.environment:
            return (
                f"{folder_uri} belongs to the environment {self.environment}, and this is "
                f"{other.environment}: each would overwrite the reports of the other. Let one of "
                "them publish to another bucket (ATHENA_REPORTS_BUCKET), or under another report "
                "name."
            )
        # The descriptions have all that makes a calendar: unit, first day and time zone.
        if self.description != other.description:
            return (
                f"{folder_uri} has {self.description}, and this report has {other.description}: "
                "their ids do not tell them apart. Give the report a new name, or its old cadence "
                "again."
            )
        return ""


def first_day_of(cadence: str, period_id: str) -> Weekday | None:
    """Return the day that a week begins on, by its id.

    None for another cadence, and for an id that is not a date. The id is the nominal first date.
    The local start would not do: a zone can skip that date.
    """
    if cadence != "weekly":
        return None
    try:
        return weekday_of(date.fromisoformat(period_id))
    except ValueError:
        return None
