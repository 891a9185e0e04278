"""The scanner that CI runs finds what it is there to find."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOOK = Path(sys.executable).with_name("detect-secrets-hook")


def scan(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / ".secrets.baseline", folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    command = [str(HOOK), "--baseline", ".secrets.baseline", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_planted_account_key_is_found(tmp_path: Path) -> None:
    key = "".join(chr(ord("a") + (7 * i) % 26) + str(i % 10) for i in range(43)) + "=="
    (tmp_path / "settings.py").write_text(f'ACCOUNT = "DefaultEndpointsProtocol=https;AccountKey={key}"\n')
    found = scan(tmp_path, "settings.py")
    assert found.returncode != 0
    assert "settings.py:1" in found.stdout


def test_an_ordinary_file_passes(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("EPOCHS = 6\n")
    assert scan(tmp_path, "settings.py").returncode == 0
