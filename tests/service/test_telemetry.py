"""Traces, metrics and logs reach a real receiver, follow the client's trace, and hold no text of a request."""

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.correlation import HEADER, correlation_id
from service.observed import SLOT, Routes
from service.problems import answer_defect, answer_http_error
from service.settings import BadSettings
from service.telemetry import SHARE, Count, TelemetrySettings, instrument

from ..project import ROOT
from .conftest import Start
from .records import until

TEXT = "planted-text of a request"
KINDS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
TRACE, SPAN = "0af7" * 8, "b7ad" * 4
CONNECTION = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint={url}"


@dataclass
class Receiver:
    """What was sent to an endpoint on loopback."""

    url: str = ""
    bodies: list[tuple[str, bytes]] = field(default_factory=list)

    def decoded(self, path: str) -> list[Any]:
        """Give what was sent to a path of OTLP."""
        return [KINDS[path].FromString(body) for at, body in self.bodies if at == path]

    def spans(self) -> list[Any]:
        return [
            s
            for sent in self.decoded("/v1/traces")
            for r in sent.resource_spans
            for k in r.scope_spans
            for s in k.spans
        ]

    def logs(self) -> list[Any]:
        sent = self.decoded("/v1/logs")
        return [line for s in sent for r in s.resource_logs for k in r.scope_logs for line in k.log_records]

    def metrics(self) -> dict[str, Any]:
        """Give the last state of each metric."""
        sent = self.decoded("/v1/metrics")
        return {m.name: m for s in sent for r in s.resource_metrics for k in r.scope_metrics for m in k.metrics}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a running receiver of OTLP over HTTP, which takes what Application Insights takes, too."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.bodies.append(
                (self.path, gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            )
            items = len(body.splitlines()) or 1
            answer = json.dumps({"itemsReceived": items, "itemsAccepted": items, "errors": []}).encode()
            is_otlp = self.path in KINDS
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf" if is_otlp else "application/json")
            self.send_header("content-length", "0" if is_otlp else str(len(answer)))
            self.end_headers()
            self.wfile.write(b"" if is_otlp else answer)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give an environment without a word about telemetry."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "APPLICATIONINSIGHTS_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return monkeypatch


async def score(request: Request) -> Response:
    await request.body()
    logging.getLogger("service.tests").warning("answered %s", correlation_id(request))
    return Response("[]", headers={HEADER: correlation_id(request), SLOT: "green"})


async def broken(request: Request) -> Response:
    raise RuntimeError(f"a defect that quotes {(await request.body()).decode()}")


