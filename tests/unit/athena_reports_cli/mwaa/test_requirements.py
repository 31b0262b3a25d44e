"""What of a project's requirements.txt pip gets to see on MWAA."""

from __future__ import annotations

import pytest

from athena_reports_cli.mwaa import BundleError
from athena_reports_cli.mwaa.requirements import bundled_requirements

THEIRS = """\
# What our reports need besides; athena-reports is in plugins.zip.

requests>=2 # for the alerts
athena-reports-extras==1.0
my-athena-reports==3
pyathena[arrow]==3.0 ; python_version >= "3.12"
--extra-index-url https://packages.example.com/athena-reports/simple
-r /usr/local/airflow/dags/more.txt
other @ https://example.com/other-1.0-py3-none-any.whl#egg=other
git+https://example.com/team/athena-reports-plugins.git
./wheels/athena_reports_extras-1.0-py3-none-any.whl"""


@pytest.mark.parametrize(
    "ours",
    [
        "athena-reports==0.2.0",
        "Athena_Reports >= 0.2, < 1  # the library",
        "athena-reports-cli[mwaa]==0.2.0",
        'athena-reports[delivery]==0.2.0 ; python_version >= "3.12" and sys_platform == "linux"',
        "athena.reports @ file:///project/wheels/athena_reports-0.2.0-py3-none-any.whl",
        "athena-reports==0.2.0 \\\n    --hash=sha256:" + "0" * 64,
        "local_athena[serve]",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_installs_the_library_is_left_out_and_all_else_stays(ours: str, end: str) -> None:
    lines = THEIRS.replace("\n", end)
    assert bundled_requirements(f"{ours}\n{lines}") == THEIRS.splitlines()
    assert bundled_requirements(f"{lines}{end}{ours}") == THEIRS.splitlines()


def test_a_requirement_over_several_lines_stays_one() -> None:
    theirs = "pinned==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
    (line,) = bundled_requirements(theirs)
    assert line.split() == ["pinned==1.0", "--hash=sha256:00", "--hash=sha256:11"]


def test_the_extra_that_would_be_lost_is_refused_with_what_to_write() -> None:
    with pytest.raises(BundleError) as refused:
        bundled_requirements(f"{THEIRS}\nathena-reports[lineage]==0.2.0\n")
    assert str(refused.value) == (
        "requirements.txt: athena-reports[lineage]==0.2.0 has an extra that MWAA would not"
        " install, because the bundle includes the library in plugins.zip. Remove the extra, and"
        " add the line apache-airflow-providers-openlineage==<version>."
    )
