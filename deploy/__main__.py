"""`python -m deploy`: what `make bundle`, `mwaa-check`, `deploy-guided`, `deploy` and `rollback` run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.bundle import build_bundle
from deploy.errors import DeployError
from deploy.rollout import Rollout, deploy
from deploy.target import read_target

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "dist" / "mwaa"

_GOES_ON = (
    "Interrupted. If an update of the environment has begun, it goes on in AWS: wait until it is over, and "
    "run the same command again, which finishes what was begun."
)
_INTERRUPTED = {
    "check": "Interrupted; everything that was started has been stopped.",
    "deploy": _GOES_ON,
    "rollback": _GOES_ON,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (DeployError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"\nAWS: {error}\nThe same command, run again, goes on where this one ended.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{_INTERRUPTED.get(options.command, 'Interrupted.')}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bundle = commands.add_parser("bundle", help="build what MWAA takes")
    bundle.add_argument("--env", required=True, help="environment, as in deploy/environments/")
    bundle.add_argument("--to", type=Path, default=BUNDLE, help="folder to write (default: dist/mwaa)")
    bundle.set_defaults(run=_bundle)
    check = commands.add_parser("check", help="run a bundle in a twin of MWAA's image")
    check.add_argument("--version", required=True, help="Airflow's, such as 3.3.1")
    check.add_argument("--bundle", type=Path, default=BUNDLE, help="the bundle (default: dist/mwaa)")
    check.set_defaults(run=_check)
    guided = commands.add_parser("guided", help="ask where to deploy, and remember it")
    guided.set_defaults(run=_guided)
    for name in ("region", "account", "mwaa-environment", "report-bucket", "query-results", "stack"):
        guided.add_argument(f"--{name}", help="the answer, instead of being asked")
    guided.add_argument("--committed-only", choices=("yes", "no"), help="the answer, instead of being asked")
    guided.add_argument("--take-defaults", action="store_true", help="take defaults instead of asking")
    deploying = commands.add_parser("deploy", help="deploy to Amazon MWAA")
    deploying.set_defaults(run=_deploy)
    deploying.add_argument("--no-check", action="store_true", help="leave out the check in the twin")
    rollback = commands.add_parser("rollback", help="go back to the release before")
    rollback.set_defaults(run=_rollback)
    for each in (guided, deploying, rollback):
        each.add_argument("--env", required=True, help="environment, as in deploy/environments/")
    for each in (deploying, rollback):
        each.add_argument("--replace", action="store_true", help="replace what others have put in the way")
        each.add_argument("--take-over", action="store_true", help="go on though another may be under way")
        each.add_argument("--dry-run", action="store_true", help="only say what would be changed")
    for each in (check, deploying):
        each.add_argument(
            "--constraints",
            default="",
            help="the image's constraints: path or URL, 'none' for none (default: those kept, or Airflow's own)",
        )
        each.add_argument("--installed", default="", help="list of the image's packages: path, URL or 'none'")
        each.add_argument("--python", default="", help="looked at first for a Python 3.12")
    return parser


def _bundle(options: argparse.Namespace) -> None:
    bundle = build_bundle(ROOT, options.env, options.to)
    size = sum((bundle.folder / path).stat().st_size for path in bundle.files)
    print(f"{len(bundle.files)} files, {size / 1e3:,.0f} kB, of {options.env} are in {bundle.folder}")
    if bundle.unset:
        print(f"Not ready for AWS: {bundle.unset} deploy/environments/{options.env}.env is the place.")


def _check(options: argparse.Namespace) -> None:
    _run_in_twin(options, options.bundle, options.version)


def _run_in_twin(options: argparse.Namespace, bundle: Path, version: str) -> None:
    from deploy.check import check_bundle
    from deploy.twin import NEWEST, Image, newest_airflow

    image = Image(
        newest_airflow() if version == NEWEST else version, constraints=options.constraints, installed=options.installed
    )
    check_bundle(bundle, image, work=ROOT / ".airflow" / "mwaa", python=options.python)


def _guided(options: argparse.Namespace) -> None:
    from deploy.guided import Options, guide

    given = {field.name: getattr(options, field.name) for field in fields(Options)}
    guide(ROOT, options.env, boto3.Session(), Options(**given), _say)


def _deploy(options: argparse.Namespace) -> None:
    def check(version: str) -> None:
        _run_in_twin(options, BUNDLE, version)

    deploy(
        ROOT,
        options.env,
        BUNDLE,
        boto3.Session(),
        _say,
        check=None if options.no_check else check,
        replace_others=options.replace,
        take_over=options.take_over,
        dry_run=options.dry_run,
    )
    _end(options)


def _rollback(options: argparse.Namespace) -> None:
    rollout = Rollout(read_target(ROOT, options.env), boto3.Session(), _say)
    rollout.roll_back(replace_others=options.replace, take_over=options.take_over, dry_run=options.dry_run)
    _end(options)


def _end(options: argparse.Namespace) -> None:
    if options.dry_run:
        _say("this was a dry run: nothing was changed")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
