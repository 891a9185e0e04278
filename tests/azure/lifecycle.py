"""A project whose phases take a moment, and which travels to Azure ML: make rows, judge them, register and deploy."""

import subprocess
from pathlib import Path

from ..runner.conftest import GLUE, Project
from .server import CPU, GPU

PIPELINE = """
phases: [make, judge, keep]
gates:
  judge: [{scrap: make.rows, min: 1, why: nothing can be judged}]
  keep:
    - {scrap: judge.score, min: judge.floor, estimate: judge.estimate, n: judge.count, why: only what is good is kept}
outcome: [{scrap: keep.kept, equals: true}]
scraps:
  make: {rows: n}
  judge: {score: share of good rows, estimate: e, count: n, floor: least}
  keep: {kept: it is, version: v, run: r}
"""
SETTINGS = f"""
computes: {{cpu: {CPU}, gpu: {GPU}}}
default: cpu
phases: {{judge: gpu}}
environment: {{image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04, file: ../environment.yml}}
poll: 0.7
"""


def write(root: Path, store: str) -> Project:
    """Write the project, in a repository of its own, whose last phase registers in a store."""
    project = Project(root)
    project.notebook(
        "make",
        f"import time\nfrom pathlib import Path\nfrom helper import rows_of\n{GLUE}",
        "rows = rows_of(source)",
        'Path(output_dir, "rows.txt").write_text("\\n".join(rows))\nglue("rows", len(rows))\ntime.sleep(pause)',
        parameters='source: str = "../data/parts.csv"  # rows\npause: float = 0.0\noutput_dir: str = "../out/make"',
    )
    project.notebook(
        "judge",
        f"from pathlib import Path\n{GLUE}",
        'assert not fails, "it was asked to fail"',
        'rows = Path(make_dir, "rows.txt").read_text().split("\\n")',
        'good = sum(row.endswith("good") for row in rows) / len(rows)',
        'Path(output_dir, "score.txt").write_text(str(good))\nglue("score", good)\nglue("floor", floor)\n'
        'glue("estimate", max(good, hoped))\nglue("count", len(rows))',
        parameters='make_dir: str = "x"\nfails: bool = False\nfloor: float = 0.5  # least share\n'
        'hoped: float = 0.0  # what more rows might show\noutput_dir: str = "x"',
    )
    project.notebook(
        "keep",
        f"import time\nfrom pathlib import Path\nimport store\n{GLUE}",
        'score = float(Path(judge_dir, "score.txt").read_text())',
        "Path(output_dir, 'gates.json').write_text(Path(gates_path).read_text())",
        "version = store.register(registry_store, score, run_id)\ntime.sleep(pause)",
        "store.deploy(registry_store, version)",
        'glue("version", version)\nglue("kept", True)\nglue("run", run_id)',
        parameters='judge_dir: str = "x"\npause: float = 0.0\nregistry_store: str = "../registry"\n'
        'gates_path: str = ""\nrun_id: str = ""\noutput_dir: str = "x"',
    )
    project.write("notebooks/helper.py", HELPER)
    project.write("notebooks/store.py", STORE)
    project.write("data/parts.csv", "a good\nb good\nc poor\n")
    project.write("environment.yml", "name: parts\ndependencies: [python=3.11]\n")
    project.write(".gitignore", "runs/\n")
    project.write(".amlignore", "/data/\n")
    project.pipeline(PIPELINE)
    project.write("params/azure.yaml", SETTINGS)
    project.write("params/default.yaml", f"keep: {{registry_store: '{store}'}}\n")
    here = Path(__file__).resolve().parents[2]
    for room in ("runner", "cloud"):  # what `python -m runner` needs travels with the project, as this one does
        for path in sorted((here / room).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                target = root / path.relative_to(here)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    git(root, "init", "--quiet")
    commit(root)
    return project


HELPER = """
from urllib.request import urlopen

def rows_of(place):
    found = urlopen(place).read().decode() if "://" in place else open(place).read()
    return found.strip().split("\\n")
"""
STORE = '''
"""Registers a score as a model of the workspace and deploys it, by Microsoft's SDK, as whoever the compute is."""

import tempfile
from pathlib import Path

from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint, Model

from cloud import workspace
from cloud.client import client, quietly


def register(address, score, run):
    """Give the version of a run; what the run has registered before is not registered again."""
    ml = client(workspace.parse(address))
    known = [ml.models.get("parts", version=model.version) for model in ml.models.list("parts")]
    for model in known:
        if model.tags["run"] == run:
            return model.version
    with tempfile.TemporaryDirectory() as folder, quietly():
        path = Path(folder, "model.txt")
        path.write_text(str(score))
        version = str(len(known) + 1)
        new = Model(name="parts", version=version, path=str(path), type="custom_model", tags={"run": run})
        return ml.models.create_or_update(new).version


def deploy(address, version):
    """Put a version behind the endpoint, and give it all traffic."""
    ml = client(workspace.parse(address))
    endpoint = ManagedOnlineEndpoint(name="parts", auth_mode="aad_token")
    ml.online_endpoints.begin_create_or_update(endpoint).result()
    new = ManagedOnlineDeployment(
        name=f"version-{version}",
        endpoint_name="parts",
        model=f"parts:{version}",
        environment="azureml:serve:1",
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    ml.online_deployments.begin_create_or_update(new).result()
    endpoint.traffic = {new.name: 100}
    ml.online_endpoints.begin_create_or_update(endpoint).result()
'''


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message", "State")


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True)
