"""The sentences of deliveries in each language.

A phrase whose name ends in `.one` stands for its namesake where the number is 1.
"""

from __future__ import annotations

from athena_reports.delivery.language import Language

PHRASES: dict[Language, dict[str, str]] = {
    "en": {
        # Of the subject
        "correction_prefix": "Correction: ",
        "preview_mark": "preview",
        "provisional_mark": "provisional",
        "partial_mark": "partial",
        # Notices
        "preview": "This is a preview. Nobody else has received it.",
        "correction": "Correction of the version that was published on {when}: {differences}.",
        "correction_without_rows": (
            "Correction of the version that was published on {when}. Its rows have been"
            " removed, so the changes cannot be listed."
        ),
        "added": "{count} rows added",
        "added.one": "1 row added",
        "removed": "{count} rows removed",
        "removed.one": "1 row removed",
        "changed": "{count} rows changed",
        "changed.one": "1 row changed",
        "no_difference": "no differences in the rows",
        "list_separator": ", ",
        "provisional": (
            "Provisional: events of this period can arrive until {when}, and the numbers can still"
            " change."
        ),
        "partial": (
            "Partial: {count} partitions of the source data were missing, so the numbers can be"
            " incomplete."
        ),
        "partial.one": (
            "Partial: 1 partition of the source data was missing, so the numbers can be incomplete."
        ),
        "partial_unknown": (
            "Partial: some of the source data was missing, so the numbers can be incomplete."
        ),
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
        "example_changed": "Changed: {row}: {values}",
        "example_changed_nameless": "Changed: {values}",
        # Figures
        "day": "day",
        "week": "week",
        "month": "month",
        "quarter": "quarter",
        "year": "year",
        "total": "Total of {column}: {number}.",
        "total_compared": "Total of {column}: {number}, {change}.",
        "rows": "{count} rows.",
        "rows.one": "1 row.",
        "rows_compared": "{count} rows, {change}.",
        "rows_compared.one": "1 row, {change}.",
        "more": "{difference} more than the previous {noun} ({percent})",
        "less": "{difference} less than the previous {noun} ({percent})",
        "more_rows": "{difference} more than the previous {noun} ({percent})",
        "less_rows": "{difference} fewer than the previous {noun} ({percent})",
        "more_than_0": "0 in the previous {noun}",
        "same": "the same as the previous {noun}",
        "no_comparison": "The previous {noun} is not published, so there is no comparison.",
        # Rows
        "new": "New among the rows shown: {names}.",
        "all_new": "All rows shown are new.",
        "rises": "Biggest rises: {names}.",
        "falls": "Biggest falls: {names}.",
        "moved": "{name} (from {before} to {after})",
        "and_more": "{names} and {count} more",
        "left_out": "{count} more rows are not shown.",
        "left_out.one": "1 more row is not shown.",
        "columns_left_out": "{count} more columns are not shown: {names}.",
        "columns_left_out.one": "1 more column is not shown: {names}.",
        "narrow": "Not shown on this screen: {names}.",
        "empty": "The report has no rows for this period.",
        "empty_partial": (
            "The report has no rows for this period, for which source data was missing."
        ),
        "too_large": "The file is too large to attach. Download the rows: aws s3 cp {uri} .",
        "too_large_without_address": "The file is too large to attach.",
        # Around
        "published": "Published on {when}.",
        "origin": "Version {version}, environment {environment}.",
        "page_link": "Open this period on the Reports page",
        "query_link": "Open the query in Athena",
    },
    "ja": {
        "correction_prefix": "訂正: ",
        "preview_mark": "プレビュー",
        "provisional_mark": "暫定",
        "partial_mark": "一部欠損",
        "preview": "これはプレビューです。ほかの人には送られていません。",
        "correction": "{when}に公開された版の訂正です。{differences}。",
        "correction_without_rows": (
            "{when}に公開された版の訂正です。その版の行はもう保存されていないため、"
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
        "partial_unknown": (
            "一部のデータが欠けています。元データの一部がなかったため、"
            "数値は不完全な可能性があります。"
        ),
        "warned": "{count}件のチェックが警告を出しています: {names}",
        "changed_columns": "値が変わった列: {columns}",
        "changed_column": "{column}（{count}行）",
        "columns_added": "追加された列: {columns}",
        "columns_removed": "削除された列: {columns}",
        "example_added": "追加: {row}",
        "example_removed": "削除: {row}",
        "example_changed": "変更: {row}: {values}",
        "example_changed_nameless": "変更: {values}",
        "day": "前日",
        "week": "前週",
        "month": "前月",
        "quarter": "前四半期",
        "year": "前年",
        "total": "{column}の合計: {number}",
        "total_compared": "{column}の合計: {number}、{change}",
        "rows": "行数: {count}行",
        "rows_compared": "行数: {count}行、{change}",
        "more": "{noun}より{difference}増（{percent}）",
        "less": "{noun}より{difference}減（{percent}）",
        "more_rows": "{noun}より{difference}行増（{percent}）",
        "less_rows": "{noun}より{difference}行減（{percent}）",
        "more_than_0": "{noun}は0",
        "same": "{noun}と同じ",
        "no_comparison": "{noun}は公開されていないため、比較はできません。",
        "new": "表示した行のうち新規: {names}",
        "all_new": "表示した行はすべて新規です。",
        "rises": "大きく上昇: {names}",
        "falls": "大きく下降: {names}",
        "moved": "{name}（{before}→{after}）",
        "and_more": "{names} ほか{count}件",
        "left_out": "ほかに{count}行あります。",
        "columns_left_out": "ほかに{count}列あります: {names}",
        "narrow": "この画面では省略: {names}",
        "empty": "この期間に該当する行はありませんでした。",
        "empty_partial": (
            "この期間に該当する行はありませんでした。元データの一部が欠けていました。"
        ),
        "too_large": (
            "ファイルが大きすぎるため添付していません。"
            "次のコマンドで取得できます: aws s3 cp {uri} ."
        ),
        "too_large_without_address": "ファイルが大きすぎるため添付していません。",
        "published": "公開: {when}",
        "origin": "版: {version}、環境: {environment}",
        "page_link": "この期間をレポートページで開く",
        "query_link": "Athenaでクエリを開く",
    },
}


def phrase(language: Language, name: str, /, **values: str) -> str:
    """Return a phrase with its values; of a number `count`, the form for 1 if there is one."""
    phrases = PHRASES[language]
    if values.get("count") == "1":
        name_of_one = f"{name}.one"
        if name_of_one in phrases:
            return phrases[name_of_one].format(**values)
    return phrases[name].format(**values)
