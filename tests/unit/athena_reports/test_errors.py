"""What callers may rely on in an error of the package, whichever room it is of."""

import inspect
import pkgutil
from importlib import import_module

import pytest

import athena_reports
from athena_reports import errors
from athena_reports.errors import AthenaReportsError, ReportError

# The errors after which the same call may succeed; an error of any other class is final.
RETRYABLE = {
    "ContestedError",
    "DiskFullError",
    "MissingPartitionsError",
    "PublishError",
    "TableError",
}


def error_classes() -> list[type[Exception]]:
    """Every class of an error that a module of the package defines."""
    classes = []
    for module in pkgutil.walk_packages(athena_reports.__path__, "athena_reports."):
        for _, value in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(value, Exception) and value.__module__ == module.name:
                classes.append(value)
    return classes


def test_whoever_expects_errors_of_the_package_gets_each_of_them() -> None:
    classes = error_classes()

    assert {errors.TransformError, ReportError} < set(classes)
    assert {class_.__module__ for class_ in classes} > {"athena_reports.aws.s3"}
    assert [class_ for class_ in classes if not issubclass(class_, AthenaReportsError)] == []


def test_each_class_says_whether_the_same_call_may_succeed_later() -> None:
    retryable = set()
    for class_ in error_classes():
        if issubclass(class_, AthenaReportsError) and class_.retryable:
            retryable.add(class_.__name__)
    assert retryable == RETRYABLE


@pytest.mark.parametrize("class_", [errors.QueryError, errors.PublishError])
@pytest.mark.parametrize("retryable", [True, False])
def test_one_error_may_say_otherwise_than_its_class(
    class_: type[AthenaReportsError], retryable: bool
) -> None:
    usual = class_.retryable
    error = class_("Query q-1 is lost.", retryable=retryable)

    assert (str(error), error.retryable) == ("Query q-1 is lost.", retryable)
    assert class_("Query q-2 is lost.").retryable is usual


@pytest.mark.parametrize(
    ("class_", "base"),
    [
        # Whoever parses a period id need not know this package.
        (errors.PeriodError, ValueError),
        (errors.MissingPartitionsError, errors.InputError),
        (errors.SkipPeriodError, errors.EmptyResultError),
        (errors.SchemaError, errors.PublishError),
    ],
)
def test_an_error_is_handled_as_the_more_general_one(
    class_: type[AthenaReportsError], base: type[Exception]
) -> None:
    with pytest.raises(base, match="what happened"):
        raise class_("what happened")
