"""The sentences of deliveries in each language, which are in `phrases.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

from athena_reports.delivery.language import Language, one_line


@cache
def load_phrases() -> Mapping[Language, Mapping[str, str]]:
    """Return the phrases of each language by their names."""
    text = Path(__file__).with_name("phrases.toml").read_text("utf-8")
    return cast("Mapping[Language, Mapping[str, str]]", tomllib.loads(text))


def phrase(language: Language, name: str, /, **values: str | int) -> str:
    """Return a phrase with its values in one line, whatever they hold.

    Integers have separators between thousands. If `count` is 1, it is the phrase for 1, if any.
    """
    phrases = load_phrases()[language]
    if values.get("count") == 1 and f"{name}.one" in phrases:
        name = f"{name}.one"
    texts = {}
    for placeholder, value in values.items():
        texts[placeholder] = f"{value:,}" if isinstance(value, int) else one_line(value)
    return phrases[name].format(**texts)
