"""Reads the headers of a request below any framework."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Give a header of a request, the first of its name."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
