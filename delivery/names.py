"""Names that may be a folder, a registry entry and a part of a URI at once."""

import re

from delivery.errors import BadName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def checked(kind: str, name: str) -> str:
    """Give the name back, if it is a sound one.

    Raises:
        BadName: It holds something else than letters a to z, digits, `.`, `_` and `-`, or starts with one of the last.
    """
    if not _NAME.fullmatch(name):
        raise BadName(
            f"the {kind} is {name!r}; give up to 128 letters, digits, dots, dashes and underscores, "
            "the first of them a letter or digit"
        )
    return name
