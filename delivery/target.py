"""Where a service answers, and what a request to it must carry."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Target:
    """Where a service answers.

    Attributes:
        url: The address before `/score` and the other paths.
        headers: Gives what each request carries besides its own headers, such as a token that is still good.
        tls: Whom to trust behind `https`; None for the authorities that everybody trusts.
    """

    url: str
    headers: Callable[[], Mapping[str, str]] = _nothing
    tls: ssl.SSLContext | None = None
