"""The description of the service as a page, made from the OpenAPI document: no script, nothing from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }
h2 { font-size: 1.05rem; margin: 2rem 0 .3rem } code, pre { font-family: ui-monospace, monospace; font-size: .9rem }
pre { background: #f4f4f4; padding: .7rem; overflow-x: auto } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; padding: .25rem .8rem .25rem 0 }
"""


def page(document: dict[str, Any]) -> str:
    """Give the page of a document."""
    title = escape(document["info"]["title"])
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    style = f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
    return "".join([head, style, *_introduction(document), *_operations(document), *_schemas(document), "</main>"])


def _introduction(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>'
    if document["security"]:
        yield "<p>All but health needs the header <code>authorization: Bearer TOKEN</code>.</p>"


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield f"<h2><code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}</h2>"
                yield from _parameters([*item.get("parameters", []), *operation.get("parameters", [])])
                yield from _body(document, operation)
                yield from _answers(document, operation["responses"])


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if parameters:
        rows = (
            f"<tr><td><code>{escape(item['name'])}</code><td>{item['in']}<td>{escape(item.get('description', ''))}"
            for item in parameters
        )
        yield f"<table><tr><th>parameter<th>in<th>says{''.join(rows)}</table>"


def _body(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        name = content["schema"]["$ref"].rpartition("/")[2]
        yield f'<p>Send <code>{escape(media_type)}</code>, <a href="#{name}">{name}</a>.</p>'
        schema = document["components"]["schemas"][name]
        for example in [*schema.get("examples", []), *schema.get("oneOf", [{}])[0].get("examples", [])]:
            yield f"<pre>{escape(json.dumps(example))}</pre>"


def _answers(document: dict[str, Any], responses: dict[str, Any]) -> Iterator[str]:
    yield "<table><tr><th>status<th>says"
    for status, response in responses.items():
        reference = response.get("$ref")
        found = document["components"]["responses"][reference.rpartition("/")[2]] if reference else response
        yield f"<tr><td>{status}<td>{escape(found['description'])}"
    yield "</table>"


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    yield "<h1>Schemas</h1>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{name}">{name}</h2><pre>{escape(json.dumps(schema, indent=1))}</pre>'
