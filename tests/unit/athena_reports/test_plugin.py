"""What the package adds to Airflow; tests/airflow/page has Airflow show it."""

from fastapi.testclient import TestClient

from athena_reports.plugin import AthenaReportsPlugin


def test_the_page_is_served_where_the_navigation_leads_with_an_icon_for_each_theme() -> None:
    (app,) = AthenaReportsPlugin.fastapi_apps
    (view,) = AthenaReportsPlugin.external_views
    client = TestClient(app["app"])
    for name in ("href", "icon", "icon_dark_mode"):
        # Relative to Airflow, which need not be the root of its host.
        folder, _, path = view[name].partition("/")
        assert f"/{folder}" == app["url_prefix"]
        assert client.get(f"/{path}").status_code == 200, path
    assert ["dark" in view[name] for name in ("icon", "icon_dark_mode")] == [False, True]
