"""S3, Glue, STS, SNS, SQS and Athena on this machine: one process, one endpoint, real services.

`local-athena serve` serves on 127.0.0.1 until it is stopped; in Python,
`LocalAws.start()` does. Any AWS client reaches it by that endpoint URL and nothing else.
The README of the project says what it does, what it refuses and where it differs from AWS.
"""

from local_athena.server import LocalAws, PortInUseError

__all__ = ["LocalAws", "PortInUseError"]
