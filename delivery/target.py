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
    """

    url: str
    headers: Callable[[], Mapping[str, str]] = _nothing

    def trust(self) -> ssl.SSLContext | None:
        """Give what vouches for the other side: what the system trusts (SSL_CERT_FILE names another file), or nobody.

        None where there is no TLS.
        """
        return ssl.create_default_context() if self.url.startswith("https:") else None
