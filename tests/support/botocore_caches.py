"""What botocore would compute anew for each session and each client, computed once.

Tests make thousands of both, and a process of the library a few. What is kept is read from
botocore's own files, or follows from its code alone: nothing of it depends on a test.
"""

from __future__ import annotations

import functools
from types import MethodType
from typing import Any

import botocore.client
import botocore.hooks
import botocore.regions
import botocore.session
import pytest


def keep(patch: pytest.MonkeyPatch) -> None:
    """Keep it for as long as the patch lasts."""
    patch.setattr(
        botocore.session, "create_loader", functools.cache(botocore.session.create_loader)
    )
    _keep_names_of_events(patch)
    _keep_models_and_classes(patch)
    _keep_rules_of_endpoints(patch)


def _keep_names_of_events(patch: pytest.MonkeyPatch) -> None:
    """A session registers hundreds of handlers, looks at the arguments of each, and looks for the
    name of each event among botocore's aliases.
    """
    find_name = botocore.hooks.EventAliaser._alias_event_name
    find_kwargs = functools.cache(botocore.hooks.accepts_kwargs)
    names: dict[str, str] = {}

    def name_of(aliaser: Any, event_name: str) -> str:
        if event_name not in names:
            names[event_name] = find_name(aliaser, event_name)
        return names[event_name]

    def accepts_kwargs(handler: Any) -> Any:
        # A method is kept without its object.
        return find_kwargs(handler.__func__ if isinstance(handler, MethodType) else handler)

    patch.setattr(botocore.hooks.EventAliaser, "_alias_event_name", name_of)
    patch.setattr(botocore.hooks, "accepts_kwargs", accepts_kwargs)


def _keep_models_and_classes(patch: pytest.MonkeyPatch) -> None:
    """A client parses the model of its service when it uses it, and has a class of its own with a
    method for each operation.
    """
    creator = botocore.client.ClientCreator
    load_model = creator._load_service_model
    make_class = creator._create_client_class
    models: dict[tuple[str, str | None], Any] = {}
    classes: dict[str, type] = {}

    def model_of(self: Any, service_name: str, api_version: str | None = None) -> Any:
        key = (service_name, api_version)
        if key not in models:
            models[key] = load_model(self, service_name, api_version)
        return models[key]

    def class_of(self: Any, service_name: str, service_model: Any) -> type:
        if service_name not in classes:
            classes[service_name] = make_class(self, service_name, service_model)
        return classes[service_name]

    patch.setattr(creator, "_load_service_model", model_of)
    patch.setattr(creator, "_create_client_class", class_of)


def _keep_rules_of_endpoints(patch: pytest.MonkeyPatch) -> None:
    """A client builds a tree of rules, from which each call gets its endpoint."""
    make_provider = botocore.regions.EndpointProvider
    kept: dict[Any, tuple[Any, ...]] = {}

    def provider_of(ruleset_data: Any, partition_data: Any, excluded_params: Any = None) -> Any:
        key = (id(ruleset_data), id(partition_data), frozenset(excluded_params or ()))
        if key not in kept:
            provider = make_provider(ruleset_data, partition_data, excluded_params)
            # The data too: without it, others could get its id.
            kept[key] = (provider, ruleset_data, partition_data)
        return kept[key][0]

    patch.setattr(botocore.regions, "EndpointProvider", provider_of)
