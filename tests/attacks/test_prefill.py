import pytest
from campaigning import TASKS, campaign

from attacks.examples import to_examples
from attacks.pool import Pool
from attacks.prefill import Prefill
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.interface import Interface


def test_replies_begin_with_the_word_which_is_learned_and_not_billed(tiny, tmp_path):
    exchanges = campaign(tiny, tmp_path, Pool(TASKS, {"programs": 1}, 0, 4), Prefill("<think> first"), exchanges=4)
    assert len(exchanges) == 4
    rows = to_examples(exchanges)
    assert all(row.completion.replace(" ", "").startswith("<think>first") for row in rows)
    assert len(rows) == 4
    assert {len(each.reply.token_ids) - each.reply.usage.completion_tokens for each in exchanges} == {2}


def test_without_prefill_on_offer_the_error_names_the_option():
    with pytest.raises(UserError, match=r"interface\.prefill=true"):
        Prefill().wrap("r", (Message("user", "why?"),), Interface())
    with pytest.raises(UserError, match=r"attack\.elicitor\.text"):
        Prefill("")
