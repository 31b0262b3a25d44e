"""The template of a mail that an author keeps beside the SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports import mail
from athena_reports.delivery.author_template import template_of
from athena_reports.delivery.errors import DeliveryError


def test_a_template_is_the_text_of_its_file(sql_folder: Path) -> None:
    (sql_folder / "mail.html").write_text("<p>千葉 {{ headline }}</p>", encoding="utf-8")
    template = template_of(mail("sales", to=["a@example.com"], template="mail.html"))
    assert template is not None
    assert (template.name, template.text) == ("mail.html", "<p>千葉 {{ headline }}</p>")
    assert template_of(mail("sales", to=["a@example.com"])) is None


def test_a_template_that_is_no_utf_8_is_named_with_what_to_do(sql_folder: Path) -> None:
    (sql_folder / "mail.html").write_bytes("<p>größte</p>".encode("latin-1"))
    with pytest.raises(
        DeliveryError, match=r"^mail\.html: 'utf-8' codec .* Save the file as UTF-8\.$"
    ):
        template_of(mail("sales", to=["a@example.com"], template="mail.html"))
