"""The limits of the service, read from the environment once, at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

PREFIX = "SCORING_"


class BadSettings(ValueError):
    """An environment variable cannot be used; the message lists every fault."""


@dataclass(frozen=True)
class Settings:
    """Limits that every request is held to; the length of a text is limited by the model itself."""

    maximum_body: int = 4_000_000  # bytes of a request's body
    maximum_texts: int = 1_000  # texts of a request
    inline_texts: int = 32  # texts that are scored without leaving the event loop; more go to a thread
    inline_characters: int = 20_000  # the same for the characters of all texts together
    graceful_seconds: int = 10  # time that requests under way have to end after SIGTERM

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read `SCORING_MAXIMUM_BODY` and the like; what is not set keeps its default.

        Raises:
            BadSettings: A value is not a whole number above 0.
        """
        names = {f"{PREFIX}{item.name.upper()}": item.name for item in fields(cls)}
        given = {variable: environment[variable] for variable in names if variable in environment}
        wrong = [variable for variable, value in given.items() if not value.isdecimal() or int(value) < 1]
        if wrong:
            raise BadSettings("\n".join(f"{name} is {given[name]!r}; give a whole number above 0" for name in wrong))
        return cls(**{names[variable]: int(value) for variable, value in given.items()})
