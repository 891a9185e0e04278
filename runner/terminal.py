"""What terminals understand and files need not keep: colours and other control sequences."""

import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    """Give a text without control sequences."""
    return _ANSI.sub("", text)
