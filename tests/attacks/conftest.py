import pytest

from spiritsafe.models import LanguageModel, load


@pytest.fixture(scope="session")
def tiny(tiny_world) -> LanguageModel:
    """An untrained model of the reference world."""
    return load(str(tiny_world.teacher), device="cpu")
