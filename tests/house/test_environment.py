"""The locks, environment.yml and pyproject.toml say the same."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "requirements"))
import lock  # noqa: E402  what `make lock` runs

NAMED_BY_THE_CUSTOMER = [
    "papermill",
    "jupyter",
    "azureml-sdk",
    "nbval",
    "keras",
    "tensorflow",
    "onnxmltools",
    "scrapbook",
    "pytest",
]


def pins(name: str) -> list[str]:
    return lock.pins((ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8"))


def versions(requirements: list[str]) -> dict[str, set[str]]:
    """Give the versions of each package: several where markers tell platforms apart."""
    found: dict[str, set[str]] = {}
    for requirement in requirements:
        name, version = re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?==([^ ;]+)", requirement).groups()
        found.setdefault(name.lower(), set()).add(version)
    return found


def conda_pins() -> list[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return environment["dependencies"][-1]["pip"]


def test_environment_yml_carries_the_pins_of_its_lock() -> None:
    assert conda_pins() == pins("environment")
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == lock.conda_environment(
        (ROOT / "requirements" / "environment.txt").read_text(encoding="utf-8")
    )


def test_environment_yml_has_what_the_customer_named() -> None:
    assert [name for name in NAMED_BY_THE_CUSTOMER if name not in versions(conda_pins())] == []


@pytest.mark.parametrize("name", sorted([*lock.ENVIRONMENTS, *lock.ALONE]))
def test_every_environment_has_the_same_versions(name: str) -> None:
    constraints = versions(pins("constraints"))
    differing = {
        package: found
        for package, found in versions(pins(name)).items()
        if package in constraints and not found <= constraints[package]
    }
    assert differing == {}


@pytest.mark.parametrize("name", [*sorted([*lock.ENVIRONMENTS, *lock.ALONE]), "uv"])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")


@pytest.mark.parametrize(("folder", "package"), [("node", "onnxruntime-node"), ("azurite", "azurite")])
def test_a_lock_of_npm_has_hashes_and_no_addresses(folder: str, package: str) -> None:
    """make node and make azurite take the packages from whatever registry npm is set to."""
    packages = json.loads((ROOT / "tests" / folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    del packages[""]  # the project itself
    assert f"node_modules/{package}" in packages
    assert [name for name, locked in packages.items() if "resolved" in locked] == []
    assert [name for name, locked in packages.items() if not locked["integrity"].startswith("sha512-")] == []


def test_the_image_of_the_service_has_no_runner_and_no_tensorflow() -> None:
    found = set(versions(pins("serve")))
    assert {"starlette", "uvicorn", "onnxruntime", "azureml-ai-monitoring"} <= found
    assert {"papermill", "nbclient", "tensorflow-cpu", "mlflow"} & found == set()


def test_headless_environments_go_without_jupyterlab() -> None:
    assert {"jupyterlab", "tensorflow", "tensorflow-cpu"} & set(versions(pins("runner"))) == set()
    assert {"jupyterlab", "tensorflow", "tensorflow-cpu"} & set(versions(pins("azureml-v1"))) == set()
    assert "jupyterlab" not in versions(pins("dev"))


@pytest.mark.parametrize("name", ["azureml-v1", "environment"])
def test_where_sdk_v1_is_setuptools_still_has_pkg_resources(name: str) -> None:
    """azureml-dataprep imports it, and azureml.pipeline.steps that; setuptools 82 has it no longer."""
    found = versions(pins(name))
    assert "azureml-sdk" in found
    assert {int(version.partition(".")[0]) < 82 for version in found["setuptools"]} == {True}


def test_every_requirement_of_pyproject_has_a_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [r for group in project["optional-dependencies"].values() for r in group]
    assert [r for r in wanted if ">=" not in r and not r.startswith("trey[")] == []
