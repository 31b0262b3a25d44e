"""Locations in S3."""

from __future__ import annotations

import re

from local_athena.athena.errors import ApiError

_S3_FOLDER = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?"


def s3_folder(location: str, name: str) -> str:
    """Return an S3 location with a slash at its end."""
    if not re.fullmatch(_S3_FOLDER, location, flags=re.DOTALL):
        raise ApiError(f"{name} is not a valid S3 path: {location}")
    return location if location.endswith("/") else f"{location}/"
