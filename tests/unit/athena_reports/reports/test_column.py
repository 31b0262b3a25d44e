import pytest

from athena_reports import Column
from athena_reports.errors import ReportError


@pytest.mark.parametrize(
    ("type", "description", "unit", "field"),
    [
        *(
            (kind, "a", "", "type")
            for kind in ("bigit", "array(varchar)", "array<int", "decimal(40,2)")
        ),
        *(
            ("int", text, "", "description")
            for text in ("", " ", "a\nb", "a\x7fb", "a\x1fb", "あ" * 86, "a" * 256)
        ),
        ("int", "a" * 251, "kg", "description"),
        ("int", "あ" * 80, "a unit of 16 bytes", "description"),
    ],
)
def test_a_column_that_glue_does_not_take_is_rejected(
    type: str, description: str, unit: str, field: str
) -> None:
    with pytest.raises(ReportError) as caught:
        Column(type, description, unit)
    assert (caught.value.declaration, caught.value.field) == (f"Column {type!r}", field)


def test_a_column_without_a_description_is_told_what_to_write() -> None:
    with pytest.raises(ReportError, match="describe it in one line of at most 255 bytes"):
        Column("int", "")
