"""The channels that a report is delivered to, as its author declares them."""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import AfterValidator, Field

from athena_reports.declaration import CONFIG, Declaration
from athena_reports.delivery.language import Language

AttachedFormat = Literal["xlsx", "csv"]
ChannelKind = Literal["mail", "slack", "notifier"]

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MOST_ROWS = 200  # a mail with more is cut off by its reader's program
_MOST_ROWS_IN_SLACK = 50


def _matching(pattern: str, advice: str) -> AfterValidator:
    """Return the validator of texts that match a pattern; `advice` is for those that do not."""

    def require(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(advice)
        return text

    return AfterValidator(require)


def _unique(addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


_Name = Annotated[
    str,
    _matching(
        "[a-z][a-z0-9_-]{0,39}",  # it is a task's id, and part of keys in S3
        "use up to 40 lower-case letters, digits, _ and -, starting with a letter",
    ),
]
_Address = Annotated[
    str,
    _matching(
        rf"{_ATOM}(\.{_ATOM})*@{_ATOM}(\.{_ATOM})*",  # without quotes (RFC 5322, 3.4.1)
        "expected an email address, such as sales@example.com",
    ),
]
_Addresses = Annotated[Sequence[_Address], Field(min_length=1), AfterValidator(_unique)]
_ColumnNames = Annotated[Sequence[str], AfterValidator(tuple)]
_SlackChannel = Annotated[
    str,
    _matching(
        r"#[^\s,#@]+|[CGD][A-Z0-9]{6,}",  # by its name, or by its id
        "expected a channel name, such as '#sales', or a channel id",
    ),
]
_ConnectionId = Annotated[str, Field(min_length=1)]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class _AnyChannel(Declaration):
    name: _Name
    _: KW_ONLY
    bar: str = ""
    language: Language = "en"


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=CONFIG)
class MailChannel(_AnyChannel):
    """Deliver by mail: the first rows in the mail, all of them in an attachment.

    Attributes:
        name: Name of the channel, up to 40 characters. A channel of another name is a new one, and
            begins with the next version.
        bar: A numeric column, shown as bars and with its total. It is the first measure.
        language: Of dates and sentences: `en` or `ja`.
        to: Addresses. They can change without making it a new channel.
        rows: How many of the first rows the mail shows, 1 to 200.
        columns: The columns of the table, in this order. By default rank, key with its name, up to
            four measures, and movement. The attachment has all columns. A `bar` that is not among
            them is shown as its total only.
        attach: `xlsx` for a workbook of all rows, `csv` for a CSV that spreadsheets read safely.
        conn_id: Airflow connection of type `smtp`.
    """

    kind: ClassVar[ChannelKind] = "mail"
    to: _Addresses
    rows: int = Field(default=20, ge=1, le=_MOST_ROWS)
    columns: _ColumnNames = ()
    attach: AttachedFormat | None = None
    conn_id: _ConnectionId = "smtp_default"


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=CONFIG)
class SlackChannel(_AnyChannel):
    """Deliver into a channel of Slack. It needs the extra `delivery`.

    Attributes:
        name: Name of the channel, see `mail`.
        bar: A numeric column whose total is shown.
        language: Of dates and sentences: `en` or `ja`.
        channel: The channel in Slack, such as `#sales`, or its id.
        rows: How many of the first rows are shown, 1 to 50.
        conn_id: Airflow connection of type `slack`.
    """

    kind: ClassVar[ChannelKind] = "slack"
    channel: _SlackChannel
    rows: int = Field(default=10, ge=1, le=_MOST_ROWS_IN_SLACK)
    conn_id: _ConnectionId = "slack_api_default"


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class NotifierChannel(_AnyChannel):
    """Deliver by a notifier of Airflow. It can neither attach a file nor reply to a message.

    Attributes:
        name: Name of the channel, see `mail`.
        bar: A numeric column whose total is shown.
        language: Of dates and sentences: `en` or `ja`.
        notifier: The notifier, whose templates have `delivery.subject` and `delivery.text`.
        rows: How many of the first rows the text shows, 1 to 200.
    """

    kind: ClassVar[ChannelKind] = "notifier"
    notifier: Any
    _: KW_ONLY
    rows: int = Field(default=10, ge=1, le=_MOST_ROWS)


Channel = MailChannel | SlackChannel | NotifierChannel

# What an author writes in `deliver=[...]`.
mail = MailChannel
slack = SlackChannel
notify = NotifierChannel
