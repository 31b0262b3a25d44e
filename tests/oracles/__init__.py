"""What the reports must say, counted by a few lines of plain Python.

Nothing here shares code with the SQL, with the library or with its periods: bounds are handed in.
"""