def application() -> Starlette:
    handlers: dict[Any, Any] = {HTTPException: answer_http_error, Exception: answer_defect}
    routes = [Route("/score", score, methods=["POST"]), Route("/v2/models/{name}/infer", broken, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers=handlers)


def served(app: Any, ask: Any) -> Any:
    """Serve an application while something asks it, and let its lifespan end."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            return ask(client)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def observed(settings: TelemetrySettings, *counts: Count) -> Any:
    app = application()
    return instrument(app, settings, [route.path for route in app.routes], counts)


def ask_all(client: httpx.Client) -> None:
    client.headers["connection"] = "close"  # uvicorn closes one on which a defect was answered
    parent = {"traceparent": f"00-{TRACE}-{SPAN}-01", HEADER: "a-1", "content-type": "application/json"}
    assert client.post("/score", content=TEXT, headers=parent).status_code == 200
    assert client.post("/v2/models/parts/infer", content=TEXT, headers=parent | {HEADER: "a-2"}).status_code == 500
    assert client.get("/score?text=planted-text", headers=parent | {HEADER: "a-3"}).status_code == 405
    assert client.request("PROPFIND", "/planted-text", headers=parent | {HEADER: "a-4"}).status_code == 404
    assert client.post("/score", content=TEXT, headers={"traceparent": "00-nonsense-01"}).status_code == 200


def values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def test_what_otlp_brings(receiver: Receiver, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    environment.setenv("OTEL_SERVICE_NAME", "trey-test")
    settings = TelemetrySettings.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
    assert (settings.traces, settings.metrics, settings.logs) == (("otlp",),) * 3
    served(observed(settings, Count("scoring.collection.dropped", "records lost", lambda: 7)), ask_all)

    spans = {values(span.attributes).get("correlation.id", span.name): span for span in receiver.spans()}
    names = ["POST /score", "POST /v2/models/{name}/infer", "GET /score", "_OTHER"]
    assert [spans[f"a-{n}"].name for n in range(1, 5)] == names
    answered, failed = spans["a-1"], spans["a-2"]
    assert (answered.trace_id.hex(), answered.parent_span_id.hex()) == (TRACE, SPAN)
    assert values(answered.attributes) == {
        "http.request.method": "POST",
        "http.route": "/score",
        "http.response.status_code": 200,
        "correlation.id": "a-1",
        "scoring.slot": "green",
    }
    assert answered.kind == answered.SPAN_KIND_SERVER
    assert values(failed.attributes)["error.type"] == "RuntimeError"
    assert (failed.status.code, answered.status.code) == (2, 0)
    (resource,) = {
        values(s.resource_spans[0].resource.attributes)["service.name"] for s in receiver.decoded("/v1/traces")
    }
    assert resource == "trey-test"

    metrics = receiver.metrics()
    points = metrics["http.server.request.duration"].histogram.data_points
    counted = {
        (values(p.attributes)["http.route"], values(p.attributes)["http.response.status_code"]): p.count for p in points
    }
    assert counted == {("/score", 200): 2, ("/v2/models/{name}/infer", 500): 1, ("/score", 405): 1, ("", 404): 1}
    assert metrics["scoring.collection.dropped"].sum.data_points[0].as_int == 7

    logs = {line.body.string_value: line for line in receiver.logs()}
    assert logs["answered a-1"].trace_id == answered.trace_id
    assert logs["answered a-1"].span_id == answered.span_id
    defects = [values(line.attributes) for line in logs.values() if line.severity_text == "ERROR"]
    assert {defect["exception.type"] for defect in defects} == {"RuntimeError"}
    assert all("in broken" in defect["exception.stacktrace"] for defect in defects)

    assert {path for path, _ in receiver.bodies} == set(KINDS)
    assert all(b"planted-text" not in body for _, body in receiver.bodies)


def test_requests_of_nobody_s_trace_are_sampled(receiver: Receiver, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    settings = TelemetrySettings.from_environment({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.url})
    assert (settings.traces, settings.metrics, settings.logs, settings.share) == (("otlp",), (), (), SHARE)

    def ask(client: httpx.Client) -> None:
        for _ in range(400):
            client.post("/score", content=TEXT)
        client.post("/score", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})  # sampled by nobody: not by us, either

    served(observed(settings), ask)
    assert 0 < len(receiver.spans()) < 60  # 20, and nine standard deviations
    assert TRACE not in {span.trace_id.hex() for span in receiver.spans()}


def test_each_request_to_the_service_is_measured_and_traced_as_its_client_says(
    receiver: Receiver, start: Start, model_dir: Path
) -> None:
    variables = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    process, url = start("--model", str(model_dir), environment=variables)
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        for number in range(20):
            flag = "01" if number < 3 else "00"
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flag}", HEADER: f"a-{number}"}
            assert client.post("/score", json=["steel"] * (1 + 40 * (number % 2)), headers=headers).status_code == 200
        assert client.post("/score", json=[], headers={"traceparent": f"00-{TRACE}-{SPAN}-00"}).status_code == 422
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert {values(span.attributes)["correlation.id"] for span in receiver.spans()} == {"a-0", "a-1", "a-2"}
    points = receiver.metrics()["http.server.request.duration"].histogram.data_points
    counted = {values(point.attributes)["http.response.status_code"]: point.count for point in points}
    assert counted == {200: 20, 422: 1}
    assert all(values(point.attributes)["http.route"] == "/score" for point in points)


def test_the_environment_may_name_another_sampler(receiver: Receiver, environment: pytest.MonkeyPatch) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_TRACES_SAMPLER": "always_on"}
    for name, value in variables.items():
        environment.setenv(name, value)
    settings = TelemetrySettings.from_environment(
        variables | {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    )
    served(observed(settings), lambda client: [client.post("/score") for _ in range(20)])
    assert len(receiver.spans()) == 20


def test_what_application_insights_gets(receiver: Receiver, environment: pytest.MonkeyPatch) -> None:
    variables = {"APPLICATIONINSIGHTS_CONNECTION_STRING": CONNECTION.format(url=receiver.url)}
    settings = TelemetrySettings.from_environment(variables)
    assert (settings.traces, settings.metrics, settings.logs) == (("azure",),) * 3
    served(observed(settings), ask_all)
    sent = [json.loads(line) for _, body in receiver.bodies for line in body.decode().splitlines()]
    items = [item for line in sent for item in (line if isinstance(line, list) else [line])]
    requests = [item["data"]["baseData"] for item in items if item["data"]["baseType"] == "RequestData"]
    by_id = {request["properties"].get("correlation.id"): request for request in requests}
    assert (by_id["a-1"]["success"], by_id["a-1"]["responseCode"], by_id["a-1"]["name"]) == (True, "200", "POST /score")
    assert by_id["a-2"]["success"] is False
    assert "answered a-1" in {item["data"]["baseData"].get("message") for item in items}
    assert "http.server.request.duration" in str(items)
    assert all(b"planted-text" not in body for _, body in receiver.bodies)


def test_the_console_is_an_exporter(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("OTEL_TRACES_SAMPLER", "always_on")
    names = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "Console"}
    settings = TelemetrySettings.from_environment(names | {"OTEL_TRACES_SAMPLER": "always_on"})
    served(observed(settings), ask_all)
    said = capsys.readouterr().out
    assert '"name": "POST /score"' in said
    assert "http.server.request.duration" in said
    assert "answered a-1" in said


def test_a_receiver_that_is_gone_delays_neither_answers_nor_the_end(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    environment.setattr("service.exporters.LAST_SECONDS", 0.5)
    settings = TelemetrySettings.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    served(observed(settings), ask_all)


def test_without_a_word_about_it_nothing_stands_before_the_application() -> None:
    app = application()
    assert instrument(app, TelemetrySettings.from_environment({"UNRELATED": "x"})) is app
    assert not TelemetrySettings.from_environment({"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"})
    assert not TelemetrySettings.from_environment(
        {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
        | {"OTEL_EXPORTER_OTLP_ENDPOINT": "x"}
    )


def test_several_exporters_may_be_named() -> None:
    connection = {"APPLICATIONINSIGHTS_CONNECTION_STRING": CONNECTION.format(url="http://127.0.0.1:9")}
    settings = TelemetrySettings.from_environment(
        {"OTEL_TRACES_EXPORTER": "otlp, console", "OTEL_LOGS_EXPORTER": "none"} | connection
    )
    assert (settings.traces, settings.metrics, settings.logs) == (("otlp", "console", "azure"), ("azure",), ())


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER names zipkin; give none, console, otlp or several"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; http/protobuf is spoken here",
        ),
    ],
)
def test_other_values_are_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        TelemetrySettings.from_environment(variables)
    assert said in str(caught.value)


def test_a_missing_package_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = TelemetrySettings(traces=("otlp",))
    with pytest.raises(BadSettings, match=r"pip install 'trey\[telemetry\]'"):
        instrument(application(), settings)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/score", "/score"),
        ("/v2/models/parts/infer", "/v2/models/{name}/infer"),
        ("/v2/models/a/b/infer", ""),
        ("/v2/models//infer", ""),
        ("/score/", ""),
    ],
)
def test_a_path_is_named_by_its_route(path: str, route: str) -> None:
    assert Routes(["/score", "/v2/models/{name}/infer", "/score"]).of(path) == route


def test_importing_it_imports_no_opentelemetry() -> None:
    check = "import sys, service.telemetry; print('opentelemetry' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
