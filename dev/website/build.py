"""Builds the site of the documentation, into dist/site.

Pages and files of the repository have the same paths there, so links that work on GitHub work.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "dist" / ".pages"
_COPIED = (
    "*.md",
    "docs/**/*",
    "local_athena/README.md",
    "local_athena/CHANGELOG.md",
    "local_athena/docs/**/*",
    "local_athena/tests/statements/README.md",
    # What pages link that is no page
    "LICENSE",
    "cli/athena_reports_cli/mwaa/*.json",
    "dev/bench/results.json",
    "plugins/athena_reports/queries/execution.py",
)
_PYTHON_API = """\
# Python API in full

Signatures, types and docstrings of what `athena_reports` exports.

::: athena_reports

# Settings

::: athena_reports.settings

# Channels

`mail`, `slack` and `notify` are these classes.

::: athena_reports.delivery.channels

# Checks

::: athena_reports.rows.checks

# Transforms

::: athena_reports.rows.transforms
"""


def copy_pages() -> None:
    """Copy what the site consists of."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for pattern in _COPIED:
        for source in filter(Path.is_file, ROOT.glob(pattern)):
            copy = PAGES / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    (PAGES / "docs/reference/python.md").write_text(_PYTHON_API)


def main() -> None:
    """Copy the pages, and build."""
    copy_pages()
    build = [
        Path(sys.executable).with_name("zensical"),
        "build",
        "--clean",
        "--config-file",
        "mkdocs.yml",
    ]
    subprocess.run(build, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
