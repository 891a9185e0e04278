"""`trey azure provision` against an Azure on loopback: a plan first, then changes, and then nothing to do."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloud.workspace import parse
from delivery.host_azureml import endpoint_name
from runner.cli import main

from ..azure import actions
from ..azure.server import CPU, GPU, WORKSPACE, Azure
from ..runner.conftest import Project

SETTINGS = """
computes: {cpu: %s, gpu: %s}
default: cpu
environment: {name: trey, image: "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest", file: ../environment.yml}
"""
MACHINES = """
clusters:
  cpu: {size: Standard_D4s_v3, most_nodes: 2, idle_minutes: 10}
  gpu: {size: Standard_NC4as_T4_v3, most_nodes: 1, idle_minutes: 5}
data: {parts: ../parts.csv}
endpoints: {parts: [staging, production]}
"""
Trey = Callable[..., Result]


@pytest.fixture
def trey(chain: Project, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Trey:
    """Give a function that types a command in a project that names two clusters, an environment and some data."""
    chain.write("params/azure.yaml", SETTINGS % (CPU, GPU))
    chain.write("params/provision.yaml", MACHINES)
    chain.write("environment.yml", "dependencies: [python=3.11]\n")
    chain.write("parts.csv", "text,label\niron,1\n")
    monkeypatch.chdir(chain.root)

    def typed(*words: str, exit_code: int = 0) -> Result:
        done = CliRunner().invoke(main, ["azure", *words], prog_name="trey")
        assert done.exit_code == exit_code, done.output + done.stderr
        return done

    return typed


def planned(trey: Trey) -> dict[str, str]:
    """Give what is to be done, by the resource's name without a version."""
    steps = json.loads(trey("provision", "--plan", "--json").stdout)
    return {step["name"].partition(":")[0]: step["action"] for step in steps}


def written(azure: Azure) -> list[str]:
    return [f"{one.method} {one.path.rpartition('/workspaces/')[2]}" for one in azure.asked if one.method != "GET"]


def test_an_empty_workspace_gets_all_of_it_and_then_nothing(trey: Trey, azure: Azure) -> None:
    for name in (CPU, GPU):
        del azure.manager.resources[f"{azure.workspace}/computes/{name}".lower()]
    endpoints = [endpoint_name(parse(azure.address), "parts", one) for one in ("staging", "production")]
    new = dict.fromkeys((CPU, GPU, "trey", "parts", *endpoints), "create")
    assert planned(trey) == {WORKSPACE: "unchanged"} | new
    assert written(azure) == []
    done = trey("provision", "--yes")
    assert done.stderr.splitlines()[:2] == [f"created: cluster {CPU}", f"created: cluster {GPU}"]
    assert set(planned(trey).values()) == {"unchanged"}
    count = len(written(azure))
    assert "nothing to do" in trey("provision", "--yes").stdout
    assert len(written(azure)) == count
    for name, most, idle in ((CPU, 2, "PT10M"), (GPU, 1, "PT5M")):
        made = azure.manager.get(f"{azure.workspace}/computes/{name}")
        inner = made["properties"]["properties"]
        assert made["identity"]["type"] == "SystemAssigned"
        scale = {"minNodeCount": 0, "maxNodeCount": most, "nodeIdleTimeBeforeScaleDown": idle}
        assert {name: inner["scaleSettings"][name] for name in scale} == scale
        assert (inner["remoteLoginPortPublicAccess"], made["properties"]["disableLocalAuth"]) == ("Disabled", True)
        assert not inner.get("userAccountCredentials")
    for name in endpoints:
        made = azure.manager.get(f"{azure.workspace}/onlineEndpoints/{name}")
        assert (made["properties"]["authMode"], made["identity"]["type"].lower()) == ("AADToken", "systemassigned")
    assert [one.path for one in azure.asked if re.search("list(keys|secrets)", one.path, re.IGNORECASE)] == []
    assert actions.unlisted(azure.asked, "provision") == []


def test_what_differs_is_updated_and_told(trey: Trey, azure: Azure) -> None:
    said = trey("provision", "--plan").stdout
    assert f"update     cluster      {CPU}" in said
    assert "idle seconds 120 → 600; identity none → systemassigned" in said
    assert said.splitlines()[-1] == "6 to change"
    trey("provision", "--yes")
    assert planned(trey)[CPU] == "unchanged"


