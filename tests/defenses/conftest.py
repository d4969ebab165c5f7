import pytest
from defense_fakes import tiny

from spiritsafe.models import LanguageModel


@pytest.fixture(scope="session")
def teacher() -> LanguageModel:
    return tiny(seed=1)


@pytest.fixture(scope="session")
def proxy() -> LanguageModel:
    return tiny(seed=2)
