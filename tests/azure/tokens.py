"""Tokens as Microsoft Entra ID forms them; nothing here can check a signature, and nothing does."""

import base64
import json
import time
from typing import Any

TENANT = "00000000-0000-0000-0000-0000000000aa"
WHO = "00000000-0000-0000-0000-0000000000bb"  # the object id of whoever asks


def issue(resource: str, seconds: float = 3_600, **claims: Any) -> str:
    """Make a token for a resource, which holds for some seconds."""
    now = int(time.time())
    said = {
        "aud": resource.removesuffix("/.default").rstrip("/"),
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + seconds,
        "tid": TENANT,
        "oid": WHO,
        "appid": "trey",
    } | claims
    parts = [{"alg": "RS256", "typ": "JWT"}, said, "no signature"]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def claims(header: str | None) -> dict[str, Any] | None:
    """Read the claims of an Authorization header; None where it holds no token."""
    try:
        kind, _, token = (header or "").partition(" ")
        body = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, IndexError):
        return None
    return found if kind == "Bearer" and isinstance(found, dict) else None
