"""Writes a run as a page of Markdown: what a pipeline service shows beside its own log, for people to read first.

All words come from the record, so all of them are escaped: a text of somebody's data is a text here, no markup.
"""

import html
import re
from collections.abc import Iterator

from runner.record import Record, why_ended

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$])")
HEADINGS = {
    "release": "Release",
    "succeeded": "Succeeded",
    "stopped": "Stopped: not released",
    "failed": "Failed: not released",
    "interrupted": "Interrupted: not released",
    "detached": "Left to its engine: not collected yet",
    "incomplete": "Not decided by the run itself",
}


def page(found: Record, *, releasable: str = "") -> str:
    """Give a run as Markdown: the verdict and why, what it was run for, gates, sign-offs, releases.

    Args:
        found: The record.
        releasable: Whether it may be released, in a sentence; empty where nobody asked.
    """
    return "\n".join(_lines(found, releasable)) + "\n"


def escaped(text: str) -> str:
    """Take the meaning from whatever Markdown or HTML would read as markup; line breaks become spaces."""
    return html.escape(_MARKUP.sub(r"\\\1", " ".join(text.split())), quote=False)


def _lines(found: Record, releasable: str) -> Iterator[str]:
    decision = found["decision"] or {"verdict": "incomplete", "reason": "the run has not ended"}
    yield f"# {HEADINGS[decision['verdict']]}"
    yield from ("", escaped(decision["reason"]))
    if releasable:
        yield from ("", f"**{escaped(releasable)}**")
    yield ""
    yield f"- run: {escaped(found['run_id'])}, engine {escaped(found['engine'])}"
    if found.get("why"):
        yield f"- run for: {escaped(found['why'])}"
    source = found["source"]
    dirty = ", with changes that were not committed" if source["dirty"] else ""
    yield f"- commit: {escaped(source['commit'] or 'unknown')}{dirty}"
    for phase, entry in found["phases"].items():
        said = entry["message"] or entry["why"]
        yield f"- {escaped(phase)}: {entry['status']}{f': {escaped(said)}' if said else ''}"
    if found["gates"]:
        yield from ("", "| gate of | result | verdict | reason |", "|---|---|---|---|")
    for gate in found["gates"]:
        yield (
            f"| {escaped(gate['phase'])} | {escaped(gate['scrap'] or 'no rules')} | {gate['verdict']} "
            f"| {escaped(gate['reason'])} |"
        )
    for one in found.get("sign_offs", []):
        yield from (
            "",
            f"{one['kind']} of {escaped(one['subject'])} by {escaped(one['by'])}: {escaped(one['comment'])}",
        )
    for release in found.get("releases", []):
        reason = f": {escaped(why)}" if (why := why_ended(release)) else ""
        yield from ("", f"release to {escaped(release['environment'])}: {release['status']}{reason}")
