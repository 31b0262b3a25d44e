import pytest

from athena_reports import Column
from athena_reports.errors import ReportError
from tests.support.declared import MakeReport


@pytest.mark.parametrize(
    ("column", "way_out"),
    [
        *((Column(kind, "a"), "not known. CAST it") for kind in ("bigit", "")),
        *(
            (Column(kind, "a"), "such as array<string>")
            for kind in ("array", "array(varchar)", "array<map(int,int)>")
        ),
        *((Column(kind, "a"), "is not a type") for kind in ("array<int", "array<int>>", "map<>")),
        *(
            (Column("time", "a"), "has no type time"),
            (Column("decimal(40,2)", "a"), "1 to 38 digits"),
        ),
        *(
            (Column("int", text), "in one line")
            for text in ("", " ", "a\nb", "a\x7fb", "a\x1fb", "あ" * 86, "a" * 256)
        ),
        (Column("int", "a" * 251, unit="kg"), "255 bytes"),
        (Column("int", "あ" * 80, unit="a unit of 16 bytes"), "255 bytes"),
    ],
)
def test_a_column_that_glue_does_not_take_is_named(
    make_report: MakeReport, column: Column, way_out: str
) -> None:
    with pytest.raises(ReportError) as caught:
        make_report(columns={"b": Column("int", "a"), "sc`or|e": column})
    assert (caught.value.field, way_out in str(caught.value)) == (
        "columns['sc`or|e']",
        True,
    ), caught.value


@pytest.mark.parametrize(
    ("type", "glue"),
    [
        *(
            ("VARCHAR", "string"),
            ("varchar(20)", "string"),
            ("integer", "int"),
            ("real", "float"),
            ("json", "string"),
        ),
        *(
            ("decimal( 10 , 2 )", "decimal(10,2)"),
            ("timestamp(3) with time zone", "timestamp"),
            ("date", "date"),
        ),
        *(
            ("varbinary", "binary"),
            (
                "array<struct<a:int, b:map<string,double>>>",
                "array<struct<a:int,b:map<string,double>>>",
            ),
        ),
    ],
)
def test_a_type_may_be_called_as_in_athena_or_in_glue(
    make_report: MakeReport, type: str, glue: str
) -> None:
    declared = make_report(columns={"a": Column(type, "a")}, params={"top": 1})
    for report in (declared, declared.with_params("weekly", {"top": 2})):
        assert report.columns["a"].type == glue
