"""`python -m athena_reports_cli` is the command line `athena-reports`."""

from athena_reports_cli.authoring.command_line import main

main()
