"""Starts the scoring service in a container of Azure ML, with the model that the deployment names.

Example:
    AZUREML_MODEL_DIR=runs/interactive/evaluate/model python -m service.azure --port 8080
"""

import os
import sys
from pathlib import Path

from compliance.scorer import ModelCorrupt
from service.__main__ import REFUSED
from service.__main__ import main as serve
from service.azure.mount import MODEL_DIR, VERSION, model_folder

SLOT = "SCORING_SLOT"  # the deployment's name
PORT = 5001  # where Azure ML looks for it


def main(arguments: list[str]) -> int:
    """Serve as `python -m service` does, and give the exit code.

    Args:
        arguments: Further ones of `python -m service`.
    """
    if not os.environ.get(MODEL_DIR):
        print(f"the scoring service does not start: {MODEL_DIR} is not set", file=sys.stderr)  # noqa: T201
        return REFUSED
    try:
        folder = model_folder(Path(os.environ[MODEL_DIR]))
    except ModelCorrupt as error:
        print(f"the scoring service does not start: {error}", file=sys.stderr)  # noqa: T201
        return REFUSED
    named = {"--model-version": os.environ.get(VERSION, ""), "--slot": os.environ.get(SLOT, "")}
    known = [word for option, value in named.items() if value for word in (option, value)]
    return serve(["--model", str(folder), "--host", "0.0.0.0", "--port", str(PORT), *known, *arguments])  # noqa: S104


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
