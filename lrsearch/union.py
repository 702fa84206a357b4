"""Unions whose errors name the fields that the user wrote, without pydantic's own name for the member."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType


def _untagged(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        raise _located(error, lambda loc: loc[1:]) from None


def within(error: ValidationError, *path: str) -> ValidationError:
    """``error`` of a part that lies at ``path``."""
    return _located(error, lambda loc: (*path, *loc))


def _located(error: ValidationError, place: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> ValidationError:
    items = [_moved(item, place(tuple(item["loc"]))) for item in error.errors(include_url=False)]
    return ValidationError.from_exception_data(error.title, items)


def _moved(item: Any, location: tuple[Any, ...]) -> InitErrorDetails:
    kind, context = item["type"], item.get("ctx", {})
    if kind not in get_args(ErrorType):
        kind = PydanticCustomError(kind, "{message}", {**context, "message": item["msg"]})
    return InitErrorDetails(type=kind, loc=location, input=item["input"], ctx=context)


UNTAGGED = WrapValidator(_untagged)
"""Marks a tagged union: an error's location is ``optimizer.lr``, not ``optimizer.sgd.lr``."""


def either(law: str) -> WrapValidator:
    """Marks a union of plain types: a value that is none of them breaks one ``law``, told once.

    ``Annotated[Positive | Literal["full"], either("a whole number >= 1, or `full`")]``
    """

    def validated(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise PydanticCustomError("neither", "{law}", {"law": law}) from None

    return WrapValidator(validated)
