"""`python -m deploy bundle` and `python -m deploy check`: what `make bundle` and `make mwaa-check` run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.bundle import build_bundle
from deploy.errors import DeployError

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "dist" / "mwaa"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "bundle":
            _bundle(options)
        else:
            _check(options)
    except (DeployError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started has been stopped.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bundle = commands.add_parser("bundle", help="build what MWAA takes")
    bundle.add_argument("--env", required=True, help="environment, as in deploy/environments/")
    bundle.add_argument("--to", type=Path, default=BUNDLE, help="folder to write (default: dist/mwaa)")
    check = commands.add_parser("check", help="run a bundle in a twin of MWAA's image")
    check.add_argument("--version", required=True, help="Airflow's, such as 3.3.1")
    check.add_argument("--bundle", type=Path, default=BUNDLE, help="the bundle (default: dist/mwaa)")
    check.add_argument(
        "--constraints",
        default="",
        help="the image's constraints: path or URL; 'none' for none (default: those that Airflow publishes)",
    )
    check.add_argument("--installed", default="", help="list of the image's packages: path or URL")
    check.add_argument("--python", default="", help="a Python 3.12 (default: the first that works)")
    return parser


def _bundle(options: argparse.Namespace) -> None:
    bundle = build_bundle(ROOT, options.env, options.to)
    size = sum((bundle.folder / path).stat().st_size for path in bundle.files)
    print(f"{len(bundle.files)} files, {size / 1e3:,.0f} kB, of {options.env} are in {bundle.folder}")
    if bundle.unset:
        print(f"Not ready for AWS: {bundle.unset} deploy/environments/{options.env}.env is the place.")


def _check(options: argparse.Namespace) -> None:
    from deploy.check import check_bundle
    from deploy.twin import Image

    image = Image(options.version, constraints=options.constraints, installed=options.installed)
    check_bundle(options.bundle, image, work=ROOT / ".airflow" / "mwaa", python=options.python)


if __name__ == "__main__":
    sys.exit(main())
