"""Trust: whose certificates an https service may show."""

from __future__ import annotations

import os
import ssl

import httpx

from ..errors import InvalidInput

SETTINGS = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def trusted() -> ssl.SSLContext:
    """The authorities in ``SSL_CERT_FILE``, else in the folder ``SSL_CERT_DIR``, else certifi's and this machine's.

    Raises:
        InvalidInput: what ``SSL_CERT_FILE`` names is no file of certificates.
    """
    try:
        context = httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"SSL_CERT_FILE names a file of certificates in PEM (got {os.environ.get('SSL_CERT_FILE')!r:.200}: "
            f"{error.strerror or error})",
            field="SSL_CERT_FILE",
        ) from None
    if not any(os.environ.get(name) for name in SETTINGS):
        context.load_default_certs()
    return context


def distrust(error: BaseException | None) -> str | None:
    """Why a connection was not trusted, in words; None where it failed for another reason."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message)
        error = error.__cause__ or error.__context__
    return None
