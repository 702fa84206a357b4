"""Tokens: make, list, revoke; and the audit of what was changed with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import AwareDatetime

from lrsearch.study import AuditEntry, NewToken, Page, Token, TokenRequest

from .body import StrictRoute
from .examples import TOKENS
from .keyring import KeyRing
from .problem import described
from .scopes import needs
from .verbs import Cursor, IdempotencyKey, Limit, TheService, as_json

router = APIRouter(prefix="/v1", tags=["tokens"], route_class=StrictRoute)

TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", description="The token's id.", examples=["9f1c2ab34de5"])]


@router.post(
    "/tokens",
    openapi_extra=needs("admin"),
    summary="Make a token",
    status_code=201,
    response_model=NewToken,
    responses=described(409, 413, 415),
)
def create_token(
    service: TheService,
    request: Annotated[TokenRequest, Body(openapi_examples=TOKENS)],
    connection: Request,
    key: IdempotencyKey = None,
) -> Response:
    """Answer a token with its secret, which is shown this once: the same `Idempotency-Key` again is a conflict."""
    token = service.create_token(request, key=key)
    _keys(connection).forget()
    return as_json(token, 201)


@router.get("/tokens", openapi_extra=needs("admin"), summary="List tokens, newest first", responses=described())
def list_tokens(service: TheService, limit: Limit = 50, cursor: Cursor = None) -> Page[Token]:
    """Give one page of tokens without their secrets, the revoked ones too."""
    return service.tokens(limit=limit, cursor=cursor)


@router.delete(
    "/tokens/{token}",
    openapi_extra=needs("admin"),
    summary="Revoke a token",
    status_code=204,
    responses=described(404),
)
def revoke_token(service: TheService, token: TokenId, connection: Request) -> None:
    """End it: at once here, within five seconds in every other process. Twice is the same as once."""
    service.revoke_token(token)
    _keys(connection).forget()


@router.get("/audit", openapi_extra=needs("admin"), summary="Who changed what, newest first", responses=described())
def list_audit(
    *,
    service: TheService,
    name: Annotated[str | None, Query(max_length=100, description="Only by tokens of this name.")] = None,
    resource: Annotated[
        str | None,
        Query(max_length=200, description="Only this and what is below it.", examples=["studies/digits-step"]),
    ] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Only from this moment on.", examples=["2027-01-31T00:00:00Z"])
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """Give one page of changes: when, by whose token, which verb, on what, in which request."""
    return service.audit(name=name, resource=resource, since=since, limit=limit, cursor=cursor)


def _keys(connection: Request) -> KeyRing:
    keys = connection.app.state.keys
    assert isinstance(keys, KeyRing)
    return keys
