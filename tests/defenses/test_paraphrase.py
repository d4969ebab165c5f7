import pytest
from defense_fakes import tiny
from scripted import alone, scripted, thinking

from defenses.paraphrase import Paraphrase
from spiritsafe.errors import UserError


def test_strength_is_the_share_that_is_re_worded():
    requests, replies = thinking(200)
    model = scripted(*range(2, 18))
    for strength in (0.0, 0.4, 1.0):
        defense = Paraphrase(proxy=model, strength=strength, batch=64)
        shown = defense.rewrite_replies(requests, replies)
        changed = [new is not old for new, old in zip(shown, replies, strict=True)]
        assert sum(changed) / 200 == pytest.approx(strength, abs=0.1 * (strength == 0.4))
        assert {new.reasoning for new, was in zip(shown, changed, strict=True) if was} <= {
            " " + " ".join(f"w{word}" for word in range(16)) + " "
        }
        assert [reply.text for reply in shown] == [reply.text for reply in replies]
        assert defense.cost().tokens == 17 * sum(changed)
    assert alone(Paraphrase(proxy=model, strength=0.4), requests[:30], replies[:30]) == Paraphrase(
        proxy=model, strength=0.4
    ).rewrite_replies(requests[:30], replies[:30])


def test_the_model_is_told_what_to_do():
    """One that reads its instruction writes another text for another one."""
    requests, replies = thinking(5)
    model = tiny()
    model.model.generation_config.eos_token_id = list(range(0, 64, 6))
    told = [
        Paraphrase(proxy=model, ratio=30.0, instruction=words).rewrite_replies(requests, replies)
        for words in ("w1 w2", "w1 w2", "w40")
    ]
    assert told[0] == told[1] != told[2]


def test_what_never_ends_is_not_shown():
    requests, replies = thinking(4)
    model = tiny()
    model.model.generation_config.eos_token_id = []
    shown = Paraphrase(proxy=model, max_tokens=4).rewrite_replies(requests, replies)
    assert all(new is old for new, old in zip(shown, replies, strict=True))


def test_a_model_is_asked_for_by_name():
    with pytest.raises(UserError, match="proxy="):
        Paraphrase()
