"""Periods, dates and numbers in the words of a language."""

from typing import Literal

Language = Literal["en", "ja"]
