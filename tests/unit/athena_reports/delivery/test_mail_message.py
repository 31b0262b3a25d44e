"""Mails, read back as a mail program reads them."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.delivery.content import Content, ContentColumn
from athena_reports.delivery.language import Language
from athena_reports.delivery.mail_message import Attachment, html_part, mail_message
from athena_reports.delivery.sentences import subject
from athena_reports.delivery.table_columns import TableColumns
from athena_reports.rows.differences import Change
from tests.support.mail_page import Page
from tests.unit.athena_reports.delivery.contents import (
    HOSTILE,
    LANGUAGES,
    PAGE_URL,
    QUERY_URL,
    all_columns,
    bare_content,
    content,
    corrected,
    html_of,
    require_cells,
    shown,
    spoken,
    tables,
    text_of,
)

ENVELOPE: dict[str, Any] = {
    "sender": Address("Reports", addr_spec="reports@example.com"),
    "to": ["a@example.com", "b@example.com"],
    "message_id": "<v1.sales.0@reports.example.com>",
}
LONG_ID = f"<{'v' * 60}.{'c' * 60}.0@reports.example.com>"
# HTML that shows what is in the rows would have these tags or attributes from them.
KNOWN_TAGS = set(
    "html head meta title style body div p h1 ul li table tr th td span br wbr a strong".split()  # noqa: SIM905
)


HEADERS = [
    "auto-submitted",
    "content-language",
    "content-type",
    "date",
    "from",
    "message-id",
    "mime-version",
    "subject",
    "to",
]


def mail_of(made: Content, language: Language = "en", **changes: Any) -> EmailMessage:
    """A mail with all columns, for the envelope with some changes."""
    return mail_message(made, all_columns(made), language, **ENVELOPE | changes)


def sent(message: EmailMessage) -> EmailMessage:
    """The message as it is after the wire."""
    return email.message_from_bytes(message.as_bytes(), policy=default)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text


@given(tables(), st.sampled_from(LANGUAGES))
def test_the_table_of_the_html_has_each_value_and_nothing_else(
    made: Content, language: Language
) -> None:
    page = Page.of(html_of(made, language))
    assert page.tags <= KNOWN_TAGS
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.addresses == [PAGE_URL, QUERY_URL]
    if not made.rows:
        assert page.table == []
        return
    headers = [header for header in page.headers if header]
    assert headers == [shown(column.name) for column in made.columns]
    require_cells(page.table, made)


TABLE = """\
rank  user_id  user_name  score (points)  previous_rank  movement
----  -------  ---------  --------------  -------------  --------
   1  u1       Aiko              184,230              3  up 2
   2  u2       –                  92,115              –  new
   3  u3       千葉               61,410              1  down 2"""


def test_the_text_has_one_empty_line_between_its_parts() -> None:
    correction = corrected(added=1, columns_added=("level",))
    whole = content(correction=correction, warned_checks=("score < 1",))
    without = content(rows=(), total_rows=0, total=None, movement=None, page_url="", query_url="")
    for made, table in ((whole, TABLE), (without, "")):
        said = spoken(made, "en")
        parts = [
            *said.notices,
            said.headline,
            "\n".join([*said.figures, *said.differences]),
            table,
            "\n".join([*said.left_out, *said.movement]),
            "\n".join(f"{link.text}: {link.url}" for link in said.links),
            said.origin,
        ]
        assert text_of(made, "en") == "\n\n".join(filter(None, parts)) + "\n"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_in_the_data_changes_no_header_and_no_part(hostile: str) -> None:
    correction = corrected(
        changed=1,
        columns={hostile: 1},
        paired_by=(hostile,),
        examples=(Change(kind="changed", key=(hostile,), columns={hostile: (None, hostile)}),),
    )
    made = bare_content(
        [ContentColumn(hostile or "name", "VARCHAR", hostile)],
        (hostile,),
        report=hostile or "ranking",
        environment=hostile or "prd",
        version=hostile,
        correction=correction,
        warned_checks=(hostile,),
    )
    for language in LANGUAGES:
        message = sent(mail_of(made, language))
        names = [name.lower() for name in message]
        assert sorted(names) == HEADERS
        assert message["Subject"] == subject(made, language)
        addresses = [address.addr_spec for address in message["To"].addresses]
        assert addresses == ENVELOPE["to"]
        page = Page.of(body(message, "html"))
        assert page.tags <= KNOWN_TAGS
        assert page.addresses == [PAGE_URL, QUERY_URL]


def test_the_headers_are_those_of_the_envelope() -> None:
    now = datetime(2026, 11, 22, 0, 8, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        message = sent(mail_of(content(), thread="<first@example.com>"))
    assert message["From"] == "Reports <reports@example.com>"
    addresses = [address.addr_spec for address in message["To"].addresses]
    assert addresses == ENVELOPE["to"]
    assert message["Message-ID"] == "<v1.sales.0@reports.example.com>"
    assert message["In-Reply-To"] == message["References"] == "<first@example.com>"
    assert message["Date"].datetime == now
    assert message["Subject"] == "ranking: week of 15 to 21 Nov 2026"
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "text/html"]


def test_long_message_ids_stay_as_they_are() -> None:
    message = mail_of(content(), message_id=LONG_ID, thread=LONG_ID)
    # Also as Airflow's hook and smtplib write it.
    for wire in (message.as_bytes(), message.as_bytes(policy=SMTP), message.as_string().encode()):
        lines = wire.replace(b"\r\n", b"\n").replace(b"\n ", b" ").split(b"\n")
        headers = [line for line in lines if b"reports.example.com" in line][:3]
        assert headers == [
            f"{name}: {LONG_ID}".encode() for name in ("Message-ID", "In-Reply-To", "References")
        ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_is_ascii_in_short_lines(language: Language) -> None:
    long = content(rows=((1, "x" * 2000, "千" * 500, 4, None, "up"),), correction=None)
    for made in (content(), long):
        wire = mail_of(made, language).as_bytes()
        assert wire.isascii()
        assert wire.count(b"Content-Transfer-Encoding: quoted-printable\r\n") == 2
        assert max(map(len, wire.split(b"\r\n"))) <= 998
        assert b"\n" not in wire.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("mime_type", "charset"), [("text/csv", "utf-8"), ("application/vnd.ms-excel", None)]
)
def test_an_attachment_goes_with_it(mime_type: str, charset: str | None) -> None:
    attachment = Attachment("ranking_2026-11-15.csv", b"a,b\r\n1,\xff\n", mime_type)
    message = sent(mail_of(content(), attachment=attachment))
    (part,) = message.iter_attachments()
    assert part.get_filename() == "ranking_2026-11-15.csv"
    assert (part.get_content_type(), part.get_content_charset()) == (mime_type, charset)
    assert part.get_payload(decode=True) == b"a,b\r\n1,\xff\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_text_is_cut_and_the_mail_stays_small(language: Language) -> None:
    row = ("user-12345678", "A name of some length", 123_456_789, 7, "up 3")
    rows = tuple((number, *row) for number in range(20))
    html = html_of(content(rows=rows), language)
    assert len(html.encode()) < 20_000
    long = html_of(content(rows=((1, "x" * 100_000, "y", 5, 1, "same"),)), language)
    assert len(long.encode()) < 20_000
    assert "x" * 199 + "…" in long


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_html_has_all_parts_in_the_order_in_which_they_are_read(language: Language) -> None:
    correction = corrected(added=1, columns_added=("level",), columns_removed=("age",))
    whole = content(correction=correction, warned_checks=("score < 1",), provisional=True)
    for made in (whole, content(rows=(), total_rows=0, total=None, missing_partitions=1)):
        said = spoken(made, language)
        html = html_of(made, language)
        headers = [f"{column.name} {column.unit}" for column in made.columns if made.rows]
        parts = [
            *said.notices,
            said.headline,
            *(*said.figures, *said.differences),
            *(*headers, *(text for row in Page.of(html).table for text in row)),
            *(*said.left_out, *said.movement),
            *(link.text for link in said.links),
            said.origin,
        ]
        assert "".join(Page.of(html).text.split()) == "".join("".join(parts).split())
        assert f'<html lang="{language}">' in html
        assert f"<title>{subject(made, language)}</title>" in html


def test_numbers_stand_on_the_right_and_every_other_row_is_shaded() -> None:
    html = html_of(content(), "en")
    assert [html.count(f'align="{side}"') for side in ("right", "left")] == [3 + 3 * 3, 3]
    for name, side in (("rank", "right"), ("user_<wbr>id", "left")):
        assert f'<th align="{side}" valign="bottom">{name}</th>' in html
    assert '<tr><td align="right" nowrap>1</td>' in html
    assert html.count('<tr class="even"') == 1
    assert '<tr class="even" bgcolor="#f6f7f9"><td align="right" nowrap>2</td>' in html


def test_a_phone_shows_fewer_columns_and_names_the_others() -> None:
    columns = TableColumns(["rank", "user_id", "user_name", "score"], ["rank", "user_name"])
    html = html_part(content(), columns, "en")
    assert html.count('class="wide"') == 2 + 1 + 2 * 3  # headers, that of the bar, cells
    assert html.count('class="bar wide"') == 3
    assert "Not shown on this screen: user_id, score.</p>" in html
    assert "2 more columns are not shown: previous_rank, movement." in html
    assert 'class="narrow"' not in html_of(content(), "en")


def test_bars_of_negative_numbers_end_where_the_others_begin() -> None:
    html = html_of(
        bare_content([ContentColumn("n", "BIGINT")], (5,), (-5,), (None,), bar="n"), "en"
    )
    free = '<td width="50%" style="border: 0"></td>'
    up, down = (
        f'<td width="50%" height="12" class="{kind}" bgcolor="{color}"'
        ' style="border: 0; font-size: 1px">&nbsp;</td>'
        for kind, color in (("up", "#1d5fd0"), ("down", "#c8261f"))
    )
    assert html.count(f"<tr>{free}{up}</tr>") == 1
    assert html.count(f'<tr>{down}<td style="border: 0"></td></tr>') == 1
    assert html.count('<td class="bar"') == 3  # the last one is empty
    assert html.count("&nbsp;") == 2
