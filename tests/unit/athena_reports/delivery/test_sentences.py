"""The sentences of a delivery, before any form of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import monthly
from athena_reports.delivery.content import PREVIEW, Content, ContentColumn, Correction, Movement
from athena_reports.delivery.language import Language
from athena_reports.delivery.sentences import Sentences, sentences, subject
from athena_reports.rows.differences import Change
from tests.unit.athena_reports.delivery.contents import (
    HOSTILE,
    LANGUAGES,
    SENT_AT,
    content,
    corrected,
    spoken,
    tables,
)


def all_texts(made: Sentences) -> list[str]:
    texts = [made.headline, made.origin]
    for field in fields(made):
        value = getattr(made, field.name)
        if not isinstance(value, str):
            texts.extend(item for item in value if isinstance(item, str))
    return texts


@pytest.mark.parametrize(
    ("changes", "english", "japanese"),
    [
        ({}, "ranking: week of 15 to 21 Nov 2026", "ranking: 2026年11月15日～21日"),
        (
            {"correction": corrected(), "provisional": True},
            "Correction: ranking: week of 15 to 21 Nov 2026 (provisional)",
            "訂正: ranking: 2026年11月15日～21日（暫定）",
        ),
        (
            {"provisional": True, "missing_partitions": 2, "environment": "stg"},
            "ranking: week of 15 to 21 Nov 2026 (provisional, partial, stg)",
            "ranking: 2026年11月15日～21日（暫定、一部欠損、stg）",
        ),
    ],
)
def test_a_subject_says_what_it_is(changes: dict[str, Any], english: str, japanese: str) -> None:
    made = content(**changes)
    assert subject(made, "en") == english
    assert subject(made, "ja") == japanese


@given(tables(), st.sampled_from(HOSTILE), st.sampled_from(LANGUAGES))
def test_each_sentence_is_one_line_whatever_is_in_the_data(
    made: Content, text: str, language: Language
) -> None:
    names = (text, "x")
    correction = corrected(
        added=1,
        columns={text: 1},
        columns_added=names,
        columns_removed=names,
        paired_by=names,
        examples=(
            Change(kind="added", key=(text, None), columns={}),
            Change(kind="changed", key=(text, text), columns={text: (text, None)}),
        ),
    )
    hostile = content(
        columns=made.columns,
        rows=made.rows,
        key=(),
        movement=None,
        bar=made.bar,
        total=5 if made.bar else None,
        correction=correction,
        environment=text,
        version=text,
        warned_checks=names,
        too_large=True,
        folder_uri=f"s3://bucket/{text}",
    )
    for line in [subject(hostile, language), *all_texts(spoken(hostile, language))]:
        assert len(line.splitlines()) <= 1
        assert not {"\x00", "\r", "\n", "\x07"}.intersection(line)


WHOLE: dict[Language, str] = {
    "en": """\
Correction of the version sent on 22 November 2026, 00:07 (Asia/Tokyo): \
2 rows added, 1 row removed, 3 rows changed.
Provisional: events for this period may arrive until 23 November 2026, 00:00 (Asia/Tokyo), \
so the numbers may still change.
Partial: 2 partitions of the source data were missing, so the numbers may be incomplete.
2 checks have warnings: rows, unique.
ranking: week of 15 to 21 Nov 2026 (Asia/Tokyo)
Total of score: 1,000,000 points (previous week: 800,000, +25.0%).
100 rows (previous week: 97, +3.1%).
Changed values: score in 3,000 rows, plays in 1 row.
New columns: level.
Removed columns: age, town.
Added: user_id u1
Removed: user_id u2
Changed: user_id u3: score 1 → –
New among the rows shown: u2.
Biggest rises: Aiko (from 3 to 1).
Biggest falls: 千葉 (from 1 to 3).
97 more rows are not shown.
The file is too large to attach.
Published on 22 November 2026, 00:07 (Asia/Tokyo). Version 20261121T150712Z-3f9a, environment prd.
Open this period on the Reports page
Open the query in Athena""",
    "ja": """\
