"""`local-athena serve`, also `python -m local_athena serve`: serves until it is stopped."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from local_athena.athena.limits import GIGABYTE, Limits
from local_athena.server import HOST, LocalAws, PortInUseError


def main(arguments: list[str] | None = None) -> int:
    """Run a command. `serve` serves until SIGINT or SIGTERM."""
    return _serve(command_line().parse_args(arguments))


def command_line() -> argparse.ArgumentParser:
    """Return the commands and their options."""
    parser = argparse.ArgumentParser(
        "local-athena", description="S3, Glue, STS, SNS, SQS and Athena on this machine"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve them until stopped")
    _add_serve_options(serve)
    return parser


def _add_serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=4566, help="0 picks a free one (default 4566)")
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST})")
    parser.add_argument(
        "--workers", type=int, default=4, help="queries that Athena runs at once (default 4)"
    )
    parser.add_argument(
        "--max-active",
        type=int,
        help="queued and running queries that Athena takes (default: any number)",
    )
    limits = Limits()
    parser.add_argument(
        "--query-seconds",
        type=int,
        default=limits.cpu_seconds,
        help=f"processor time that a query may take (default {limits.cpu_seconds})",
    )
    gigabytes = limits.memory_bytes / GIGABYTE
    parser.add_argument(
        "--query-gigabytes",
        type=float,
        default=gigabytes,
        help=f"memory that the process of a query may take (default {gigabytes:g})",
    )
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="stop when standard input ends, so that it never outlives whoever started it",
    )
    parser.add_argument("--verbose", action="store_true", help="log each request")


def _serve(options: argparse.Namespace) -> int:
    # Blocked before any thread starts, so that only sigwait below takes them.
    stops = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        aws = LocalAws.start(
            options.port,
            host=options.host,
            workers=options.workers,
            max_active=options.max_active,
            limits=Limits(options.query_seconds, int(options.query_gigabytes * GIGABYTE)),
            verbose=options.verbose,
        )
    except PortInUseError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        print(error, file=sys.stderr)
        return 1
    with aws:
        services = "S3, Glue, STS, SNS, SQS, Athena"
        print(f"Local AWS at {aws.endpoint_url} ({services}); Ctrl-C stops it", flush=True)
        if options.until_input_ends:
            threading.Thread(target=_stop_when_input_ends, daemon=True).start()
        signal.sigwait(stops)
    return 0


def _stop_when_input_ends() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
