"""The transforms that docs/reference/published.md shows."""

import re
from pathlib import Path
from typing import Any

from athena_reports import transforms, weekly
from athena_reports.rows.engine import open_engine
from athena_reports.rows.transforms import apply

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "published.md"


def test_the_transforms_that_the_page_shows() -> None:
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "grade" in each)
    names: dict[str, Any] = {"transforms": transforms}
    exec(block, names)
    period = weekly("sunday").period("2026-11-15")
    with open_engine("128MB") as engine:
        rows = engine.connection.sql(
            "SELECT 'u' || n AS user_id, (n * 10)::BIGINT AS score, DATE '2026-11-10' + n::INTEGER AS day "
            "FROM range(1, 16) AS r (n)"
        )
        made = apply(names["transform"], rows, period, engine=engine, about="docs")
        assert made.columns == ["rank", "user", "score", "day", "share", "grade"]
        found = made.fetchall()
    assert [row[0] for row in found] == list(range(5, 16))
    assert found[0][1:3] == ("u11", 110)
    assert [row[-1] for row in found] == ["gold"] * 6 + ["silver"] * 5
    assert found[0][4] == 110 / 1200
