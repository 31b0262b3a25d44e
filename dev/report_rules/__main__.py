"""`python -m report_rules`: holds the reports against the rules.

`make check` runs it, and `make golden` runs it with --renew.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

from report_rules.sql_style import StyleBeside

ROOT = Path(__file__).resolve().parents[2]
_FINDINGS = 10


def main() -> int:
    """Print what breaks a rule; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m report_rules", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="write the golden files first")
    renew = parser.parse_args().renew
    begun = time.monotonic()
    # The process ends before there is much garbage. To look for it takes a tenth of the time.
    gc.disable()
    golden = [file.read_text("utf-8") for file in sorted(ROOT.glob("tests/reports/*/golden/*.sql"))]
    with tempfile.TemporaryDirectory() as home, StyleBeside(golden) as style:
        _set_environment(home)
        # Airflow reads its configuration when it is imported.
        from report_rules import dag_rules, sql_rules

        repository = dag_rules.Repository(ROOT, style.violations)
        if renew:
            changed = sql_rules.renew(repository)
            print("\n".join(map(str, changed)) or "The golden files are as they should be.")
        broken = 0
        for rule in [*dag_rules.RULES, *sql_rules.RULES]:
            findings = rule(repository)
            broken += len(findings)
            if findings:
                reason = " ".join(str(rule.__doc__).split())
                print(f"\n{rule.__name__}: {reason}")
                shown = findings[:_FINDINGS]
                if len(findings) > _FINDINGS:
                    shown.append(f"... and {len(findings) - _FINDINGS} more")
                for finding in shown:
                    print("    " + finding.replace("\n", "\n    "))
        files, dags = len(repository.files), len(repository.reports)
    seconds = time.monotonic() - begun
    found = f"\nThe rules are in dev/report_rules. Findings: {broken}" if broken else "No finding"
    print(f"{found} in {files} DAG files, {dags} DAGs of reports; {seconds:.0f} s")
    return 1 if broken else 0


def _set_environment(home: str) -> None:
    """What is found depends on the repository alone: not on the shell, nor on an account."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW", "AWS_", "ATHENA_REPORTS_")):
            del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "50",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "ATHENA_REPORTS_ENV": "dev",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


if __name__ == "__main__":
    sys.exit(main())
