"""The limits of the service, read from the environment once, at start-up."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

PREFIX = "SCORING_"
_DIGEST = re.compile("[0-9a-f]{64}")


class BadSettings(ValueError):
    """An environment variable cannot be used; the message lists every fault."""


@dataclass(frozen=True)
class Settings:
    """Limits that every request is held to; the length of a text is limited by the model itself."""

    maximum_body: int = 4_000_000  # bytes of a request's body
    maximum_texts: int = 1_000  # texts of a request
    explained_texts: int = 10  # texts of a request that asks for the contributions of words
    inline_texts: int = 32  # texts that are scored without leaving the event loop; more go to a thread
    inline_characters: int = 20_000  # the same for the characters of all texts together
    queue_texts: int = 20_000  # texts that may wait for that thread; a request beyond them is refused with 429
    requests: int = 1_024  # requests under way; one beyond them is refused with 503
    read_seconds: int = 30  # time that a request's body may take to arrive
    deadline_seconds: int = 30  # time that an answer may take
    keep_seconds: int = 65  # time that a connection without a request is kept open
    drain_seconds: int = 0  # time between SIGTERM, when the service calls itself not ready, and the closing of the port
    graceful_seconds: int = 10  # time that requests under way have to end after that
    token_sha256: str = ""  # sha256 of the bearer token in hexadecimal digits; without it, nobody is asked for one

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read `SCORING_MAXIMUM_BODY` and the like; what is not set keeps its default.

        Raises:
            BadSettings: A value cannot be used.
        """
        given: dict[str, Any] = {}
        faults = []
        for item in fields(cls):
            variable = f"{PREFIX}{item.name.upper()}"
            if variable in environment:
                value, (holds, wanted) = environment[variable], _rule(item.name)
                if holds(value):
                    given[item.name] = value if item.name == "token_sha256" else int(value)
                else:
                    faults.append(f"{variable} {_shown(item.name, value)}; give {wanted}")
        if faults:
            raise BadSettings("\n".join(faults))
        return cls(**given)


def _rule(name: str) -> tuple[Callable[[str], bool], str]:
    if name == "token_sha256":
        return lambda value: bool(_DIGEST.fullmatch(value)), "the sha256 of the token: 64 digits 0-9 a-f"
    if name == "drain_seconds":
        return str.isdecimal, "a whole number, 0 or more"
    return lambda value: value.isdecimal() and int(value) > 0, "a whole number above 0"


def _shown(name: str, value: str) -> str:
    """Show a value; not that of the token, which may be the token itself by mistake."""
    return "is no sha256" if name == "token_sha256" else f"is {value!r}"
