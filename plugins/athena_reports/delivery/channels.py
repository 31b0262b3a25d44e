"""The channels that a report is delivered to, as its author declares them."""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY
from email.errors import MessageError
from email.headerregistry import Address
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from athena_reports.declaration import CONFIG, Declaration
from athena_reports.delivery.language import Language

AttachedFormat = Literal["xlsx", "csv"]
ChannelKind = Literal["mail", "slack", "notifier"]

_NAME_PATTERN = "[a-z][a-z0-9_-]{0,39}"  # it is a task's id, and part of keys in S3
_SLACK_CHANNEL = r"#[^\s,#@]+|[CGD][A-Z0-9]{6,}"  # by its name, or by its id
_MOST_ROWS = 200  # a mail with more is cut off by its reader's program
_MOST_ROWS_IN_SLACK = 50


def _require_name(name: str) -> str:
    if not re.fullmatch(_NAME_PATTERN, name):
        raise ValueError("use up to 40 lower-case letters, digits, _ and -, with a letter first")
    return name


def _require_slack_channel(channel: str) -> str:
    if not re.fullmatch(_SLACK_CHANNEL, channel):
        raise ValueError("expected a channel such as '#sales', or its id")
    return channel


def _refuse_text(texts: object) -> object:
    if isinstance(texts, str):
        raise ValueError(f"expected a list, such as [{texts!r}]")
    return texts


def _require_addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    if not addresses:
        raise ValueError("expected at least one address")
    if len(set(addresses)) < len(addresses):
        raise ValueError("name each address once")
    for address in addresses:
        _require_address(address)
    return tuple(addresses)


def _require_address(address: str) -> None:
    try:
        parsed = Address(addr_spec=address)
    except (ValueError, IndexError, MessageError):
        parsed = Address()
    is_plain = address.isascii() and address.isprintable() and " " not in address
    if not (parsed.username and parsed.domain and is_plain):
        raise ValueError(f"{address!r} is not a mail address, such as sales@example.com")


_Name = Annotated[str, AfterValidator(_require_name)]
_Addresses = Annotated[
    Sequence[str], BeforeValidator(_refuse_text), AfterValidator(_require_addresses)
]
_ColumnNames = Annotated[Sequence[str], BeforeValidator(_refuse_text), AfterValidator(tuple)]
_SlackChannel = Annotated[str, AfterValidator(_require_slack_channel)]
_ConnectionId = Annotated[str, Field(min_length=1)]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class MailChannel(Declaration):
    """Deliver by mail: the first rows in the mail, all of them in an attachment.

    Attributes:
        name: Name of the channel, up to 40 characters. A channel of another name is a new one, and
            begins with the next version.
        to: Addresses. They can change without making it a new channel.
        rows: How many of the first rows the mail shows, 1 to 200.
        bar: A numeric column, shown as bars and with its total. It is the first measure.
        columns: The columns of the table, in this order. By default rank, key with its name, up to
            four measures, and movement. The attachment has all columns.
        attach: `xlsx` for a workbook of all rows, `csv` for a CSV that spreadsheets read safely.
        language: Of dates, numbers and sentences: `en` or `ja`.
        conn_id: Airflow connection of type `smtp`.
    """

    kind: ClassVar[ChannelKind] = "mail"
    name: _Name
    _: KW_ONLY
    to: _Addresses
    rows: int = Field(default=20, ge=1, le=_MOST_ROWS)
    bar: str = ""
    columns: _ColumnNames = ()
    attach: AttachedFormat | None = None
    language: Language = "en"
    conn_id: _ConnectionId = "smtp_default"

    @pydantic.model_validator(mode="after")
    def _require_bar_in_table(self) -> Self:
        names = {name.lower() for name in self.columns}
        if self.bar and names and self.bar.lower() not in names:
            self.refuse(
                "bar", f"columns does not include {self.bar!r}. Add it there, or remove bar=."
            )
        return self


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class SlackChannel(Declaration):
    """Deliver into a channel of Slack. It needs the extra `delivery`.

    Attributes:
        name: Name of the channel, see `mail`.
        channel: The channel in Slack, such as `#sales`, or its id.
        rows: How many of the first rows are shown, 1 to 50.
        bar: A numeric column whose total is shown.
        language: Of dates, numbers and sentences: `en` or `ja`.
        conn_id: Airflow connection of type `slack`.
    """

    kind: ClassVar[ChannelKind] = "slack"
    name: _Name
    _: KW_ONLY
    channel: _SlackChannel
    rows: int = Field(default=10, ge=1, le=_MOST_ROWS_IN_SLACK)
    bar: str = ""
    language: Language = "en"
    conn_id: _ConnectionId = "slack_api_default"


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class NotifierChannel(Declaration):
    """Deliver by a notifier of Airflow. It can neither attach a file nor reply to a message.

    Attributes:
        name: Name of the channel, see `mail`.
        notifier: The notifier, whose templates have `delivery.subject` and `delivery.text`.
        rows: How many of the first rows the text shows, 1 to 200.
        bar: A numeric column whose total is shown.
        language: Of dates, numbers and sentences: `en` or `ja`.
    """

    kind: ClassVar[ChannelKind] = "notifier"
    name: _Name
    notifier: Any
    _: KW_ONLY
    rows: int = Field(default=10, ge=1, le=_MOST_ROWS)
    bar: str = ""
    language: Language = "en"


Channel = MailChannel | SlackChannel | NotifierChannel

# What an author writes in `deliver=[...]`.
mail = MailChannel
slack = SlackChannel
notify = NotifierChannel
