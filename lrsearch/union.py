"""Unions whose errors name the fields that the user wrote, without pydantic's own name for the member."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType


def _untagged(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        items = error.errors(include_url=False)
        raise ValidationError.from_exception_data(error.title, [_without_tag(item) for item in items]) from None


def _without_tag(item: Any) -> InitErrorDetails:
    kind, context = item["type"], item.get("ctx", {})
    if kind not in get_args(ErrorType):
        kind = PydanticCustomError(kind, "{message}", {**context, "message": item["msg"]})
    return InitErrorDetails(type=kind, loc=tuple(item["loc"][1:]), input=item["input"], ctx=context)


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
