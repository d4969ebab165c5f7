import pytest
from tiny_models import ARCHITECTURES, tiny

from spiritsafe.models import LanguageModel


@pytest.fixture(scope="session", params=ARCHITECTURES)
def language_model(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny(request.param)


@pytest.fixture(scope="session")
def llama() -> LanguageModel:
    return tiny()
