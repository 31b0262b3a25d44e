"""What holds for the reports of a project: the rules of `check`, each with its reason."""
