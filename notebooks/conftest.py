"""`pytest --nbval-lax notebooks` runs the notebooks as the lifecycle does: in the order of their graph."""

from pathlib import Path

import pytest

from runner.pipeline import load_pipeline

PIPELINE = Path(__file__).parent.parent / "params" / "pipeline.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"{phase}.ipynb": position for position, phase in enumerate(load_pipeline(PIPELINE).order)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
