"""What holds for this repository's reports: the rules of `make check`, each with its reason."""
