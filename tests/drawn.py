"""What hypothesis draws for the tests; where it is missing, those tests skip and their neighbours run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["HealthCheck", "assume", "given", "hnp", "profiles", "settings", "st"]

try:
    from hypothesis import HealthCheck, assume, given, settings
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError:

    class Missing:
        """Stands for strategies, which are put together but never drawn from."""

        def __getattr__(self, name: str) -> Missing:
            return self

        def __call__(self, *arguments: Any, **keywords: Any) -> Missing:
            return self

    HealthCheck = assume = hnp = st = Missing()

    def given(*strategies: Any, **more: Any) -> Callable[[Any], Any]:
        """Makes a test skip."""

        def skipping(test: Any) -> Any:
            def skipped() -> None:
                pytest.skip("hypothesis is not installed")

            return skipped

        return skipping

    def settings(**options: Any) -> Callable[[Any], Any]:
        """Leaves a test as it is."""
        return lambda test: test

    def profiles() -> None:
        """There are none."""

else:

    def profiles() -> None:
        """The suite is the same on every run and on machines however slow.

        To search further: pytest --hypothesis-profile=fuzz
        """
        relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
        settings.register_profile("fixed", max_examples=60, derandomize=True, **relaxed)
        settings.register_profile("fuzz", max_examples=1000, **relaxed)
        settings.load_profile("fixed")
