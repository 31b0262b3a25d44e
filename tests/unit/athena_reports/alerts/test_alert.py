"""What a notifier is told, as text and as HTML."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from athena_reports.alerts.alert import Alert


class Page(HTMLParser):
    """What a browser makes of HTML: its tags and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


# What HTML itself does not keep: other control characters, and \r, which it reads as \n.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"))


@given(st.tuples(TEXTS, TEXTS, TEXTS))
def test_the_html_shows_each_text_as_it_is_and_takes_no_tag_from_it(
    texts: tuple[str, str, str],
) -> None:
    reason, next_step, run = texts
    url = f"http://localhost:8080/dags/plays_weekly/runs/{run}"
    alert = Alert("plays_weekly", "2025-06-08", "dev", "is late", reason, next_step, url)

    page = Page(alert.html)

    tags = [tag for tag in page.tags if tag != "br"]
    assert tags == ["p", "strong", "p", "p", "p", "a"]
    assert page.tags.count("br") == reason.count("\n") + next_step.count("\n")
    assert page.attributes == [("href", url)]
    assert page.text == alert.message


def test_a_subject_is_short_enough_for_sns() -> None:
    alert = Alert("x" * 200, "2025-06-08", "dev", "is late", "", "", "")
    assert alert.subject == f"dev: {'x' * 94}"  # SNS takes less than 100 characters
