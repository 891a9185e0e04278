"""Compile the locks of every environment, and environment.yml, from pyproject.toml.

Example:
    make lock            # compile again, keeping versions that still fit
    make lock UPGRADE=1  # take the newest versions that fit

`constraints.txt` holds one version per package for every environment, so that a registry written in one is read in
another. Each `<name>.txt` is compiled on its own against it, with hashes and without addresses.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

SERVED = ["collect-azure", "collect-azureml", "telemetry", "telemetry-azure"]  # where the service sends what it sees

# Extras only add. `train` (CPU TensorFlow) and `gpu` (CUDA TensorFlow) exclude each other.
ENVIRONMENTS = {
    "runner": [],
    "dev": ["train", "serve", *SERVED, "delivery", "keyvault", "azureml", "dev"],
    "jax": ["jax"],  # added to dev where training under JAX is tested
    "azureml-v1": ["azureml-v1"],  # the engine of this name, in an environment of its own
    "environment": ["gpu", "serve", "delivery", "keyvault", "lab", "azureml", "azureml-v1", "dev"],
}
ALONE = {"serve": ["serve", "collect-azureml"]}  # without what the runner needs: the image of the service in Azure ML
ALL_FOR_CPU = ["train", "jax", "serve", *SERVED, "delivery", "keyvault", "lab", "azureml", "azureml-v1", "dev"]

CONDA_HEADER = """\
# conda environment for laptops and Azure ML compute: the pins of requirements/environment.txt, inline,
# since Azure ML receives this file alone. Written by `make lock`; do not edit.
name: trey
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def compile_lock(name: str, extras: list[str], *options: str) -> None:
    """Compile pyproject.toml with `extras` into requirements/<name>.txt."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--custom-compile-command", "make lock", "--no-emit-index-url", "--no-annotate", *options]
    for extra in extras:
        command += ["--extra", extra]
    print(f"compiling requirements/{name}.txt", flush=True)
    subprocess.run([*command, "--output-file", f"requirements/{name}.txt", "pyproject.toml"], cwd=ROOT, check=True)


def compile_alone(name: str, extras: list[str], *options: str) -> None:
    """Compile extras into requirements/<name>.txt, without the dependencies of the project itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [requirement for extra in extras for requirement in project["optional-dependencies"][extra]]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--custom-compile-command", "make lock", "--no-emit-index-url", "--no-annotate", *options]
    print(f"compiling requirements/{name}.txt", flush=True)
    files = ["--output-file", f"requirements/{name}.txt", "-"]
    subprocess.run([*command, *files], cwd=ROOT, check=True, input="\n".join(wanted), text=True)


def compile_apart(name: str, *options: str) -> None:
    """Compile requirements/<name>.in: an environment that shares no version with ours."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--custom-compile-command", "make lock", "--no-emit-index-url", "--no-annotate", "--generate-hashes"]
    print(f"compiling requirements/{name}.txt", flush=True)
    files = ["--output-file", f"requirements/{name}.txt", f"requirements/{name}.in"]
    subprocess.run([*command, *options, *files], cwd=ROOT, check=True)


def pins(lock: str) -> list[str]:
    """Give the pinned requirements of a lock's text, markers kept, hashes and comments dropped."""
    lines = (line.removesuffix("\\").strip() for line in lock.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "--"))]


def conda_environment(lock: str) -> str:
    """Write environment.yml's text from a lock's text."""
    return CONDA_HEADER + "".join(f'      - "{pin}"\n' for pin in pins(lock))


def only(package: str, lock: str) -> str:
    """Give the lines of one package, hashes included, from a lock's text."""
    found = re.search(rf"^{re.escape(package)}==.*\n(?:    --hash.*\n)+", lock, re.MULTILINE)
    if not found:
        raise LookupError(f"{package} stands not in the lock")
    return found[0]


def main() -> None:
    """Write every file."""
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    compile_lock("constraints", ALL_FOR_CPU, *upgrade)
    for name, extras in ENVIRONMENTS.items():
        compile_lock(name, extras, "--generate-hashes", "--constraints", "requirements/constraints.txt", *upgrade)
    for name, extras in ALONE.items():
        compile_alone(name, extras, "--generate-hashes", "--constraints", "requirements/constraints.txt", *upgrade)
    compile_apart("inference-server", *upgrade)
    locks = {name: (HERE / f"{name}.txt").read_text(encoding="utf-8") for name in ENVIRONMENTS}
    (HERE / "uv.txt").write_text("# What installs the rest. Written by `make lock`.\n" + only("uv", locks["dev"]))
    (ROOT / "environment.yml").write_text(conda_environment(locks["environment"]), encoding="utf-8")


if __name__ == "__main__":
    main()
