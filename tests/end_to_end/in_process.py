"""An engine that executes a notebook in this very process: no kernel, so that hundreds of releases take seconds."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import nbformat
from IPython import display
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from runner.engines import Job
from runner.engines.local import LocalEngine
from runner.execute import ENGINE, CellEvent, Outcome

NAME = "in-process"
PLACE = f"{__name__}:InProcess"  # what runner.engines.ENGINES holds for it


class InProcess(LocalEngine):
    """Runs the code cells one after the other; what they display is their output."""

    def run(self, job: Job, on_cell: Callable[[CellEvent], None]) -> Outcome:
        document = parameterize_notebook(
            load_notebook_node(str(job.notebook)),
            dict(job.parameters),
            kernel_name="python3",
            language="python",
            engine_name=ENGINE,
        )
        names: dict[str, Any] = {}
        outcome = Outcome()
        for cell in document.cells:
            outputs: list[Any] = []

            def displayed(data: Any, metadata: Mapping[str, Any], raw: bool, kept: list[Any] = outputs) -> None:
                assert raw
                kept.append(nbformat.v4.new_output("display_data", data, metadata=metadata))

            if cell.cell_type != "code" or outcome.cause:
                continue
            with mock.patch.object(display, "display", displayed):
                try:
                    exec(cell.source, names)  # noqa: S102 - a notebook of the tests
                except Exception as error:  # noqa: BLE001 - whatever a cell raises is how it ended
                    outcome = Outcome("cell-error", f"{type(error).__name__}: {error}")
            cell.outputs = outputs
        nbformat.write(document, job.executed)
        return outcome