def test_other_machines_are_a_matter_for_a_person(trey: Trey, azure: Azure) -> None:
    Path("params/provision.yaml").write_text(MACHINES.replace("Standard_D4s_v3", "Standard_D8s_v3"))
    for how in ("--plan", "--yes"):
        done = trey("provision", how, exit_code=1)
        assert f"blocked    cluster      {CPU}" in done.stdout
        assert f"nothing was changed: cluster {CPU}: it is amlcompute of" in done.stderr
        assert (
            f"next: az ml compute delete --name {CPU} --resource-group parts --workspace-name compliance" in done.stderr
        )
    assert written(azure) == []


def test_an_endpoint_with_keys_is_a_matter_for_a_person(trey: Trey, azure: Azure) -> None:
    trey("provision", "--yes")
    name = endpoint_name(parse(azure.address), "parts", "staging")
    azure.manager.get(f"{azure.workspace}/onlineEndpoints/{name}")["properties"]["authMode"] = "Key"
    done = trey("provision", "--yes", exit_code=1)
    assert f"nothing was changed: endpoint {name}: whoever has its key may ask it" in done.stderr
    assert f"next: az ml online-endpoint delete --name {name}" in done.stderr


def test_nothing_is_changed_where_nobody_can_be_asked(trey: Trey, azure: Azure) -> None:
    done = trey("provision", exit_code=2)
    assert done.stderr.endswith("nobody is there to ask, and nothing was changed\nnext: trey azure provision --yes\n")
    assert written(azure) == []


def test_a_failure_on_the_way_leaves_the_rest_to_the_next_plan(trey: Trey, azure: Azure) -> None:
    azure.manager.denied = ["environments/versions/write"]
    done = trey("provision", "--yes", exit_code=1)
    assert f"updated: cluster {GPU}" in done.stderr
    assert "may not Microsoft.MachineLearningServices/workspaces/environments/versions/write" in done.stderr
    assert "next: az role assignment create --role 'AzureML Data Scientist'" in done.stderr
    azure.manager.denied = []
    assert {name for name, action in planned(trey).items() if action != "unchanged"} == {
        "trey",
        "parts",
        *(endpoint_name(parse(azure.address), "parts", one) for one in ("staging", "production")),
    }


def test_a_workspace_that_does_not_exist_is_told(trey: Trey, azure: Azure) -> None:
    other = azure.address.replace(azure.address.rpartition("/")[2], "elsewhere")
    done = trey("provision", "--plan", "--workspace", other, exit_code=2)
    assert "workspace elsewhere" in done.stderr
    assert "next: " in done.stderr


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("clusters: {cpu: {size: 4, most_nodes: 0, idle: 5}}", ["clusters.cpu.idle is no key", "clusters.cpu.size is 4",
            "clusters.cpu.most_nodes is 0", "clusters.cpu.idle_minutes is None", "clusters.gpu is None"]),
        ("clusters: 3\nmachines: {}", ["clusters is 3", "machines is no key"]),
        (MACHINES.replace("[staging, production]", "staging"), ["endpoints.parts is 'staging'; give names"]),
        (MACHINES.replace("[staging,", "[Staging,"), ["endpoints.parts: the environment is 'Staging'"]),
        (MACHINES.replace("gpu:", "tpu:"), ["clusters.tpu is of no use", "clusters.gpu is None"]),
        (MACHINES.replace("Standard_D4s_v3", '" "'), ["clusters.cpu.size is ' '; give what Azure calls it"]),
        (MACHINES.replace("data: {parts: ..", "data: {2026: ../none"), ["data.2026 is '../none/parts.csv'"]),
        (MACHINES.replace("data: {parts", "data: {my parts"), ["data has 'my parts'; give a name of letters"]),
        (MACHINES.replace("parts.csv", "none.csv"), ["data.parts is '../none.csv'; there is no"]),
        (MACHINES.replace("[staging, production]", "[moon, scratch, 'pro duction']").replace("4s_v3", "4s v3"),
            ["endpoints.parts: the environment is 'pro duction'", "endpoints.parts: scratch is for notebooks by hand",
            "clusters.cpu.size is 'Standard_D4s v3'"]),
        ("- a", ["provision.yaml"]),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_all_at_once(trey: Trey, text: str, faults: list[str]) -> None:
    Path("params/provision.yaml").write_text(text)
    said = trey("provision", "--plan", exit_code=2).stderr
    assert [fault for fault in faults if fault not in said] == []


def test_a_plan_and_doing_it_exclude_each_other(trey: Trey) -> None:
    assert "give one of them" in trey("provision", "--plan", "--yes", exit_code=2).stderr
