"""Fixtures that several rooms use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.drawn import WHOLE, seed

settings.register_profile("house", settings(), deadline=None)  # a loaded machine has slow moments
settings.load_profile("house")


def pytest_report_header() -> str:
    """Say at the head of a session which part of the long tables is run."""
    return "long tables: whole (TREY_WHOLE=1)" if WHOLE else f"long tables: rows drawn by TREY_SEED={seed()}"


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Give the folder of data and contracts beside the project; without it, skip, or fail where it is required."""
    if not SHARED.is_dir():
        if os.environ.get("TREY_REQUIRE_SHARED") == "1":
            pytest.fail("TREY_REQUIRE_SHARED is 1, but there is no folder ../shared beside the project")
        pytest.skip("needs ../shared beside the project; docs/DATA.md says where anyone gets what is in it")
    return SHARED
