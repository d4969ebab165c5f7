import pytest
import torch
from defense_fakes import fake_rows
from showing import FAMILIES, logprobs, served

from defenses.text_only import TextOnly


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_stays_and_nothing_is_shown(family):
    plain, shown = served(family, TextOnly())
    assert plain.isfinite().all()
    assert (shown == -torch.inf).all()


def test_it_does_not_write_into_what_it_is_given():
    given = logprobs(0)
    before = given.clone()
    assert (TextOnly().disclose(given, fake_rows(5)) == -torch.inf).all()
    assert torch.equal(given, before)
