"""What containers of docker-compose.yaml run once: `python -m airflow_local.compose secrets`, `migrate`, `ready`."""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

_USER = "admin"
_OWNER = 0o600  # Airflow alone
_GROUP = 0o640  # PostgreSQL and Redis too
_ACCOUNT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


class ComposeError(Exception):
    """A container cannot do its part; the message says what to change."""


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_local.compose", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("secrets", help="write the secrets that are not there yet")
    writing.add_argument("folder", type=Path)
    writing.add_argument("--database", required=True, help="host:port/name of PostgreSQL")
    writing.add_argument("--broker", required=True, help="host:port/number of Redis")
    commands.add_parser("migrate", help="check the settings and prepare the database")
    telling = commands.add_parser("ready", help="say where to look")
    telling.add_argument("folder", type=Path)
    telling.add_argument("--aws", required=True, help="address of the local services on this machine")
    options = parser.parse_args(arguments)
    try:
        if options.command == "secrets":
            write_secrets(options.folder, options.database, options.broker)
        elif options.command == "migrate":
            migrate(os.environ)
        else:
            print(where_to_look(os.environ, options.folder, options.aws))
    except ComposeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def write_secrets(folder: Path, database: str, broker: str) -> None:
    """Write the secrets that are not there yet; one that is there stays as it is.

    Args:
        folder: Where, a file each.
        database: `host:port/name` of PostgreSQL.
        broker: `host:port/number` of Redis.

    Raises:
        ComposeError: The folder cannot be written to.
    """

    def keep(name: str, make: Callable[[], str], mode: int = _OWNER) -> str:
        path = folder / name
        if not path.exists():
            _write(path, make(), mode)
        return path.read_text()

    try:
        keep("fernet-key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        keep("jwt-secret", lambda: secrets.token_urlsafe(64))
        keep("api-secret-key", lambda: secrets.token_urlsafe(32))
        password = keep("admin-password", lambda: secrets.token_urlsafe(12))
        keep("passwords.json", lambda: json.dumps({_USER: password}))
        of_database = keep("database-password", lambda: secrets.token_urlsafe(24), _GROUP)
        keep("database-url", lambda: f"postgresql+psycopg2://airflow:{of_database}@{database}")
        of_broker = keep("broker-password", lambda: secrets.token_urlsafe(24), _GROUP)
        keep("broker-url", lambda: f"redis://:{of_broker}@{broker}")
        keep("redis.conf", lambda: f"requirepass {of_broker}\nsave ''\n", _GROUP)
    except OSError as error:
        raise ComposeError(
            f"The secrets cannot be kept: {error}. Their volume has to belong to this container's user: "
            f"`docker compose down --volumes` removes it, and the metadata, and the next start makes it anew."
        ) from error


def migrate(environment: Mapping[str, str]) -> None:
    """Check the settings of the reports, and bring the database to Airflow's schema.

    Raises:
        ComposeError: A setting is missing or wrong, or Airflow's command failed.
    """
    from athena_reports.errors import SettingsError
    from athena_reports.settings import read_settings

    missing = [name for name in _ACCOUNT if not environment.get(name)]
    if missing and not environment.get("AWS_ENDPOINT_URL"):
        raise ComposeError(
            f"{', '.join(missing)}: not set. An empty AWS_ENDPOINT_URL means an AWS account: give its "
            f"credentials and region, or unset AWS_ENDPOINT_URL to work with the local services."
        )
    try:
        read_settings(environment)
    except SettingsError as error:
        raise ComposeError(str(error)) from error
    _airflow("db", "migrate")


def where_to_look(environment: Mapping[str, str], folder: Path, local_aws: str) -> str:
    """Return where Airflow is, who may come in, and which AWS it works with.

    Args:
        environment: The variables of an Airflow component.
        folder: Where the secrets are in the API server's container.
        local_aws: Address of the local services on this machine.
    """
    url = environment["AIRFLOW__API__BASE_URL"]
    is_local = environment.get("AWS_ENDPOINT_URL")
    aws = f"{local_aws}  (S3, Glue, Athena)" if is_local else f"AWS in {environment['AWS_DEFAULT_REGION']}"
    return (
        f"Airflow   {url}\n"
        f"User      {_USER}\n"
        f"Password  docker compose exec api-server cat {folder / 'admin-password'}\n"
        f"Reports   {url}/athena-reports/\n"
        f"AWS       {aws}"
    )


def _airflow(*arguments: str) -> None:
    command = ["airflow", *arguments]
    code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    if code != 0:
        raise ComposeError(f"`{' '.join(command)}` ended with exit code {code}; what it printed is above.")


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file at once or not at all, never readable by more than it is meant for."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
