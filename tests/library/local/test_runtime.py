"""A local Airflow whose components are small programs.

tests/e2e/test_runtime.py starts real ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from athena_reports.local.runtime import AirflowConfig, AirflowRuntime

# Stands for the command `airflow`. Each component writes down its variables. The API server tells a
# new heartbeat of a component not at once after its start, but at the third look.
AIRFLOW = """#!{python} -S
import json
import os
import sys
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

def now():
    return datetime.now(timezone.utc).isoformat()

command, options = sys.argv[1], sys.argv[2:]
home = Path(os.environ["AIRFLOW_HOME"])
(home / f"{{command}}.variables").write_text(json.dumps(dict(os.environ)))
if command == "db":
    sys.exit()
if command != "api-server":
    (home / f"{{command}}.pid").write_text(str(os.getpid()))
    while True:
        time.sleep(60)

def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

heartbeats = {{}}
looks = {{}}

def state(kind):
    file = home / f"{{kind.replace('_', '-')}}.pid"
    pid = file.read_text() if file.exists() else ""
    looks[pid] = looks.get(pid, 0) + 1
    if pid and is_running(int(pid)) and looks[pid] >= 3:
        heartbeats[kind] = now()
    heartbeat = heartbeats.get(kind)
    return {{"status": "healthy" if heartbeat else None, f"latest_{{kind}}_heartbeat": heartbeat}}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {{"import_errors": [], "dags": [], "total_entries": 0}}
        if self.path.endswith("/monitor/health"):
            answer = {{kind: state(kind) for kind in ("scheduler", "triggerer", "dag_processor")}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass

ports = [option.removeprefix("--port=") for option in options if option.startswith("--port=")]
port = int((ports or [os.environ["AIRFLOW__API__PORT"]])[0])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def config(tmp_path: Path) -> AirflowConfig:
    """What starts the small programs."""
    command = tmp_path / "bin" / "airflow"
    command.parent.mkdir()
    command.write_text(AIRFLOW.format(python=sys.executable))
    command.chmod(0o755)
    return AirflowConfig(
        home=tmp_path / "home",
        dags_folder=tmp_path,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
        components=("api-server", "scheduler"),
        python=command.with_name("python"),
    )


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shell that is set up for an account."""
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__PARALLELISM", "none")
        patch.setenv("AWS_PROFILE", "production")
        patch.setenv("AWS_ENDPOINT_URL", "https://athena.example.com")
        patch.setenv("ATHENA_REPORTS_BUCKET", "athena-report-prd")
        patch.setenv("OF_THE_TEAM", "yes")
        yield


@pytest.mark.usefixtures("shell")
def test_components_have_nothing_of_the_account_of_the_shell_and_are_waited_for(
    config: AirflowConfig,
) -> None:
    started_at = datetime.now(UTC)
    with AirflowRuntime(config) as airflow:
        heartbeat = airflow.client.health()["scheduler"]["latest_scheduler_heartbeat"]
        assert datetime.fromisoformat(heartbeat) > started_at
        for command in ("db", "api-server", "scheduler"):
            text = (config.home / f"{command}.variables").read_text()
            variables: dict[str, str] = json.loads(text)
            assert variables["OF_THE_TEAM"] == "yes"
            assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
            assert variables["AIRFLOW__CORE__PARALLELISM"] == "4"
            assert "AWS_PROFILE" not in variables
            assert not [name for name in variables if name.startswith("ATHENA_REPORTS_")]

        # A heartbeat of the process that was killed does not count.
        restarted_at = datetime.now(UTC)
        airflow.restart("scheduler")
        heartbeat = airflow.client.health()["scheduler"]["latest_scheduler_heartbeat"]
        assert datetime.fromisoformat(heartbeat) > restarted_at