2026年11月22日 00:07（Asia/Tokyo）に送信された版の訂正です。追加2行、削除1行、変更3行。
暫定値です。この期間のイベントは2026年11月23日 00:00（Asia/Tokyo）まで届くことがあり、\
数値が変わる可能性があります。
一部のデータが欠けています。元データのパーティション2個がなかったため、\
数値は不完全な可能性があります。
2件のチェックが警告を出しています: rows、unique
ranking: 2026年11月15日～21日（Asia/Tokyo）
scoreの合計: 1,000,000 points（前週: 800,000、+25.0%）
行数: 100行（前週: 97、+3.1%）
値が変わった列: score（3,000行）、plays（1行）
追加された列: level
削除された列: age、town
追加: user_id u1
削除: user_id u2
変更: user_id u3: score 1 → –
表示した行のうち新規: u2
大きく上昇: Aiko（3→1）
大きく下降: 千葉（1→3）
ほかに97行あります。
ファイルが大きすぎるため添付していません。
公開: 2026年11月22日 00:07（Asia/Tokyo）、版: 20261121T150712Z-3f9a、環境: prd
この期間をレポートページで開く
Athenaでクエリを開く""",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_sentences_in_the_order_in_which_they_are_read(language: Language) -> None:
    correction = corrected(
        added=2,
        removed=1,
        changed=3,
        columns={"score": 3_000, "plays": 1},
        columns_added=("level",),
        columns_removed=("age", "town"),
        paired_by=("user_id",),
        examples=(
            Change(kind="added", key=("u1",), columns={}),
            Change(kind="removed", key=("u2",), columns={}),
            Change(kind="changed", key=("u3",), columns={"score": ("1", None)}),
        ),
    )
    made = content(
        correction=correction,
        provisional=True,
        missing_partitions=2,
        warned_checks=("rows", "unique"),
        too_large=True,
    )
    text = spoken(made, language)
    lines = [
        *text.notices,
        text.headline,
        *(*text.figures, *text.differences, *text.movement, *text.left_out, text.origin),
        *(link.text for link in text.links),
    ]
    assert lines == WHOLE[language].splitlines()


def test_an_example_of_many_columns_is_cut() -> None:
    change = Change(
        kind="changed",
        key=("u1",),
        columns={f"c{number}": (str(number), "x" * 80) for number in range(9)},
    )
    shown = corrected(changed=1, paired_by=("user_id",), examples=(change,))
    (example,) = spoken(content(correction=shown), "en").differences
    cut = "x" * 39 + "…"
    assert example.startswith(f"Changed: user_id u1: c0 0 → {cut}, c1 1 → {cut}, ")
    assert (len(example), example[-1]) == (300, "…")
    nameless = Change(kind="changed", key=(), columns={"a": ("1", "2")})
    private_key = corrected(changed=1, examples=(nameless,))
    assert spoken(content(correction=private_key), "en").differences == ["Changed: a 1 → 2"]


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        (
            {"previous_rows": None, "previous_total": None},
            [
                "Total of score: 1,000,000 points.",
                "100 rows.",
                "No report is published for the previous week, so there is no comparison.",
            ],
        ),
        (
            {"total": 5, "previous_total": 0, "total_rows": 1, "previous_rows": 1},
            ["Total of score: 5 points (previous week: 0).", "1 row (previous week: 1, +0.0%)."],
        ),
        (
            {"total": Decimal("-5.50"), "previous_total": Decimal("-4.00"), "previous_rows": 200},
            [
                "Total of score: -5.50 points (previous week: -4.00, -37.5%).",
                "100 rows (previous week: 200, -50.0%).",
            ],
        ),
        (
            {"total": 0.1 + 0.2, "previous_total": 0.1},
            [
                "Total of score: 0.3 points (previous week: 0.1, +200.0%).",
                "100 rows (previous week: 97, +3.1%).",
            ],
        ),
        ({"previous_total": None}, ["Total of score: 1,000,000 points.", "100 rows (previous"]),
        ({"total": None, "previous_rows": 0}, ["100 rows (previous week: 0)."]),
        (
            {"columns": (ContentColumn("score", "BIGINT"),), "movement": None},
            ["Total of score: 1,000,000 (previous week: 800,000, +25.0%).", "100 rows (previous"],
        ),
    ],
)
def test_figures_are_compared_with_the_week_before(
    changes: dict[str, Any], figures: list[str]
) -> None:
    made = spoken(content(**changes), "en").figures
    assert len(made) == len(figures)
    for figure, expected in zip(made, figures, strict=True):
        assert figure.startswith(expected)


def test_a_month_is_compared_with_a_month() -> None:
    made = content(period=monthly("Asia/Tokyo").period("2026-11"), total=None)
    assert spoken(made, "en").figures == ["100 rows (previous month: 97, +3.1%)."]
    assert spoken(made, "ja").figures == ["行数: 100行（前月: 97、+3.1%）"]


@given(st.integers(0, 10**20), st.integers(1, 10**20))
def test_the_change_in_per_cent_is_right_to_its_digit(rows: int, previous: int) -> None:
    (sentence,) = spoken(
        content(total=None, total_rows=rows, previous_rows=previous), "en"
    ).figures[:1]
    change = Fraction(100 * (rows - previous), previous)
    percent = sentence.rpartition(", ")[2].removesuffix("%).")
    assert abs(Fraction(percent.replace(",", "")) - change) <= Fraction(1, 20)
    assert percent[0] == ("+" if rows >= previous else "-")


def moved(rises: Sequence[Any] = (), falls: Sequence[Any] = ()) -> Movement:
    return Movement("rank", "previous_rank", "movement", rises=tuple(rises), falls=tuple(falls))


def test_movement_names_who_is_new_among_the_rows_shown_and_who_of_all_moved_most() -> None:
    rows = [(place, f"u{place}", None, 10, None, "new") for place in range(1, 5)]
    same = (5, "u5", None, 10, 5, "same")
    movement = moved(
        rises=[(70, "u70", None, 10, 300, "up"), (20, "u20", None, 10, 90, "up")],
        falls=[(1_200, "u9", None, 10, 3, "down")],
    )
    made = spoken(content(rows=(*rows, same), movement=movement), "en").movement
    assert made == [
        "New among the rows shown: u1, u2, u3 and 1 more.",
        "Biggest rises: u70 (from 300 to 70), u20 (from 90 to 20).",
        "Biggest falls: u9 (from 3 to 1,200).",
    ]
    made = spoken(content(rows=(*rows[:3], same), movement=movement), "en").movement
    assert made[0] == "New among the rows shown: u1, u2, u3."
    for silent in (content(rows=(same,), movement=moved()), content(movement=None)):
        assert spoken(silent, "en").movement == []


def test_a_long_name_is_cut() -> None:
    movement = moved(
        rises=[(1, "u" * 40, None, 10, 2, "text")], falls=[(2, "u" * 41, None, 10, 1, "text")]
    )
    assert spoken(content(rows=(), movement=movement), "en").movement == [
        f"Biggest rises: {'u' * 40} (from 2 to 1).",
        f"Biggest falls: {'u' * 39}… (from 1 to 2).",
    ]


def test_a_row_is_called_by_all_parts_of_its_key_and_by_its_name_if_there_is_one() -> None:
    day = date(2026, 11, 15)
    movement = moved(rises=[(1, "b", None, day, 2, "text"), (4, None, None, 7, 5, "text")])
    made = content(rows=(), movement=movement, key=("user_id", "score"))
    assert spoken(made, "en").movement == [
        "Biggest rises: b 2026-11-15 (from 2 to 1), – 7 (from 5 to 4)."
    ]


@pytest.mark.parametrize("key", [(), ("rank",)])
def test_without_a_key_a_row_is_called_by_its_first_value_but_the_ranks(
    key: tuple[str, ...],
) -> None:
    """Where the key is private, and so not shown, too."""
    assert spoken(content(key=key), "en").movement[1] == "Biggest rises: Aiko (from 3 to 1)."
    columns = content().columns
    of_ranks = (columns[0], columns[4], columns[5])
    rows = ((1, 3, "up 2"), (2, None, "new"))
    made = content(
        columns=of_ranks, rows=rows, key=(), bar="", total=None, movement=moved(rises=rows[:1])
    )
    assert spoken(made, "en").movement == [
        "New among the rows shown: –.",
        "Biggest rises: – (from 3 to 1).",
    ]


def test_what_is_left_out_is_counted() -> None:
    assert spoken(content(total_rows=12_348), "en").left_out == ["12,345 more rows are not shown."]
    assert spoken(content(total_rows=4), "en").left_out == ["1 more row is not shown."]
    assert spoken(content(total_rows=3), "en").left_out == []
    large = content(total_rows=3, too_large=True, folder_uri="s3://reports/v1/")
    (text,) = spoken(large, "en").left_out
    assert text.endswith("aws s3 cp --recursive s3://reports/v1/ .")


def test_columns_that_a_table_does_not_show_are_named() -> None:
    for language, text in (
        ("en", "2 more columns are not shown: score, previous_rank."),
        ("ja", "ほかに2列あります: score、previous_rank"),
    ):
        shown = ["rank", "user_id", "user_name", "movement"]
        assert text in sentences(content(), shown, language).left_out


@pytest.mark.parametrize(
    ("changes", "english", "japanese"),
    [
        (
            {"rows": (), "total_rows": 0, "total": None, "movement": None},
            "The report has no rows for this period.",
            "この期間に該当する行はありませんでした。",
        ),
        (
            {"correction": Correction(SENT_AT, None)},
            "(Asia/Tokyo). Its rows have been removed, so the changes cannot be listed.",
            "その版の行はもう保存されていないため、変更内容は分かりません。",
        ),
        (
            {"correction": corrected(columns_added=("level",))},
            ": the rows are unchanged.",
            "。行の違いはありません。",
        ),
    ],
)
def test_the_only_notice_of_a_content(changes: dict[str, Any], english: str, japanese: str) -> None:
    for language, text in (("en", english), ("ja", japanese)):
        (notice,) = spoken(content(**changes), language).notices
        assert notice.endswith(text)


def test_a_preview_does_not_say_that_it_was_published() -> None:
    preview = content(version=PREVIEW)
    assert spoken(preview, "en").origin == "Preview, not published. Environment prd."
    assert spoken(preview, "ja").origin == "プレビュー（未公開）、環境: prd"


def test_without_addresses_there_are_no_links() -> None:
    assert spoken(content(page_url="", query_url=""), "en").links == []
