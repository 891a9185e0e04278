"""Fixtures of other rooms."""

from ..runner.conftest import chain, project  # noqa: F401 - fixtures
