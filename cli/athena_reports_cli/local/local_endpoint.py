"""Whether a client of AWS calls local services, which is where some commands write."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from athena_reports.errors import AthenaReportsError


class RemoteEndpointError(AthenaReportsError):
    """A command that writes to local services only would call others."""


def remote_endpoint(client: Any) -> str:
    """Return where a client calls its service, as `The glue endpoint of this shell is https://...`.

    It is empty if that is this machine, or a container beside this one. The client has the endpoint
    from whatever names it: a variable or a profile.
    """
    url = str(client.meta.endpoint_url)
    if _is_local(urlsplit(url).hostname or ""):
        return ""
    service = client.meta.service_model.service_name
    return f"The {service} endpoint of this shell is {url}"


def require_local(*clients: Any) -> None:
    """Raise RemoteEndpointError unless all clients call local services."""
    for client in clients:
        endpoint = remote_endpoint(client)
        if endpoint:
            raise RemoteEndpointError(
                f"{endpoint}, which is not local. This command writes only to local services. Unset"
                " AWS_ENDPOINT_URL and ATHENA_REPORTS_ENV, and it starts them; or set"
                " AWS_ENDPOINT_URL to services that already run on this machine."
            )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name without a dot is one of a service of Docker Compose.
        is_on_this_machine = host == "host.docker.internal" or host.endswith(".localhost")
        return is_on_this_machine or (host != "" and "." not in host)
