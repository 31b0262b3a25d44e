"""`python -m demo.keep`: write the demo's lakes as tables that this project keeps, in `.lake/`."""

from __future__ import annotations

from pathlib import Path

from athena_reports_cli.local.project import find_project
from demo.lake import keep_demo

if __name__ == "__main__":
    keep_demo(find_project(Path(__file__).parent).lake)
