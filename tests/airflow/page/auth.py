"""An auth manager with a user who may read some DAGs only;
with the simple one every viewer reads all.

As with FAB's, the right to some DAGs is no right to all of them, which is asked for without an id.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

OUTSIDER = "outsider"
READABLE = "shop_"


class SomeDagsAuthManager(SimpleAuthManager):
    """Lets the outsider read the DAGs of the shop and nothing else."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **kwargs: Any) -> bool:
        dag_id = details.id if details else None
        hidden = user.username == OUTSIDER and not (dag_id or "").startswith(READABLE)
        return not hidden and super().is_authorized_dag(user=user, details=details, **kwargs)
