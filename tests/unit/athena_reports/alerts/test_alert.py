"""What a notifier is told, as text and as HTML."""

from hypothesis import given
from hypothesis import strategies as st

from athena_reports.alerts.alert import Alert
from tests.support.mail_page import Page

# What HTML itself does not keep: other control characters, and \r, which it reads as \n.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"))


@given(st.tuples(TEXTS, TEXTS, TEXTS))
def test_the_html_shows_each_text_as_it_is_and_takes_no_tag_from_it(
    texts: tuple[str, str, str],
) -> None:
    reason, next_step, run = texts
    url = f"http://localhost:8080/dags/plays_weekly/runs/{run}"
    alert = Alert("plays_weekly", "2025-06-08", "dev", "is late", reason, next_step, url)
    page = Page.of(alert.html)
    assert page.tags - {"br"} == {"p", "strong", "a"}
    assert alert.html.count("<br>") == reason.count("\n") + next_step.count("\n")
    assert (page.attributes, page.addresses) == ({"href"}, [url])
    assert page.text == alert.message


def test_a_subject_is_short_enough_for_sns() -> None:
    alert = Alert("x" * 200, "2025-06-08", "dev", "is late", "", "", "")
    assert alert.subject == f"dev: {'x' * 94}"  # SNS takes less than 100 characters
