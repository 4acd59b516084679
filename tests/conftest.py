"""What holds for every test."""

from hypothesis import HealthCheck, settings

# The suite is the same on every run and on machines however slow. To search further:
#     pytest --hypothesis-profile=fuzz
relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", max_examples=60, derandomize=True, **relaxed)
settings.register_profile("fuzz", max_examples=1000, **relaxed)
settings.load_profile("fixed")
