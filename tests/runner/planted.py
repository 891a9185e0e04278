"""A secret to plant, the forms in which it might come out, and the search for them in every byte of a folder."""

import base64
import html
import json
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, quote_plus

CORE = "Xk9core7Qz"  # what no escaping changes
SECRET = f'pa$$ "wörd"/+\\&<%41>{CORE}'  # the characters that some form escapes
MULTILINE = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END KEY-----"


def forms(secret: str) -> list[str]:
    """Give the texts that would give the secret away, made apart from the code under test."""
    raw = secret.encode()
    found = [secret, html.escape(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]]
    found += [json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(json.dumps(secret))[3:-3]]
    found += [quote(secret), quote(secret, safe=""), quote_plus(secret), raw.hex(), raw.hex().upper()]
    for before in range(3):  # what all base64 texts that hold it at this alignment have in common
        one = base64.b64encode(b"\0" * before + raw + b"\0" * 3).decode()
        other = base64.b64encode(b"\xff" * before + raw + b"\xff" * 3).decode()
        differ = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        start, end = max((end - start, start + 1, end) for start, end in pairwise([-1, *differ]))[1:]
        found += [one[start:end], one[start:end].replace("+", "-").replace("/", "_")]
    return list(dict.fromkeys(found))


def leaks(folder: Path, *secrets: str) -> list[str]:
    """Name the files below a folder, and the form of a secret that stands in each."""
    found = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        if CORE in path.name or CORE.encode() in content:
            found.append(f"{path.name}: its core")
        for secret in secrets:
            found += [f"{path.name}: {form}" for form in forms(secret) if form.encode() in content]
    return found
