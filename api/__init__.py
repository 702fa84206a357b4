"""The HTTP service: routes, who gets in, problem+json; every verb is ``lrsearch.service``'s."""

from .app import create_app

__all__ = ["create_app"]
