"""What of a project's requirements.txt pip gets to see on MWAA."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.requirements import asks_for_hashes, bundled_requirements

THEIRS = """\
# What our reports need besides; athena-reports is in plugins.zip.

requests>=2 # for the alerts
athena-reports-extras==1.0
local-athena-tools
my-athena-reports==3
pyathena[arrow]==3.0 ; python_version >= "3.12"
pinned==1.0 \\
    --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111
--extra-index-url https://packages.example.com/athena-reports/simple
--find-links wheels-of-ours
-r /usr/local/airflow/dags/more.txt
other @ https://example.com/other-1.0-py3-none-any.whl#egg=other
git+https://example.com/team/athena-reports-plugins.git
./wheels/athena_reports_extras-1.0-py3-none-any.whl"""


@pytest.mark.parametrize(
    "ours",
    [
        "athena-reports==0.2.0",
        "athena-reports",
        "Athena_Reports >= 0.2, < 1  # the library",
        "athena-reports-cli[mwaa]==0.2.0",
        "athena-reports[delivery]==0.2.0",
        'athena-reports[delivery]==0.2.0 ; python_version >= "3.12" and sys_platform == "linux"',
        "athena.reports @ file:///project/wheels/athena_reports-0.2.0-py3-none-any.whl",
        "athena-reports==0.2.0 \\\n    --hash=sha256:"
        + "0" * 64
        + " \\\n    --hash=sha256:"
        + "1" * 64,
        "local-athena==0.1",
        "local_athena[serve]",
        "--find-links wheels",
        "--find-links=./wheels/  # of the library",
        "-f wheels",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_installs_the_library_is_left_out_and_all_else_stays(ours: str, end: str) -> None:
    lines = THEIRS.replace("\n", end)
    assert bundled_requirements(f"{ours}\n{lines}") == lines
    assert bundled_requirements(f"{lines}{end}{ours}") == f"{lines}{end}"


@pytest.mark.parametrize(
    "ours",
    [
        "wheels/athena_reports-0.2.0-py3-none-any.whl",
        "./wheels/local_athena-0.1-py3-none-any.whl",
        "../athena-reports",
        "-e ../athena-reports",
        "--editable=../athena-reports[delivery]",
        "git+https://example.com/team/athena-reports.git@v0.2.0",
        "https://example.com/athena-reports/archive/v0.2.0.tar.gz",
        "https://example.com/x.zip#egg=athena-reports",
    ],
)
def test_a_form_that_is_not_left_out_is_refused_with_its_line(ours: str) -> None:
    with pytest.raises(DeployError) as refused:
        bundled_requirements(f"{THEIRS}\n\n{ours}\n")
    line = THEIRS.count("\n") + 3
    assert f"requirements.txt, line {line}: {ours!r} installs this library" in str(refused.value)
    assert "Write athena-reports==<version> instead" in str(refused.value)


@pytest.mark.parametrize("ours", ["athena-reports[lineage]==0.2.0", "Athena_Reports[mwaa,lineage]"])
def test_the_extra_that_would_be_lost_is_refused_with_what_to_write(ours: str) -> None:
    with pytest.raises(DeployError) as refused:
        bundled_requirements(f"{THEIRS}\n{ours}\n")
    line = THEIRS.count("\n") + 2
    assert f"requirements.txt, line {line}: {ours!r} asks for an extra" in str(refused.value)
    advice = "athena-reports==<version>, and apache-airflow-providers-openlineage==<version>"
    assert f"Write {advice} in a line of its own." in str(refused.value)
    written = "athena-reports==0.2.0\napache-airflow-providers-openlineage==2.20.0\n"
    assert bundled_requirements(written) == "apache-airflow-providers-openlineage==2.20.0\n"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("-r more.txt", "more.txt"),
        ("--requirement=../more.txt  # of the team", "../more.txt"),
        ("-c./constraints.txt", "./constraints.txt"),
        ("--constraint constraints.txt", "constraints.txt"),
        ('-r "locked.txt"', "locked.txt"),
        ("-c /home/me/constraints.txt", "/home/me/constraints.txt"),
    ],
)
def test_a_file_that_mwaa_does_not_get_is_refused(line: str, path: str) -> None:
    """pip would fail there, which MWAA only logs."""
    with pytest.raises(DeployError) as refused:
        bundled_requirements(f"requests\n{line}\n")
    assert f"line 2: MWAA gets no file {path!r}, so pip would install" in str(refused.value)
    assert "name it as /usr/local/airflow/dags/<file>." in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "-r /usr/local/airflow/dags/more.txt",
        "--constraint=https://example.com/constraints.txt",
        '--constraint "/usr/local/airflow/dags/constraints.txt"',
    ],
)
def test_a_file_that_mwaa_has_or_reaches_stays(line: str) -> None:
    assert bundled_requirements(line) == line


@pytest.mark.parametrize("end", ["\\", "\\\n"])
def test_a_backslash_at_the_end_of_the_file_hides_nothing(end: str, tmp_path: Path) -> None:
    theirs = f"requests==2.0\nsix==1.0 {end}"
    assert bundled_requirements(theirs) == theirs
    assert bundled_requirements(f"requests==2.0\nathena-reports==0.2.0 {end}") == "requests==2.0\n"
    assert asks_for_hashes(f"requests==2.0\nsix==1.0 --hash=sha256:0 {end}", tmp_path)


@pytest.mark.parametrize(
    ("text", "in_dags", "expected"),
    [
        ("requests==2.0\n", "", False),
        ("# --hash=sha256:0\nrequests\n", "", False),
        ("requests==2.0 \\\n  --hash=sha256:0\n", "", True),
        ("requests==2.0 --hash sha256:0\n", "", True),
        ("--require-hashes\nrequests==2.0\n", "", True),
        ("-r /usr/local/airflow/dags/more.txt\n", "six==1\n", False),
        ("-r /usr/local/airflow/dags/more.txt\n", "six==1 --hash=sha256:0\n", True),
        ("-r /usr/local/airflow/dags/other.txt\n", "six==1 --hash=sha256:0\n", False),
        ("-r /usr/local/airflow/dags/more.txt\nsix --hash=sha256:0\n", "requests==2.0\n", True),
    ],
)
def test_hashes_are_seen_wherever_pip_reads_them(
    text: str, in_dags: str, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / "more.txt").write_text(in_dags)
    assert asks_for_hashes(text, tmp_path) is expected
