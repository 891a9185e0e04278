"""Who is at work: what the record names as author of a run, and what a sign-off is signed with.

On a machine of one's own that is the system's user, or whatever somebody says: a name is no proof. It keeps honest
people from approving what they made. Where it must hold, the environment of a pipeline service asks for the approval,
and hands over who gave it.
"""

import os
import pwd

VARIABLE = "TREY_IDENTITY"  # set by a pipeline service, which knows whom it serves


def who(given: str | None = None) -> str:
    """Give the name of whoever is at work: as given, or as TREY_IDENTITY says, or the system's user."""
    named = (given or os.environ.get(VARIABLE, "")).strip()
    return named or _user()


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"uid {os.getuid()}"
