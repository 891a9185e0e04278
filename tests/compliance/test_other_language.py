"""The exported file answers in JavaScript as it does in Python: nothing of either language is left outside it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from compliance.scorer import Scorer

from ..project import ROOT
from .conftest import Tiny, descriptions

NODE = ROOT / "tests" / "node"
PARITY = 1e-5
TEXTS = [
    "",
    " \t\r\n\u00a0\u2003",
    "poor condition IRON component",
    "\u0130stanbul \u0130ron",  # a capital I with a dot, whose lower case is two characters in JavaScript
    "stee\u212a \u212aelvin",  # the Kelvin sign, which Unicode folds to k
    "ſteel e\u0301 ½ 一 مكون 🔧",
    "iron\0plastic",
    "😀" * 9_990 + " iron new",
    ("plastic fair 1971 " * 600)[:10_000],
    "x" * 10_000,
    "?" * 9_995 + " new plastic",  # longer than is read
]


@pytest.fixture(scope="module")
def node() -> str:
    """Give the path of node; without it or its package, skip, or fail where they are required."""
    found = shutil.which("node")
    missing = "node" if not found else "onnxruntime-node"
    if found and (NODE / "node_modules" / "onnxruntime-node").is_dir():
        return found
    if os.environ.get("TREY_REQUIRE_NODE") == "1":
        pytest.fail(f"TREY_REQUIRE_NODE is 1, but there is no {missing}: make node")
    pytest.skip(f"needs {missing}: install Node.js 20 or later, then make node")


def scored_by_node(node: str, model: Path, texts: list[str]) -> np.ndarray:
    """Score texts with tests/node/score.mjs."""
    done = subprocess.run(
        [node, str(NODE / "score.mjs"), str(model)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout), dtype=np.float64)


@pytest.fixture(scope="module")
def exported(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the exported file."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    path.write_bytes(tiny.onnx)
    return path


@pytest.mark.parametrize("texts", [TEXTS, *([text] for text in TEXTS), []])
def test_javascript_reads_a_text_as_python_does(node: str, exported: Path, texts: list[str]) -> None:
    assert_parity(Scorer.from_onnx(exported).score(texts), scored_by_node(node, exported, texts))


def test_javascript_decides_on_descriptions_as_python_does(node: str, exported: Path) -> None:
    texts = list(descriptions(2_000, seed=9)["text"].unique())
    here = Scorer.from_onnx(exported).score(texts)
    assert 0 < (here >= 0.5).sum() < len(texts)
    assert_parity(here, scored_by_node(node, exported, texts))


def assert_parity(here: np.ndarray, there: np.ndarray) -> None:
    assert there.shape == here.shape
    assert np.array_equal(there >= 0.5, here >= 0.5)
    assert np.abs(there - here).max(initial=0) <= PARITY


def test_a_model_that_is_none_is_refused(node: str, tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    done = subprocess.run(
        [node, str(NODE / "score.mjs"), str(broken)],
        input="[]",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "protobuf" in done.stderr.lower()
