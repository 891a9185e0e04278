"""Names that may be a folder, a registry entry and a part of a URI at once."""

import re

from delivery.errors import BadName

ENVIRONMENT = "environment"
SCRATCH = "scratch"  # notebooks by hand use it: it needs no gates
STAGING = "staging"
TRIAL = (SCRATCH, STAGING)  # nobody depends on these; any other asks for an approval, and for what people send there
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def checked(kind: str, name: str) -> str:
    """Give the name back, if it is a sound one.

    Raises:
        BadName: It holds something else than letters a to z, digits, `.`, `_` and `-`, or starts with one of the last;
            or it is that of an environment and not in lower case.
    """
    if kind == ENVIRONMENT and name != name.lower():
        raise BadName(
            f"the environment is {name!r}; names of environments are in lower case, since a disk may not tell "
            f"{name} from {name.lower()}: give {name.lower()}"
        )
    if not _NAME.fullmatch(name):
        raise BadName(
            f"the {kind} is {name!r}; give up to 128 letters, digits, dots, dashes and underscores, "
            "the first of them a letter or digit"
        )
    return name
