"""Serves a registry by MLflow's own server until standard input ends, an hour at most: FOLDER PORT."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

LIMIT = 3_600.0  # seconds; a whole session shares it


def main(folder: Path, port: str) -> None:
    words = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    words += ["--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", *words]
    # Nothing here is a job of the server's, and six processes would wait for one, with a fifth of a core.
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = os.environ | quiet
    server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        select.select([sys.stdin], [], [], LIMIT)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


main(Path(sys.argv[1]), sys.argv[2])
