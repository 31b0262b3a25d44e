"""What authors declare: pydantic validates it, and a `ReportError` explains what is not valid."""

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, Self, TypeVar

import pydantic
from pydantic_core import ArgsKwargs, ErrorDetails

from athena_reports.errors import ReportError, suggestion

CONFIG = pydantic.ConfigDict(strict=True, extra="forbid")

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# What an author has to give, by the type of pydantic's error. Its context fills the braces.
_EXPECTED = {
    "bool_type": "True or False",
    "byte_size": "a size, such as '20 GB'",
    "callable_type": "a function",
    "date_type": "a date",
    "dict_type": "a dictionary",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_type": "a whole number",
    "is_instance_of": "a value of type {class}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "sequence_str": "a list",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_short": "non-empty text",
    "string_type": "text",
    "time_delta_type": "a timedelta, such as timedelta(hours=6)",
    "too_short": "at least one item",
}


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Declaration:
    """Base of the dataclasses that an author writes. A field that is not valid raises ReportError.

    The error names a declaration by its first field.
    """

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _explain(cls, given: ArgsKwargs, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except pydantic.ValidationError as error:
            kwargs = given.kwargs or {}
            name = given.args[0] if given.args else kwargs.get(_first_field(cls))
            field, problem = explain(error, cls, kwargs)
            raise ReportError(_label(cls, name), field, problem) from None

    def refuse(self, field: str, problem: str) -> NoReturn:
        """Raise a ReportError about a field."""
        name = getattr(self, _first_field(type(self)))
        raise ReportError(_label(type(self), name), field, problem)


def author_file() -> Path:
    """Return the file that calls this package."""
    for frame, _ in traceback.walk_stack(None):
        package = frame.f_globals["__name__"].partition(".")[0]
        if package not in ("athena_reports", "pydantic"):
            return Path(frame.f_code.co_filename).resolve()
    raise AssertionError("no file calls this package")


def validated(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function that an author calls, so that a wrong argument raises ReportError.

    The error names the declaration that the function works on, if that is its first argument.
    """
    validated_function = pydantic.validate_call(config=CONFIG)(function)

    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return validated_function(*args, **kwargs)
        except pydantic.ValidationError as error:
            field, problem = explain(error, function, kwargs)
            if args and isinstance(args[0], Declaration):
                args[0].refuse(field, problem)
            raise ReportError(f"{function.__name__}()", field, problem) from None

    return call


def explain(
    error: pydantic.ValidationError, declared: Callable[..., Any], kwargs: Mapping[str, Any]
) -> tuple[str, str]:
    """Return the field that is not valid, and what is wrong with it.

    `declared` is the class or the function whose arguments are the fields; `kwargs` are those that
    were given by name.
    """
    first, *others = error.errors()
    location, *inside = first["loc"]
    parameters = signature(declared).parameters
    field = str(location)
    if isinstance(location, int):
        field = _positional_field(location, parameters.values())
    if first["type"].startswith("missing"):
        return field, "this field is required."
    if first["type"] == "unexpected_positional_argument":
        return field, "too many positional arguments. Pass them by name, such as unit='kg'."
    if field not in parameters:
        return field, f"unknown field.{suggestion(field, parameters)}"
    mapping = kwargs.get(field)
    if inside and isinstance(mapping, Mapping) and inside[0] in mapping:
        field = f"{field}[{inside[0]!r}]"
    given = first["input"]
    shown = str(given) if isinstance(given, timedelta) else repr(given)
    return field, f"{shown} is not valid: {_advice(first, others)}."


def _positional_field(position: int, parameters: Iterable[Parameter]) -> str:
    positional = [item.name for item in parameters if item.kind is not Parameter.KEYWORD_ONLY]
    # The last one may be such as `*columns`, which takes all further arguments.
    return positional[min(position, len(positional) - 1)]


def _advice(first: ErrorDetails, others: Sequence[ErrorDetails]) -> str:
    context = first.get("ctx", {})
    if "error" in context:  # a ValueError of a validator of ours
        return str(context["error"]).removesuffix(".")
    # Each branch of a union has an error about the same value.
    same_value = [other for other in others if other["input"] is first["input"]]
    expected = dict.fromkeys(map(_expected, [first, *same_value]))  # each once
    return f"expected {' or '.join(expected)}"


def _expected(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if context.get("class") == "Sequence":
        return "a list"
    return _EXPECTED.get(details["type"], "a different value").format(**context)


def _first_field(declared: type) -> str:
    return next(iter(signature(declared).parameters))


def _label(declared: type, name: object) -> str:
    return f"{declared.__name__} {name!r}" if isinstance(name, str) else declared.__name__
