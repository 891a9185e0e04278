"""Guards the network of a process that a test started: see guard.py beside this folder."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("_network_guard", Path(__file__).resolve().parents[1] / "guard.py")
assert _spec and _spec.loader
guard = importlib.util.module_from_spec(_spec)
sys.modules["_network_guard"] = guard
_spec.loader.exec_module(guard)
guard.install()
