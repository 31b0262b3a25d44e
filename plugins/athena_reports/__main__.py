"""`python -m athena_reports`: the command line for those who write reports."""

from athena_reports.authors.command_line import main

main()
