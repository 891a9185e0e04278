"""What a test does in the environment of SDK v1: python v1_client.py PIPELINE FOLDER.

Builds the graph of a whole lifecycle against what the SDK itself ships for a dry run, registers a model twice, and
tells on standard error what came of it.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from azureml.core import Experiment, Run
from azureml.pipeline.core._aeva_provider import _AevaModuleSnapshotUploader, _AevaWorkflowProvider
from azureml.pipeline.core._restclients.aeva.dryrun_service_caller import DryRunServiceCaller

from cloud import workspace
from runner import planning
from runner.engines import Ahead, azureml_v1
from runner.engines.azureml import settings
from runner.errors import BadRequest
from runner.planning import Request


def main() -> None:
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    prepared = planning.prepare(Request(path, folder))
    pipeline, phases = prepared.pipeline, prepared.asked
    code = frozenset(name for phase in phases for name in prepared.code(phase))
    record: Any = {"run_id": "20261127-070000-ab12"}
    words = azureml_v1.take_snapshot(Ahead(folder, pipeline, prepared.params, phases, code, record, None), folder)
    connected = azureml_v1.connect(workspace.find())
    provider = _AevaWorkflowProvider(DryRunServiceCaller(), _AevaModuleSnapshotUploader(connected), connected)
    where = settings.read(pipeline)
    graph = azureml_v1.build(pipeline, phases, words, where, connected, folder, provider=provider).graph
    steps = {node.name: node for node in graph.module_nodes}
    answer = {
        "edges": sorted([edge.source_port.node.name, edge.dest_port.node.name] for edge in graph.edges),
        "computes": {name: node.get_param("Target").value for name, node in steps.items()},
        "environment": json.loads(steps["train"]._runconfig)["environment"],
    }
    run = Run(Experiment(connected, "trey"), "earlier")
    scraps = {"model_name": {"value": "parts"}, "model_digest": {"value": "abc"}}
    answer["registered"] = [azureml_v1._register(run, "keep", folder / "params", scraps) for _ in range(2)]
    backwards = dict.fromkeys(pipeline.order, ()) | {"prepare": ("deploy",), "deploy": ("prepare",)}
    try:
        azureml_v1.build(replace(pipeline, edges=backwards), phases, words, where, connected, folder, provider=provider)
    except BadRequest as error:
        answer["refused"] = error.faults
    sys.stderr.write(json.dumps(answer))


main()
