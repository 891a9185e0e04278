"""A lifecycle as small as a release allows: it judges a model for tests, registers it, and brings it to an endpoint."""

from pathlib import Path

from ..runner.conftest import GLUE, Project

PIPELINE = """
phases: [evaluate, register, deploy]
external: {registry: "delivery.external:registry_state", endpoint: "delivery.external:endpoint_state"}
scraps:
  evaluate: {model_digest: digest, recall: middle, recall_low: low end, texts: how many}
  register: {model_name: name, model_version: version, model_digest: digest}
gates:
  register:
    - {scrap: evaluate.recall_low, min: 0.9, estimate: evaluate.recall, n: evaluate.texts}
  deploy:
    - {scrap: register.model_digest, equals: evaluate.model_digest}
release: {trial: [scratch, staging]}
"""
DEFAULTS = """
evaluate: {model_path: %s, registry_store: ../registry}
register: {registry_store: ../registry}
deploy: {registry_store: ../registry, endpoint_store: ../endpoints, environment: staging}
"""


def write(root: Path, model_dir: Path) -> Project:
    """Write the project, whose one model is the given one."""
    project = Project(root)
    project.notebook(
        "evaluate",
        "import shutil\nfrom pathlib import Path\nfrom delivery import external\n"
        "from delivery.files import model_manifest",
        GLUE,
        "shutil.copytree(model_path, Path(output_dir, 'model'))",
        "glue('model_digest', model_manifest(Path(output_dir, 'model'))[1])",
        "glue('recall', 0.97)\nglue('recall_low', recall_low)\nglue('texts', 40)",
        "champion = external.champion_uri(registry_store, 'parts', 'production')\n"
        "external.write_external(Path(output_dir), [champion])",
        parameters='model_path: str = "../model"\nrecall_low: float = 0.95\nregistry_store: str = "x"\n'
        'output_dir: str = "x"',
    )
    project.notebook(
        "register",
        "from pathlib import Path\nfrom delivery import registry, external",
        GLUE,
        "given = {'name': 'parts', 'store': registry_store, 'tags': {'git_commit': 'c' * 40}, 'metrics': {}}",
        "new = registry.register(Path(evaluate_dir, 'model'), **given)",
        "glue('model_name', new.name)\nglue('model_version', new.version)\nglue('model_digest', new.digest)",
        parameters='evaluate_dir: str = "x"\nregistry_store: str = "x"\nbuild_number: str = ""\noutput_dir: str = "x"',
    )
    project.notebook(
        "deploy",
        "from pathlib import Path\nfrom tempfile import TemporaryDirectory",
        "from delivery import files, registry, release\nfrom delivery.endpoint import Endpoint",
        GLUE,
        "new = registry.versions_of('parts', registry_store)[-1]",
        "permission = release.permit(gates_path=gates_path, sign_offs_path=sign_offs_path, digest=new.digest, "
        "environment=environment)",
        "assert not fails, 'it was asked to fail'",
        "if not gives_up:\n"
        "    endpoint = Endpoint(endpoint_store, 'parts', environment)\n"
        "    with TemporaryDirectory() as temporary:\n"
        "        fetched = registry.fetch('parts', new.version, registry_store, Path(temporary) / 'model')\n"
        "        slot = endpoint.place(fetched, new.version, new.digest)\n"
        "    endpoint.switch(slot.name)\n"
        "    registry.set_champion('parts', new.version, environment, registry_store)\n"
        "    endpoint.release()",
        "assert not fails_behind, 'it was asked to fail behind the switch'",
        "written = release.manifest(model_name='parts', model_version=new.version, digest=new.digest, "
        "commit=new.tags['git_commit'], gates=permission.gates, approvals=permission.approvals)",
        "Path(output_dir, 'release.json').write_bytes(files.canonical(written))",
        "glue('rolled_back', gives_up)",
        parameters='register_dir: str = "x"\nevaluate_dir: str = "x"\nregistry_store: str = "x"\n'
        'endpoint_store: str = "x"\nenvironment: str = "scratch"\ngates_path: str = ""\nsign_offs_path: str = ""\n'
        "fails: bool = False\nfails_behind: bool = False\n"
        'gives_up: str = ""  # why the release is taken back\noutput_dir: str = "x"',
    )
    project.pipeline(PIPELINE)
    project.write("params/default.yaml", DEFAULTS % model_dir)
    return project
