import pytest

from attacks.accounts import RoundRobin
from attacks.max_of_k import MaxOfK
from attacks.plain import Plain
from attacks.pool import Pool
from attacks.resample import Resample
from spiritsafe.attack import Attack
from spiritsafe.budget import Budget
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Sampling
from spiritsafe.experiment.harvest import harvest, spend
from spiritsafe.interface import Interface
from spiritsafe.models import load
from spiritsafe.tasks.facts import Facts
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger

OFFERED = Interface(sampling=Sampling(max_tokens=6), samples=3)


def campaign(model, folder, elicitor, exchanges, batch_size=256):
    folder.mkdir(parents=True)
    attack = Attack(Pool([Facts()], {"facts": 1}, 0, 20), elicitor, RoundRobin(2))
    accounts = {account.id: account for account in attack.accounts.accounts}
    ledger = Ledger(Budget((exchanges,)))
    gateway = Gateway(model, OFFERED, [], ledger, accounts, batch_size=batch_size, window=4)
    return harvest(attack, gateway, Call, OFFERED, 4, folder), accounts


@pytest.fixture(scope="module")
def model(tiny_world):
    return load(str(tiny_world.teacher), device="cpu")


def test_every_sample_is_an_exchange_and_is_billed(model, tmp_path):
    served, accounts = campaign(model, tmp_path / "a", Resample(3), 20)
    assert len(served) == 20
    assert [each.sample for each in served[:6]] == [0, 1, 2, 0, 1, 2]
    assert sum(account.exchanges for account in accounts.values()) == 20
    assert sum(account.tokens for account in accounts.values()) == spend(served)["completion_tokens"] > 20
    assert len({each.reply.completion for each in served[:3]}) > 1


def test_the_first_sample_is_that_of_plain_and_smaller_budgets_are_prefixes(model, tmp_path):
    served, _ = campaign(model, tmp_path / "a", Resample(3), 20)
    plain, _ = campaign(model, tmp_path / "b", Plain(), 7, batch_size=2)
    assert [each.reply for each in served if each.sample == 0] == [each.reply for each in plain]
    assert campaign(model, tmp_path / "c", Resample(3), 11, batch_size=5)[0] == served[:11]
    kept = MaxOfK(k=1, repeated=1.0).clean(served)
    assert kept == [each for each in served if each.sample == 0 and each.reply.completion.strip()]


def test_more_than_is_offered_is_told_before_it_is_asked():
    with pytest.raises(UserError, match=r"set interface\.samples=4 or attack\.elicitor\.n=3"):
        Resample(4).wrap("r", [Message("user", "?")], OFFERED)
    with pytest.raises(UserError, match="at least one sample"):
        Resample(0)


def test_one_sample_is_plain():
    offered = Interface(top_logprobs=5)
    for wanted in (None, 3):
        asked = Resample(1, wanted).wrap("r", [Message("user", "?")], offered)
        assert asked == Plain(wanted).wrap("r", [Message("user", "?")], offered)
