"""What the package adds to Airflow; tests/e2e/test_page.py has Airflow show it."""

from fastapi.testclient import TestClient

from athena_reports.plugin import AthenaReportsPlugin
from athena_reports.scheduling.asset_partitions import PeriodMapper, PeriodWindow
from athena_reports.scheduling.priority import ScheduleFirst
from athena_reports.scheduling.timetable import PeriodTimetable


def test_airflow_is_told_of_each_class_that_it_reads_from_its_database() -> None:
    plugin = AthenaReportsPlugin
    assert plugin.name == "athena_reports"
    assert plugin.timetables == [PeriodTimetable]
    assert plugin.partition_mappers == [PeriodMapper]
    assert plugin.windows == [PeriodWindow]
    assert plugin.priority_weight_strategies == [ScheduleFirst]


def test_the_page_is_served_where_the_navigation_leads_with_an_icon_for_each_theme() -> None:
    (app,) = AthenaReportsPlugin.fastapi_apps
    (view,) = AthenaReportsPlugin.external_views
    assert (app["url_prefix"], app["name"]) == ("/athena-reports", "Athena reports")
    assert view == {
        "name": "Reports",
        # Relative to Airflow, which need not be the root of its host.
        "href": "athena-reports/",
        "url_route": "athena-reports",
        "destination": "nav",
        "nav_top_level": True,
        "icon": "athena-reports/static/icon.svg",
        "icon_dark_mode": "athena-reports/static/icon-dark.svg",
    }
    client = TestClient(app["app"])
    for name in ("href", "icon", "icon_dark_mode"):
        path = view[name].removeprefix("athena-reports")
        assert client.get(path).status_code == 200, path
