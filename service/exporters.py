"""The parts of OpenTelemetry that send: providers of traces, metrics and logs, made from the settings."""

import logging
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from service.log_export import LogExport
from service.telemetry import Count, TelemetrySettings

NAME = "trey-scoring"  # of the service, where OTEL_SERVICE_NAME does not say another
LAST_SECONDS = 3.0  # for what is not yet sent when the service ends
QUIET = (  # what the Azure exporter sends of itself, and asks of other hosts, unless the environment wants it
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)
LOGGERS = ("", "uvicorn")  # the latter passes nothing on to the root


@dataclass
class Telemetry:
    """Providers, None where a signal goes nowhere, and the handler that takes log lines."""

    tracers: TracerProvider | None = None
    meters: MeterProvider | None = None
    loggers: LoggerProvider | None = None
    share: float | None = None  # of the requests without a parent that are traced; None where a sampler decides
    _handler: logging.Handler | None = field(default=None, init=False)

    @classmethod
    def from_settings(cls, settings: TelemetrySettings, counts: Iterable[Count] = ()) -> "Telemetry":
        """Make the providers; nothing is sent yet."""
        resource = Resource({SERVICE_NAME: NAME}).merge(OTELResourceDetector().detect())
        telemetry = cls()
        if settings.traces:
            telemetry.share = settings.share
            sampler = None if settings.share is None else ParentBased(ALWAYS_ON)  # what is not traced never comes here
            telemetry.tracers = TracerProvider(sampler, resource, shutdown_on_exit=False)
            for name in settings.traces:
                exporter = _exporter(name, "traces", settings, tracer_provider=telemetry.tracers)
                telemetry.tracers.add_span_processor(BatchSpanProcessor(exporter))
        if settings.metrics:
            readers = [PeriodicExportingMetricReader(_exporter(name, "metrics", settings)) for name in settings.metrics]
            telemetry.meters = MeterProvider(
                readers, resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
            )
            for count in counts:
                telemetry._observe(count)
        if settings.logs:
            telemetry.loggers = LoggerProvider(resource, shutdown_on_exit=False)
            for name in settings.logs:
                exporter = _exporter(name, "logs", settings)
                telemetry.loggers.add_log_record_processor(BatchLogRecordProcessor(exporter))
        return telemetry

    def start(self) -> None:
        """Take log lines from now on."""
        if self.loggers and self._handler is None:
            self._handler = LogExport(self.loggers)
            for name in LOGGERS:
                logging.getLogger(name).addHandler(self._handler)

    def close(self) -> None:
        """Send what is not yet sent, within seconds, and stop."""
        if self._handler:
            for name in LOGGERS:
                logging.getLogger(name).removeHandler(self._handler)
            self._handler = None
        providers = (self.tracers, self.meters, self.loggers)
        ends = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers if provider]
        for end in ends:
            end.start()
        for end in ends:
            end.join(LAST_SECONDS)

    def _observe(self, count: Count) -> None:
        def read(_options: CallbackOptions) -> list[Observation]:
            return [Observation(count.read())]

        assert self.meters  # noqa: S101 - the caller has just made them
        meter = self.meters.get_meter(NAME)
        meter.create_observable_counter(count.name, [read], description=count.description)


def _exporter(name: str, signal: str, settings: TelemetrySettings, **options: Any) -> Any:
    if name == "azure":
        return _azure(signal, settings, **options)
    return _console(signal) if name == "console" else _otlp(signal)


def _console(signal: str) -> Any:
    from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    kinds = {"traces": ConsoleSpanExporter, "metrics": ConsoleMetricExporter, "logs": ConsoleLogRecordExporter}
    return kinds[signal](out=sys.stdout)


def _otlp(signal: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return {"traces": OTLPSpanExporter, "metrics": OTLPMetricExporter, "logs": OTLPLogExporter}[signal]()


def _azure(signal: str, settings: TelemetrySettings, **options: Any) -> Any:
    for name in QUIET:
        os.environ.setdefault(name, "true")
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    kinds = {
        "traces": AzureMonitorTraceExporter,
        "metrics": AzureMonitorMetricExporter,
        "logs": AzureMonitorLogExporter,
    }
    return kinds[signal](connection_string=settings.connection_string, disable_offline_storage=True, **options)
