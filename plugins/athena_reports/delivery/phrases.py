"""The sentences of deliveries in each language.

A phrase whose name ends in `.one` stands for its namesake where the number is 1.
"""

from __future__ import annotations

from athena_reports.delivery.language import Language, one_line

PHRASES: dict[Language, dict[str, str]] = {
    "en": {
        # Of the subject
        "correction_prefix": "Correction: ",
        "provisional_mark": "provisional",
        "partial_mark": "partial",
        # Notices
        "correction": "Correction of the version sent on {when}: {differences}.",
        "correction_without_rows": (
            "Correction of the version sent on {when}. Its rows have been removed, so the changes"
            " cannot be listed."
        ),
        "added": "{count} rows added",
        "added.one": "1 row added",
        "removed": "{count} rows removed",
        "removed.one": "1 row removed",
        "changed": "{count} rows changed",
        "changed.one": "1 row changed",
        "no_difference": "the rows are unchanged",
        "list_separator": ", ",
        "provisional": (
            "Provisional: events for this period may arrive until {when}, so the numbers may still"
            " change."
        ),
        "partial": (
            "Partial: {count} partitions of the source data were missing, so the numbers may be"
            " incomplete."
        ),
        "partial.one": (
            "Partial: 1 partition of the source data was missing, so the numbers may be incomplete."
        ),
        "empty": "The report has no rows for this period.",
        "warned": "{count} checks have warnings: {names}.",
        "warned.one": "1 check has a warning: {names}.",
        # What differs
        "changed_columns": "Changed values: {columns}.",
        "changed_column": "{column} in {count} rows",
        "changed_column.one": "{column} in 1 row",
        "columns_added": "New columns: {columns}.",
        "columns_removed": "Removed columns: {columns}.",
        "example_added": "Added: {row}",
        "example_removed": "Removed: {row}",
        "example_changed": "Changed: {row}",
        # Figures
        "day": "previous day",
        "week": "previous week",
        "month": "previous month",
        "quarter": "previous quarter",
        "year": "previous year",
        "no_comparison": "No report is published for the {noun}, so there is no comparison.",
        "total": "Total of {column}: {number}{compared}.",
        "rows": "{count} rows{compared}.",
        "rows.one": "1 row{compared}.",
        # Rows
        "new": "New among the rows shown: {names}.",
        "rises": "Biggest rises: {names}.",
        "falls": "Biggest falls: {names}.",
        "moved": "{name} (from {before} to {after})",
        "and_more": "{names} and {count} more",
        "left_out": "{count} more rows are not shown.",
        "left_out.one": "1 more row is not shown.",
        "columns_left_out": "{count} more columns are not shown: {names}.",
        "columns_left_out.one": "1 more column is not shown: {names}.",
        "narrow": "Not shown on this screen: {names}.",
        "too_large": "The file is too large to attach. Download the rows: aws s3 cp {uri} .",
        "too_large_without_address": "The file is too large to attach.",
        # Around
        "origin": "Published on {when}. Version {version}, environment {environment}.",
        "origin_of_preview": "Preview, not published. Environment {environment}.",
        "page_link": "Open this period on the Reports page",
        "query_link": "Open the query in Athena",
    },
    "ja": {
        "correction_prefix": "訂正: ",
        "provisional_mark": "暫定",
        "partial_mark": "一部欠損",
        "correction": "{when}に送信された版の訂正です。{differences}。",
        "correction_without_rows": (
            "{when}に送信された版の訂正です。その版の行はもう保存されていないため、"
            "変更内容は分かりません。"
        ),
        "added": "追加{count}行",
        "removed": "削除{count}行",
        "changed": "変更{count}行",
        "no_difference": "行の違いはありません",
        "list_separator": "、",
        "provisional": (
            "暫定値です。この期間のイベントは{when}まで届くことがあり、数値が変わる可能性があります。"
        ),
        "partial": (
            "一部のデータが欠けています。元データのパーティション{count}個がなかったため、"
            "数値は不完全な可能性があります。"
        ),
        "empty": "この期間に該当する行はありませんでした。",
        "warned": "{count}件のチェックが警告を出しています: {names}",
        "changed_columns": "値が変わった列: {columns}",
        "changed_column": "{column}（{count}行）",
        "columns_added": "追加された列: {columns}",
        "columns_removed": "削除された列: {columns}",
        "example_added": "追加: {row}",
        "example_removed": "削除: {row}",
        "example_changed": "変更: {row}",
        "day": "前日",
        "week": "前週",
        "month": "前月",
        "quarter": "前四半期",
        "year": "前年",
        "no_comparison": "{noun}は公開されていないため、比較はできません。",
        "total": "{column}の合計: {number}{compared}",
        "rows": "行数: {count}行{compared}",
        "new": "表示した行のうち新規: {names}",
        "rises": "大きく上昇: {names}",
        "falls": "大きく下降: {names}",
        "moved": "{name}（{before}→{after}）",
        "and_more": "{names} ほか{count}件",
        "left_out": "ほかに{count}行あります。",
        "columns_left_out": "ほかに{count}列あります: {names}",
        "narrow": "この画面では省略: {names}",
        "too_large": (
            "ファイルが大きすぎるため添付していません。"
            "次のコマンドで取得できます: aws s3 cp {uri} ."
        ),
        "too_large_without_address": "ファイルが大きすぎるため添付していません。",
        "origin": "公開: {when}、版: {version}、環境: {environment}",
        "origin_of_preview": "プレビュー（未公開）、環境: {environment}",
        "page_link": "この期間をレポートページで開く",
        "query_link": "Athenaでクエリを開く",
    },
}


def phrase(language: Language, name: str, /, **values: str | int) -> str:
    """Return a phrase with its values in one line, whatever they hold.

    Integers have separators between thousands. If `count` is 1, it is the phrase for 1, if any.
    """
    phrases = PHRASES[language]
    if values.get("count") == 1 and f"{name}.one" in phrases:
        name = f"{name}.one"
    texts = {}
    for placeholder, value in values.items():
        texts[placeholder] = f"{value:,}" if isinstance(value, int) else one_line(value)
    return phrases[name].format(**texts)
