"""Every link of a Markdown page leads somewhere,
and every code block is run or held against what it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import athena_reports
from athena_reports import Input, weekly
from athena_reports.page.coverage import State
from athena_reports.publication.manifest import Manifest, PublishedObject, QueryFacts
from athena_reports.rows.engine import open_engine
from athena_reports.rows.transforms import apply
from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from messages import texts_of
from tests.repository.pages import PAGES, README, name_of
from tests.support.code_blocks import Block, blocks_of
from tests.support.console import check_console, run_python
from tests.support.dag_files import load_dags
from tests.support.local_athena import run_sql
from tests.support.paths import ROOT
from tests.support.task_runner import run_dag

EXISTING = "docs/how-to/existing-environment.md"
FIX = "docs/how-to/fix-a-failed-run.md"
READ_A_REPORT = "docs/how-to/read-a-report.md"
MIGRATE = "docs/how-to/migrate-from-step-functions.md"
TRANSFORM = "docs/how-to/transform-and-check.md"
WAIT = "docs/how-to/wait-for-input.md"
RUN_HERE = {"docs/explanation/periods.md", READ_A_REPORT, MIGRATE, TRANSFORM, WAIT}

# Blocks other than those of the console that no test runs.
NOT_RUN = {
    # Signatures, which test_generated_pages.py compares with the code.
    ("docs/reference/api.md", "python"),
    # A listing of keys.
    ("docs/reference/published.md", ""),
    # An example of the format, which local_athena/tests/test_statements.py reads in all files.
    ("local_athena/tests/statements/README.md", "sql"),
    # Pieces of one session; local_athena/tests makes each of these calls.
    ("local_athena/README.md", "python"),
    # The target is a bucket of the reader's; local_athena/tests/test_unload.py has one.
    ("local_athena/README.md", "sql"),
}
# A page whose blocks have a test of their own, which reads the page by its name.
OTHER_TESTS = "".join(
    file.read_text(encoding="utf-8")
    for file in (ROOT / "tests").rglob("*.py")
    if file != Path(__file__)
)
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_run_or_checked_or_declared(block: Block) -> None:
    page = name_of(block.page)
    if block.language == "console":
        check_console(block)
    elif page in RUN_HERE:
        assert block.language in ("python", "sql")
    elif (page, block.language) not in NOT_RUN:
        name = "/".join(block.page.relative_to(ROOT).parts[-2:])
        names = (name, name.replace("/", '" / "'))
        assert any(f'"{name}"' in OTHER_TESTS for name in names), "run it in a test, or say why not"


# --- links


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(
        r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"`[^`\n]+`", lambda code: "" if "](" in code[0] else code[0], text)


def anchors(page: Path) -> Iterator[str]:
    """The anchors of the headings, as GitHub makes them."""
    seen: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        seen[anchor] = seen.get(anchor, -1) + 1
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    found = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", prose(page))
    for link in ("".join(pair) for pair in found):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_the_pages_that_files_name_exist() -> None:
    folders = ("dags", "plugins", "cli", "deploy", "dev/demo", "tests", ".github")
    kinds = {".py", ".yaml", ".env", ".md", ".toml"}
    inside = [file for folder in folders for file in (ROOT / folder).rglob("*.*")]
    # Those of local-athena name the pages in its own folder.
    pages = [page for page in PAGES if "local_athena" not in page.parts]
    files = [file for file in [*ROOT.iterdir(), *pages, *inside] if file.suffix in kinds]
    named = {
        page
        for file in files
        for page in re.findall(
            r"(?:\blocal_athena/)?\bdocs/[\w/-]+\.md", file.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 10
    assert not [page for page in named if not (ROOT / page).is_file()]


@pytest.mark.skipif(README not in PAGES, reason="it shows some of them")
@pytest.mark.parametrize(
    "image", sorted((ROOT / "docs" / "images").iterdir()), ids=lambda path: path.name
)
def test_an_image_is_shown(image: Path) -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert any(image.name in page.read_text(encoding="utf-8") for page in pages)


# --- messages


@pytest.mark.parametrize(("page", "at_least"), [(FIX, 20), (EXISTING, 6)])
def test_the_messages_that_a_page_quotes_are_those_of_the_code(page: str, at_least: int) -> None:
    """Three dots stand for what differs from one message to another."""
    messages = [
        "\0".join(text for _, text in sorted(texts_of(file)))
        for file in (ROOT / "plugins").rglob("*.py")
    ]
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    quotes = re.findall(r'\*\*"(.+?)"\*\*', text)
    patterns = {
        quote: re.compile(".*".join(map(re.escape, quote.split("..."))), re.DOTALL)
        for quote in quotes
    }
    assert len(quotes) >= at_least
    assert [
        quote
        for quote, pattern in patterns.items()
        if not any(pattern.search(message) for message in messages)
    ] == []


# --- lists


def test_the_page_lists_each_field_of_the_manifest() -> None:
    page = (ROOT / "docs" / "reference" / "published.md").read_text(encoding="utf-8")
    section = page.partition("\n## The manifest\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`(\w+)`", section))
    fields = [*Manifest.model_fields, *QueryFacts.model_fields, *PublishedObject.model_fields]
    assert set(fields) <= listed


def test_the_page_lists_the_states_in_their_order() -> None:
    page = (ROOT / "docs" / "reference" / "reports-page.md").read_text(encoding="utf-8")
    assert re.findall(r"^- \*\*(\w+)\*\*: ", page, re.MULTILINE) == list(State)


# --- blocks that are run here


@pytest.fixture
def published(
    services: Services,
    plays_lake: object,
    dags_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Two weeks of a report, published in the environment prd."""
    services.prepare("prd")
    monkeypatch.setenv("ATHENA_REPORTS_ENV", "prd")
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", "database_dev")
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    for period in ("2025-02-23", "2025-03-02"):
        run_dag(dag, period=period)


