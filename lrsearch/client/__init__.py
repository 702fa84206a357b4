"""The service's verbs over HTTP, with the same names and types."""

from .client import Client

__all__ = ["Client"]
