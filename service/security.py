"""Lets in who knows the token, where there is one.

The service is given the sha256 of the token. A plain hash suffices here, other than for a password: a token is made by
a machine from 32 random bytes, and nobody can try them all. Make one: `python -c "import secrets;
print(secrets.token_urlsafe(32))"`; its hash: `printf %s "$TOKEN" | sha256sum`.
"""

import hashlib
import hmac

from starlette.types import Scope

from service.headers import header
from service.problems import Problem

OPEN = ("/health/", "/v2/health/")  # whoever watches the service needs no token


def admit(scope: Scope, token_sha256: str) -> None:
    """Let a request pass, or not.

    Raises:
        Problem: 401 where a token is needed and another one, or none, was sent.
    """
    if not token_sha256 or scope["path"].startswith(OPEN):
        return
    scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
    given = hashlib.sha256(token.strip().encode("latin-1")).hexdigest()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given, token_sha256):
        raise Problem(
            401,
            "unauthorized",
            "send the header 'authorization: Bearer TOKEN' with the token of this service",
            {"www-authenticate": "Bearer"},
        )
