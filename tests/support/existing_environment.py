"""The page on an existing MWAA environment, and the VPC endpoints that it lists."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "existing-environment.md"
OF_MWAA = "Your environment already has the endpoints of MWAA"
OF_REPORTS = "The reports call these:"


def endpoints_below(line: str) -> set[str]:
    """The services of the list that follows a line: `athena` of `com.amazonaws.<region>.athena`."""
    after = PAGE.read_text(encoding="utf-8").partition(f"\n{line}")[2]
    (_, items, *_) = after.split("\n\n")
    services = re.findall(r"^- `com\.amazonaws\.<region>\.([\w.]+)`", items, re.MULTILINE)
    assert len(services) == len(set(services)) == items.count("\n- ") + 1
    return set(services)
