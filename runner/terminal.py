"""What terminals understand and files need not keep, colours and other control sequences; and lines that fit in one."""

import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def first_line(text: str, longest: int = 0) -> str:
    """Give the first line of a text, with an ellipsis where there is more of it.

    Args:
        text: What may have several lines.
        longest: Characters that the line may have; 0 for any number.
    """
    line, _, rest = text.partition("\n")
    if longest and len(line) > longest:
        return f"{line[: longest - 1].rstrip()}…"
    return f"{line} …" if rest.strip() else line


def plain(text: str) -> str:
    """Give a text without control sequences."""
    return _ANSI.sub("", text)
