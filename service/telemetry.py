"""Traces, metrics and logs by OpenTelemetry, where the environment asks for them; otherwise nothing, at no cost.

The variables are the standard ones (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER and so on), and Application
Insights' APPLICATIONINSIGHTS_CONNECTION_STRING. No text of a request is in anything that is sent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp

from service.settings import BadSettings

AZURE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
SIGNALS = ("traces", "metrics", "logs")
EXPORTERS = ("none", "console", "otlp")
PROTOCOL = "http/protobuf"
SHARE = 0.05  # of the requests that nobody else traces, which are traced where OTEL_TRACES_SAMPLER says nothing


@dataclass(frozen=True)
class TelemetrySettings:
    """Where each signal goes: any of `console`, `otlp` and `azure`."""

    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    share: float | None = SHARE  # of the requests that are traced; None where the environment names a sampler
    connection_string: str = ""  # of Application Insights

    def __bool__(self) -> bool:
        """Tell whether anything is sent anywhere."""
        return bool(self.traces or self.metrics or self.logs)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "TelemetrySettings":
        """Read the variables that OpenTelemetry specifies.

        A signal goes where `OTEL_<SIGNAL>_EXPORTER` says; where that is not set, to the OTLP endpoint if there is one,
        and to Application Insights if there is a connection string.

        Raises:
            BadSettings: Values cannot be used; the message lists all of them.
        """
        if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return cls()
        faults = [fault for signal in SIGNALS for fault in _faults(environment, signal)]
        if faults:
            raise BadSettings("\n".join(faults))
        exporters = {signal: _exporters(environment, signal) for signal in SIGNALS}
        share = None if environment.get("OTEL_TRACES_SAMPLER") else SHARE
        return cls(**exporters, share=share, connection_string=environment.get(AZURE, ""))


@dataclass(frozen=True)
class Count:
    """A number of the service that is sent with the metrics: `read` gives what was counted since the start."""

    name: str
    description: str
    read: Callable[[], int]


def instrument(
    app: ASGIApp, settings: TelemetrySettings, routes: Iterable[str] = (), counts: Iterable[Count] = ()
) -> ASGIApp:
    """Put an application behind what observes it; where nothing is sent, give the application itself.

    Export starts with the application's lifespan and ends with it, at most `observed.LAST_SECONDS` later.

    Args:
        app: An ASGI application that answers with the header `x-correlation-id`.
        settings: Where to send.
        routes: Paths as the application knows them, such as `/v2/models/{name}/infer`; others are named nowhere.
        counts: Numbers to send with the metrics.

    Raises:
        BadSettings: A package is not installed.
    """
    if not settings:
        return app
    try:
        from service.exporters import Telemetry
        from service.observed import Observed

        telemetry = Telemetry.from_settings(settings, counts)
    except ImportError as error:
        extra = "telemetry-azure" if settings.connection_string else "telemetry"
        message = f"there is no package {error.name}; install it: pip install 'trey[{extra}]'"
        raise BadSettings(message) from error
    return Observed(app, telemetry, routes)


def _exporters(environment: Mapping[str, str], signal: str) -> tuple[str, ...]:
    given = _given(environment, signal)
    if not given:
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        given = ["otlp"] if any(environment.get(name) for name in endpoints) else []
        given += ["azure"] if environment.get(AZURE) else []
    elif environment.get(AZURE) and "none" not in given:
        given.append("azure")
    return tuple(name for name in dict.fromkeys(given) if name != "none")


def _given(environment: Mapping[str, str], signal: str) -> list[str]:
    names = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",")
    return [name.strip().lower() for name in names if name.strip()]


def _faults(environment: Mapping[str, str], signal: str) -> Iterable[str]:
    if wrong := [name for name in _given(environment, signal) if name not in EXPORTERS]:
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        yield f"{variable} names {', '.join(wrong)}; give {', '.join(EXPORTERS)} or several, with commas between"
    for variable in ("OTEL_EXPORTER_OTLP_PROTOCOL", f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"):
        protocol = environment.get(variable, PROTOCOL).strip() or PROTOCOL
        if protocol != PROTOCOL and "otlp" in _exporters(environment, signal):
            yield f"{variable} is {protocol!r}; {PROTOCOL} is spoken here, by port 4318 where 4317 is gRPC's"
