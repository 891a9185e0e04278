"""Reads the texts of `POST /score`: a list, or `{"data": [...]}`, as Azure ML's convention has it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from service.problems import Problem
from service.settings import Settings

KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
ANSWERS = {"true": True, "false": False}
EXPLAIN = "explain"


def read_texts(body: bytes, settings: Settings, maximum_length: int) -> list[str]:
    """Read the texts of a request.

    Args:
        body: What arrived.
        settings: The limits of a request.
        maximum_length: Characters that a text may have.

    Raises:
        Problem: 400 where it is no JSON, 422 where it is JSON of another form or over a limit.
    """
    content = read_json(body)
    texts = content["data"] if isinstance(content, dict) and content.keys() == {"data"} else content
    if not isinstance(texts, list):
        raise unfit(f'{KINDS[type(texts)]} arrived; give a list of texts, or {{"data": [...]}} and no other key')
    check_texts(texts, settings, maximum_length)
    return texts


def read_json(body: bytes) -> Any:
    """Read JSON.

    Raises:
        Problem: 400 where it is none, 422 where a text holds half a character.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "surrogate" in str(error) and _is_utf8(body):
            raise unfit(f"a text holds half a character (a lone surrogate): {error}") from error
        raise Problem(400, "malformed-json", f"the body is no JSON: {error}") from error


def check_texts(texts: Sequence[Any], settings: Settings, maximum_length: int) -> None:
    """Hold texts to the limits of a request.

    Raises:
        Problem: 422.
    """
    if not texts:
        raise unfit("the list is empty; give at least one text")
    if len(texts) > settings.maximum_texts:
        raise unfit(f"{len(texts):,} texts arrived; {settings.maximum_texts:,} are allowed in one request")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise unfit(f"item {place} of the list is {KINDS[type(text)]}; every item must be a text")
        if len(text) > maximum_length:
            raise unfit(f"text {place} has {len(text):,} characters; {maximum_length:,} are allowed")


def read_explain(query: bytes) -> bool:
    """Tell whether a request asks for the contributions of words: `?explain=true`.

    Raises:
        Problem: 422 where it says neither true nor false.
    """
    if not query:
        return False
    given = [value for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name == EXPLAIN]
    if any(value not in ANSWERS for value in given):
        raise unfit(f"{EXPLAIN} is {given[-1][:40]!r}; give true or false")
    return bool(given) and ANSWERS[given[-1]]


def unfit(detail: str) -> Problem:
    """Give the problem of content that is of another form."""
    return Problem(422, "unfit-content", detail)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
