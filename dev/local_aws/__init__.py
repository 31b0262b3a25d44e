"""S3, Glue, STS, SNS, SQS and Athena on this machine: one process, one endpoint, real services.

`python -m local_aws --port 4566` serves on 127.0.0.1 until it is stopped; in Python,
`LocalAws.start()` does. Any AWS client reaches it by that endpoint URL and nothing else.
`README.md` beside this file says what it does, what it refuses and where it differs from AWS.
"""

from local_aws.server import LocalAws, PortInUseError

__all__ = ["LocalAws", "PortInUseError"]
