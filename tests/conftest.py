"""What holds for every test."""

import pytest
from hypothesis import HealthCheck, settings

import border

# The suite is the same on every run and on machines however slow. To search further:
#     pytest --hypothesis-profile=fuzz
relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", max_examples=60, derandomize=True, **relaxed)
settings.register_profile("fuzz", max_examples=1000, **relaxed)
settings.load_profile("fixed")

if border.DEVICE != "cpu":
    border.use(border.DEVICE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what is about the CPU alone when the suite runs on another device."""
    if border.DEVICE == "cpu":
        return
    for item in items:
        for mark in item.iter_markers("cpu"):
            item.add_marker(pytest.mark.skip(reason=f"CPU alone: {mark.args[0]}"))
