"""Writes the ledger anew: `python -m tests.renew_ledger [--show] [KIND...]`.

With kinds it only runs these and writes nothing; `--show` prints what is wrong about each
statement that is not right.
"""

from __future__ import annotations

import argparse

from tests import judgement, statement_tables
from tests.judgement import Verdict
from tests.statement import load


def main() -> None:
    """Run all statements and write the ledger, or look at some kinds of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    statements = [
        each for each in load() if not options.kinds or each.id.split("/")[0] in options.kinds
    ]
    verdicts: dict[str, Verdict] = {}
    with statement_tables.serve() as account:
        for statement in statements:
            judged = judgement.judge(statement, account)
            if judged.verdict is not Verdict.RIGHT:
                verdicts[statement.id] = judged.verdict
                if options.show:
                    expected = statement.errors or statement.rows
                    print(f"{judged.verdict}: {statement.id}\n  {expected}\n  {judged.answered!r}")
    if not options.kinds:
        judgement.write_ledger(verdicts)
    print(f"{len(verdicts)} of {len(statements)} statements are not right")


if __name__ == "__main__":
    main()
