"""What holds for the reports of this repository: the rules that `make check` looks at, each with its reason."""
