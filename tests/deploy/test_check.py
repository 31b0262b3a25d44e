from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy import check as module
from deploy.check import check_bundle
from deploy.errors import CheckError
from deploy.twin import Image, Twin

COMPONENTS = ("scheduler", "dag-processor", "triggerer", "worker")


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    """A twin whose plugins folder holds a plugin and the probe, before any component has started."""
    twin = Twin(tmp_path / "twin")
    (twin.home / "plugins").mkdir(parents=True)
    (twin.home / "plugins" / "our_plugin.py").write_text("")
    twin.add_probe()
    return twin


def note(twin: Twin, component: str, *plugins: str) -> None:
    with twin.notes.open("a") as notes:
        notes.write(json.dumps({"component": component, "plugins": plugins}) + "\n")


def test_every_component_must_have_loaded_every_plugin(twin: Twin) -> None:
    for component in COMPONENTS:
        note(twin, component, "our_plugin", "probe_plugin")
    assert module._check_components(twin) == sorted(COMPONENTS)

    note(twin, "worker", "probe_plugin")
    with pytest.raises(CheckError, match="worker runs without the plugins our_plugin"):
        module._check_components(twin)


@pytest.mark.parametrize("missing", COMPONENTS)
def test_a_component_in_which_no_plugin_was_loaded_is_named(twin: Twin, missing: str) -> None:
    for component in COMPONENTS:
        if component != missing:
            note(twin, component, "our_plugin", "probe_plugin")
    with pytest.raises(CheckError, match=rf"No plugin was loaded in {missing}\."):
        module._check_components(twin)


def test_a_bundle_that_was_changed_after_it_was_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="make bundle"):
        check_bundle(tmp_path, Image("3.3.1"), work=tmp_path / "twins")
    (tmp_path / "startup.sh").write_text("export ATHENA_REPORTS_ENV=prd\n")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  startup.sh\n")
    with pytest.raises(CheckError, match=r"startup\.sh is not the one that was built"):
        check_bundle(tmp_path, Image("3.3.1"), work=tmp_path / "twins")
    assert not (tmp_path / "twins").exists()


@pytest.mark.parametrize(
    "said",
    [
        "<function period at 0x7f>",
        "athena_reports.periods.macros.period",
        "<class 'athena_reports.periods.macros.period'>",
        "period",
    ],
)
def test_a_macro_is_known_by_its_name_however_a_version_of_airflow_says_it(said: str) -> None:
    assert module._last_word(said) == "period"
