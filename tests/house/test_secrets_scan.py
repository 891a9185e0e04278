"""The scanner that CI runs finds what it is there to find, in any kind of file, and nothing in ordinary ones."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOOK = Path(sys.executable).with_name("detect-secrets-hook")
# Planted here in parts, or the scanner would find them in this very file.
KEY = "".join(chr(ord("a") + (7 * i) % 26) + str(i % 10) for i in range(43)) + "=="
PARTS = (b'{"alg":"RS256"}', b'{"oid":"0"}', b"x" * 40)
TOKEN = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in PARTS)
PLANTED = {
    "a storage connection string": f'ACCOUNT = "DefaultEndpointsProtocol=https;AccountKey={KEY}"',
    "a storage key": f'account_key = "{KEY}"',
    "the secret of a service principal": f'AZURE_CLIENT_SECRET: "{"Q8~".join(["q1w2e3", "r4t5y6u7i8o9"])}"',
    "a token of Microsoft Entra ID": f"curl -H 'Authorization: Bearer {TOKEN}'",
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "a password in an address": "postgresql://trey:" + "h7Kq2Lm9@db.example.org/parts",
    "a connection string of Application Insights": f'InstrumentationKey: "{KEY[:32]}"',
}
# Within a notebook a quotation mark is written \", and what is found by the name of its variable only is not found.
MISSED = {("the secret of a service principal", "notebook.ipynb")}
FILES = ("settings.py", "azure-pipelines.yml", "notebook.ipynb", "params/prod.yaml", "run.sh")


def scan(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / ".secrets.baseline", folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    command = [str(HOOK), "--baseline", ".secrets.baseline", *names]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def plant(folder: Path, name: str, line: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    cell = {"cell_type": "code", "source": [line], "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook, indent=1) if name.endswith("ipynb") else f"{line}\n")


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found(tmp_path: Path, kind: str) -> None:
    for name in FILES:
        plant(tmp_path, name, PLANTED[kind])
    found = scan(tmp_path, *FILES)
    assert found.returncode != 0
    missed = {(kind, name) for name in FILES if f"{name}:" not in found.stdout}
    assert missed == {(one, name) for one, name in MISSED if one == kind}


def test_ordinary_files_pass(tmp_path: Path) -> None:
    ordinary = {
        "settings.py": "EPOCHS = 6",
        "azure-pipelines.yml": "env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}",
        "params/prod.yaml": "fetch: {store: keyvault:parts/store}",
    }
    for name, line in ordinary.items():
        plant(tmp_path, name, line)
    done = scan(tmp_path, *ordinary)
    assert done.returncode == 0, done.stdout
