"""Log lines of Python on their way to OpenTelemetry.

The message of an exception may quote what a client sent: the exception's kind and the places it went through are sent,
its message is not. Lines of the exporters themselves are left out, or a failure to send would make more to send.
"""

import logging
import traceback
from types import TracebackType

from opentelemetry._logs import LoggerProvider, LogRecord
from opentelemetry._logs.severity import SeverityNumber

OWN = ("opentelemetry", "azure", "urllib3", "requests")
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)


class LogExport(logging.Handler):
    """Gives log lines to a provider.

    Args:
        provider: What sends them.
    """

    def __init__(self, provider: LoggerProvider):
        super().__init__(logging.INFO)
        self._provider = provider
        self.addFilter(lambda record: record.name.partition(".")[0] not in OWN)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line, with the trace that it belongs to."""
        attributes: dict[str, str | int] = {"code.function.name": record.funcName, "code.line.number": record.lineno}
        if record.exc_info and record.exc_info[0]:
            attributes["exception.type"] = record.exc_info[0].__qualname__
            attributes["exception.stacktrace"] = _places(record.exc_info[2])
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=_severity(record.levelno),
                body=record.getMessage(),
                attributes=attributes,
            )
        )


def _severity(level: int) -> SeverityNumber:
    return next((number for least, number in _SEVERITIES if level >= least), SeverityNumber.DEBUG)


def _places(origin: TracebackType | None) -> str:
    frames = traceback.extract_tb(origin)
    return "\n".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
