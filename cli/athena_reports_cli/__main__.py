"""`python -m athena_reports` is the command line `athena-reports`."""

from athena_reports.authors.command_line import main

main()
