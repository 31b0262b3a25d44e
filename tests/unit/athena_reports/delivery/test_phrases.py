"""Each language says everything."""

from __future__ import annotations

from string import Formatter

import pytest

from athena_reports.delivery.language import Language
from athena_reports.delivery.phrases import load_phrases, phrase

PHRASES = load_phrases()


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_each_language_has_each_phrase_with_the_same_values() -> None:
    english = PHRASES["en"]
    for language, phrases in PHRASES.items():
        names = {name for name in phrases if not name.endswith(".one")}
        assert names == {name for name in english if not name.endswith(".one")}, language
        for name in names:
            assert placeholders(phrases[name]) == placeholders(english[name]), (language, name)


@pytest.mark.parametrize("language", PHRASES)
def test_the_form_for_1_needs_no_other_values(language: Language) -> None:
    phrases = PHRASES[language]
    for name, text in phrases.items():
        if name.endswith(".one"):
            assert placeholders(text) <= placeholders(phrases[name.removesuffix(".one")])


def test_a_number_of_1_has_its_form_and_others_have_the_other() -> None:
    assert phrase("en", "added", count=1) == "1 row added"
    assert phrase("en", "added", count=1_000) == "1,000 rows added"
    assert phrase("ja", "added", count=1) == "追加1行"
