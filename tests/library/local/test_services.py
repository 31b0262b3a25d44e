from __future__ import annotations

import pytest

from athena_reports.local.services import Services, environment_without


def test_what_a_started_process_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_RUNTIME_URL",
        "GITHUB_TOKEN",
        "AWS_PROFILE",
        "OURS",
    ):
        monkeypatch.setenv(name, "x")
    inherited = environment_without("AWS_")
    assert "OURS" in inherited
    assert not [name for name in inherited if name.startswith(("ACTIONS_", "GITHUB_TOKEN", "AWS_"))]


def test_an_environment_beside_many_workgroups_can_be_prepared_again(
    running_services: Services,
) -> None:
    for number in range(60):  # more than a page of ListWorkGroups has
        running_services.athena.create_work_group(Name=f"another-{number:02}")
    for _ in range(2):
        running_services.prepare("zulu")
    group = running_services.athena.get_work_group(WorkGroup="zulu")["WorkGroup"]
    location = group["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert location == "s3://athena-query-result-zulu/"
