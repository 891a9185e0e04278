"""Azure DevOps on loopback, as far as a job asks it who approved its stage."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

BUILD = 7
TIMELINE = {
    "records": [
        {"id": "s1", "parentId": None, "type": "Stage", "identifier": "staging"},
        {"id": "s2", "parentId": None, "type": "Stage", "identifier": "production"},
        {"id": "c1", "parentId": "s1", "type": "Checkpoint", "identifier": "Checkpoint"},
        {"id": "c2", "parentId": "s2", "type": "Checkpoint", "identifier": "Checkpoint"},
        {"id": "l2", "parentId": "c2", "type": "Checkpoint.ExclusiveLock", "identifier": "Checkpoint.ExclusiveLock"},
        {"id": "a2", "parentId": "c2", "type": "Checkpoint.Approval", "identifier": "Checkpoint.Approval"},
        {"id": "j2", "parentId": "s2", "type": "Phase", "identifier": "to_production"},
    ]
}


def approval(*steps: tuple[str, str, str], status: str = "approved") -> dict[str, Any]:
    """Give an approval with its steps: who, with which status, with which comment."""
    return {
        "id": "a2",
        "status": status,
        "steps": [
            {
                "actualApprover": {"displayName": who.split("@")[0], "uniqueName": who},
                "status": said,
                "comment": comment,
            }
            for who, said, comment in steps
        ],
    }


@contextmanager
def serving(
    given: dict[str, Any], timeline: dict[str, Any] = TIMELINE, requester: str = "ada@example.org"
) -> Iterator[tuple[str, list[str]]]:
    """Serve a build that somebody requested, its timeline and an approval.

    Gives the address, and the headers of authorization that arrived.
    """
    answers = {
        f"/parts/_apis/build/builds/{BUILD}": {"id": BUILD, "requestedFor": {"uniqueName": requester}},
        f"/parts/_apis/build/builds/{BUILD}/timeline": timeline,
        "/parts/_apis/pipelines/approvals/a2": given,
    }
    arrived: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(self.headers.get("Authorization", ""))
            found = answers.get(urlsplit(self.path).path)
            content = json.dumps(found or {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", arrived
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
