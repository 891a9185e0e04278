"""The description of the service as a page, made from the OpenAPI document: no script, nothing from elsewhere."""

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

Schema = dict[str, Any]
STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --paper: #fff; --soft: #f2f4f6; --line: #d5d9de; --link: #0b57d0 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --paper: #16181b; --soft: #23272c; --line: #3b4148; --link: #8ab4f8 }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--text); background: var(--paper); overflow-wrap: break-word }
a { color: var(--link) }
h1 { line-height: 1.2; margin: 2.5rem 0 .5rem } h1:first-child { margin-top: 0 }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .3rem; padding-top: .6rem; border-top: 2px solid var(--line) }
h2 code { font-weight: 700 }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem }
code { background: var(--soft); padding: .05rem .25rem; border-radius: .2rem }
h2 code, a code { background: none; padding: 0; overflow-wrap: anywhere }
pre { background: var(--soft); padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; border-radius: .3rem }
ul.paths { columns: 22rem; padding-left: 1.2rem }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 1rem }
td, th { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); padding: .25rem .8rem .25rem 0 }
td:first-child { white-space: nowrap } td:nth-child(2) { min-width: 4.5rem }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block } th { display: none } tr { border-bottom: 1px solid var(--line) }
  td, td:first-child { border: 0; padding: .1rem 0; white-space: normal } td:first-child { padding-top: .4rem }
  td:empty { display: none }
}
"""
RANGES = (("minItems", "maxItems", ""), ("minimum", "maximum", ""), ("", "maxLength", " characters"))


def page(document: Schema) -> str:
    """Give the page of a document."""
    title = escape(document["info"]["title"])
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    style = f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
    parts = (part(document) for part in (_introduction, _operations, _refusals, _schemas))
    return "".join([head, style, *(line for part in parts for line in part), "</main>"])


def _introduction(document: Schema) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_prose(info['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>'
    if document["security"]:
        yield "<p>All but health needs the header <code>authorization: Bearer TOKEN</code>.</p>"
    yield '<ul class="paths">'
    for method, path, _, operation in _each(document):
        yield f'<li><a href="#{operation["operationId"]}"><code>{method.upper()} {escape(path)}</code></a>'
    yield "</ul>"


def _each(document: Schema) -> Iterator[tuple[str, str, Schema, Schema]]:
    """Give every operation: its method, its path, what stands at the path, and the operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method, path, item, operation


def _operations(document: Schema) -> Iterator[str]:
    for method, path, item, operation in _each(document):
        name = f"<code>{method.upper()} {escape(path)}</code>"
        yield f'<h2 id="{operation["operationId"]}">{name} {escape(operation["summary"])}</h2>'
        yield from _parameters([*item.get("parameters", []), *operation.get("parameters", [])])
        yield from _body(document, operation)
        yield from _answers(operation["responses"])


def _parameters(parameters: list[Schema]) -> Iterator[str]:
    rows = [
        (f"<code>{escape(item['name'])}</code>", item["in"], _kind(item["schema"]), _prose(item.get("description", "")))
        for item in parameters
    ]
    yield from _table(("parameter", "in", "may be", "says"), rows)


def _body(document: Schema, operation: Schema) -> Iterator[str]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        yield f"<p>Send <code>{escape(media_type)}</code>, {_kind(schema)}, such as</p>"
        yield from _examples(document["components"]["schemas"][_name(schema)])


def _answers(responses: Schema) -> Iterator[str]:
    refusals = []
    for status, response in responses.items():
        if "$ref" in response:
            refusals.append(f'<a href="#status-{status}">{status}</a>')
        else:
            kinds = " or ".join(_kind(content["schema"]) for content in response["content"].values())
            yield f"<p>Answers <code>{status}</code> and {kinds}. {_prose(response['description'])}</p>"
    if refusals:
        yield f'<p>Refuses with {", ".join(refusals)} and a <a href="#Problem">Problem</a>.</p>'


def _refusals(document: Schema) -> Iterator[str]:
    yield "<h1>What a refusal means</h1>"
    found = {name.removeprefix("Problem"): each for name, each in document["components"]["responses"].items()}
    rows = [
        (f'<code id="status-{status}">{status}</code>', _prose(each["description"])) for status, each in found.items()
    ]
    yield from _table(("status", "says"), rows)


def _schemas(document: Schema) -> Iterator[str]:
    yield "<h1>What is sent and answered</h1>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{name}">{name}</h2><p>{_prose(schema.get("description", ""))}</p>'
        if "properties" in schema:
            yield from _fields(schema)
        elif "oneOf" in schema:
            yield f"<p>{' or '.join(map(_kind, schema['oneOf']))}</p>"
        yield from _examples(schema)


def _fields(schema: Schema) -> Iterator[str]:
    rows = [
        (
            f"<code>{escape(name)}</code>",
            _kind(field) + ("" if name in schema["required"] else ", may be absent"),
            _prose(field.get("description", "")),
        )
        for name, field in schema["properties"].items()
    ]
    yield from _table(("field", "is", "says"), rows)


def _examples(schema: Schema) -> Iterator[str]:
    for found in (schema, *schema.get("oneOf", ())):
        for example in found.get("examples", ()):
            yield f"<pre>{escape(json.dumps(example, ensure_ascii=False))}</pre>"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield f"<table><tr>{''.join(f'<th>{head}' for head in heads)}"
        yield from (f"<tr>{''.join(f'<td>{cell}' for cell in row)}" for row in rows)
        yield "</table>"


def _kind(schema: Schema) -> str:
    """Say in a few words what a value may be."""
    if "$ref" in schema:
        return f'<a href="#{_name(schema)}">{_name(schema)}</a>'
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        said = " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
    else:
        said = _type(schema)
    limits = [
        _range(schema.get(low), schema.get(high)) + unit for low, high, unit in RANGES if {low, high} & schema.keys()
    ]
    if "pattern" in schema:
        limits.append(f"<code>{escape(schema['pattern'])}</code>")
    if "default" in schema:
        limits.append(f"<code>{schema['default']}</code> by default")
    return ", ".join([said, *limits])


def _type(schema: Schema) -> str:
    if schema["type"] == "array":
        inner = _kind(schema["items"])
        return f"list of {f'({inner})' if ',' in inner else inner}"
    if schema.get("properties"):
        return f"object with {', '.join(f'<code>{escape(name)}</code>' for name in schema['properties'])}"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(kinds)


def _range(low: int | None, high: int | None) -> str:
    if low is None or high is None:
        return f"up to {high:,}" if low is None else f"at least {low:,}"
    return f"{low:,} to {high:,}"


def _prose(text: str) -> str:
    """Give prose as HTML; what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _name(reference: Schema) -> str:
    name: str = reference["$ref"].rpartition("/")[2]
    return name