def run_page(
    name: str, services: Services | None = None, **names: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Run the blocks of a page in their order;
    what the Python defines, and the rows of each query.
    """
    rows = []
    for block in blocks_of(ROOT / name):
        text = block.text.replace("user_ranking", "top_users")  # the report of the tests
        if block.language == "python":
            run_python(Block(block.page, block.line, "python", text), names)
        elif block.language == "sql":
            assert services
            rows.append(run_sql(text, services.athena, database="report_prd", workgroup="prd"))
    return names, rows


def test_a_week_with_a_change_of_the_clocks() -> None:
    names, _ = run_page("docs/explanation/periods.md")
    assert names["hours"] == 167


def test_the_inputs_that_are_waited_for() -> None:
    names, _ = run_page(WAIT, Input=Input, timedelta=timedelta)
    (source,) = names["inputs"]
    assert source.wait == timedelta(hours=12)
    assert source.success_marker(["2026-11-14"]) == "s3://lake/plays/dt=2026-11-14/_SUCCESS"


@pytest.mark.usefixtures("published")
def test_the_ways_to_read_a_report_give_the_same_rows(services: Services) -> None:
    names, [firsts] = run_page(READ_A_REPORT, services)
    ranking = [
        (str(user), int(score))
        for user, score in names["ranking"][["user_id", "score"]].itertuples(index=False)
    ]
    assert len(ranking) == 100
    assert names["best"] == ranking[:10]
    assert names["rows"] == ranking
    assert [row["period"] for row in firsts] == ["2025-02-23", "2025-03-02"]
    assert (firsts[1]["user_id"], int(firsts[1]["score"])) == ranking[0]


@pytest.mark.usefixtures("published")
def test_the_comparison_with_a_machine_shows_what_only_one_has(services: Services) -> None:
    glue = services.glue
    table: Any = glue.get_table(DatabaseName="report_prd", Name="top_users_weekly")["Table"]
    week = glue.get_partition(
        DatabaseName="report_prd", TableName=table["Name"], PartitionValues=["2025-02-23"]
    )
    glue.create_database(DatabaseInput={"Name": "compare"})
    copy: Any = {"Name": "machine_weekly"} | {
        key: table[key] for key in ("PartitionKeys", "StorageDescriptor")
    }
    glue.create_table(DatabaseName="compare", TableInput=copy)
    facts: Any = {key: week["Partition"][key] for key in ("Values", "StorageDescriptor")}
    glue.create_partition(DatabaseName="compare", TableName="machine_weekly", PartitionInput=facts)

    _, [differences] = run_page(MIGRATE, services)
    assert len(differences) == 100
    assert {(row["side"], row["period"]) for row in differences} == {("airflow only", "2025-03-02")}


def test_the_transforms_of_the_page() -> None:
    names, _ = run_page(TRANSFORM, transforms=athena_reports.transforms, Input=athena_reports.Input)
    assert names["inputs"][0].previous
    with open_engine("128MB") as engine:
        rows = engine.connection.sql(
            "SELECT 'u' || n AS user_id, (n * 10)::BIGINT AS score, DATE '2026-11-10' + n::INTEGER"
            " AS day FROM range(1, 16) AS r (n)"
        )
        made = apply(
            names["transform"],
            rows,
            weekly("sunday").period("2026-11-15"),
            engine,
        )
        assert made.columns == ["rank", "user", "score", "day", "share", "grade"]
        found = made.fetchall()
    assert [row[0] for row in found] == list(range(5, 16))
    assert found[0][1:3] == ("u11", 110)
    assert [row[-1] for row in found] == ["gold"] * 6 + ["silver"] * 5
    assert found[0][4] == 110 / 1200
