"""Debian's Chromium, driven as a person drives it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

EXECUTABLE = "/usr/bin/chromium-headless-shell"
"""Chromium without windows. `chromium` draws them even where nobody sees them, which takes time."""

# It reaches nothing outside, and shows the same on every machine.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def launch(playwright: Playwright) -> Browser:
    """Start the browser; it ends with the context that it is entered as."""
    return playwright.chromium.launch(executable_path=EXECUTABLE, args=list(ARGUMENTS))


def log_in(page: Page, url: str, user: str, password: str) -> None:
    """Log in to Airflow's UI by its form."""
    page.goto(f"{url}/auth/login?next={url}/api/v2/version")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/api/v2/version")


@dataclass(frozen=True)
class Screenshots:
    """Pictures for the documentation, taken if the variable SCREENSHOTS is set."""

    folder: Path

    def take(self, page: Page, name: str, *schemes: Literal["light", "dark"]) -> None:
        if not os.environ.get("SCREENSHOTS"):
            return
        page.mouse.move(0, 0)
        page.evaluate("window.scrollTo(0, 0)")
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            # Airflow has an icon of the page for each scheme.
            page.wait_for_load_state("networkidle")
            page.screenshot(path=self.folder / f"{name}-{scheme}.png")
