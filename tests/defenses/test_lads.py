from dataclasses import replace

import pytest
import torch
from defense_fakes import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from defenses.lads import LADS, simhash
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger


def ask(text="w3 w5", name="r", samples=1, max_tokens=1):
    return Request(name, (Message("user", text),), Sampling(max_tokens=max_tokens), samples)


def gateway(teacher, *defenses, accounts="ab", **options):
    known = {name: Account(name) for name in accounts}
    return Gateway(teacher, Interface(samples=1000), defenses, Ledger(None), known, seed=3, **options)


def calls(requests, account, start=0.0):
    return [Call(request, account, start + index) for index, request in enumerate(requests)]


def drawn(exchanges):
    return torch.tensor([exchange.reply.token_ids[0] for exchange in exchanges])


@pytest.fixture(scope="module")
def small():
    return tiny(seed=1, vocabulary=16)


@pytest.mark.parametrize("samples", [1, 50])
def test_one_account_gets_the_undefended_law(small, samples):
    asked = [ask(name=f"r{index}", samples=samples) for index in range(3000 // samples)]
    found = drawn(gateway(small, LADS(key="k"), window=3000, batch_size=1500).serve(calls(asked, "a")))
    law = small.model(input_ids=torch.tensor([small.prompt_ids(asked[0].messages)])).logits[0, -1].double().softmax(-1)
    assert float(law.min()) * 3000 > 5
    assert chisquare(found.bincount(minlength=16), law * 3000).pvalue > 1e-3


def test_accounts_share_a_visit_and_different_visits_are_independent(small):
    asked = [ask(name=f"r{index}") for index in range(2000)]
    defense = LADS(key="k")
    first = drawn(gateway(small, defense, window=2000, batch_size=1000).serve(calls(asked, "a")))
    renamed = [replace(request, id=f"other{index}") for index, request in enumerate(asked)]
    second = drawn(gateway(small, defense, window=2000, batch_size=1000).serve(calls(renamed, "b")))
    assert torch.equal(first, second)
    before, after = (each == first.bincount().argmax() for each in (first[:-1], second[1:]))
    table = [[int(((before == x) & (after == y)).sum()) for y in (False, True)] for x in (False, True)]
    assert chi2_contingency(table).pvalue > 1e-3


def names(defense, account, *texts):
    return [defense.randomness(ask(text), Account(account)) for text in texts]


def test_the_account_enters_through_its_visits_alone():
    defense = LADS(key="k")
    one, two = names(defense, "a", *["x y"] * 3), names(defense, "b", "x y", "x y")
    assert one[:2] == two
    assert len(set(one)) == 3
    assert names(defense, "b", "x y") == [one[2]]
    assert not set(names(LADS(key="other"), "a", *["x y"] * 3)) & set(one)


def test_a_request_of_many_samples_is_one_visit(small):
    defense = LADS(key="k")
    gate = gateway(small, defense, accounts="abc", window=5)
    many = gate.serve(calls([ask(name="m", samples=12), ask(name="n")], "a"))
    ones = gate.serve(calls([ask(name=f"s{index}") for index in range(2)], "b", 10))
    assert sum(defense.visits.values()) == 4
    assert [many[0].reply, many[12].reply] == [ones[0].reply, ones[1].reply]
    assert len(set(drawn(many[:12]).tolist())) > 1


@pytest.mark.parametrize("bits", [0, 16])
def test_case_and_white_space_are_no_other_bucket(bits):
    defense = LADS(key="k", bits=bits)
    assert defense.bucket(ask("How  many\nApples?")) == defense.bucket(ask(" how many apples? "))
    assert defense.bucket(ask("how many apples?")) != defense.bucket(ask("write a poem about the deep sea"))
    earlier = Request("r", (Message("user", "x"), Message("assistant", "y"), Message("user", "how many apples?")))
    assert defense.bucket(earlier) == defense.bucket(ask("how many apples?"))


def test_texts_that_share_most_words_share_a_bucket_more_often():
    generator = torch.Generator().manual_seed(0)
    shared = dict.fromkeys((1, 20), 0)
    for trial in range(300):
        words = [f"w{int(index)}" for index in torch.randint(10_000, (20,), generator=generator)]
        for changed in shared:
            other = [f"z{trial}{place}" if place < changed else word for place, word in enumerate(words)]
            shared[changed] += simhash(words, 7, 8) == simhash(other, 7, 8)
    assert shared[1] > 60
    assert shared[20] < 15


@settings(max_examples=40, deadline=None)
@given(words=st.lists(st.text(max_size=5), max_size=8), bits=st.integers(1, 64), seed=st.integers(0, 99))
def test_a_bucket_has_its_bits_and_no_order(words, bits, seed):
    found = simhash(words, 7, bits)
    assert len(found) == bits
    assert set(found) <= {"0", "1"}
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(seed)).tolist()
    assert simhash([words[index] for index in order], 7, bits) == found
    assert simhash(words, 7, 64)[:bits] == found


@pytest.mark.parametrize("stop", [1, 7, 20])
def test_a_resumed_campaign_draws_what_an_unbroken_one_draws(small, stop):
    asked = [ask(["w3 w5", "w4", "w9 w9"][index % 3], f"r{index}", samples=1 + index % 2) for index in range(20)]
    issued = [Call(request, "ab"[index % 5 % 2], float(index)) for index, request in enumerate(asked)]
    whole = gateway(small, LADS(key="k", bits=0), window=4).serve(issued)
    done = [exchange for exchange in whole if exchange.time < stop]
    resumed = gateway(small, LADS(key="k", bits=0), window=4)
    resumed.replay(done)
    assert done + resumed.serve(issued[stop:]) == whole
    forgetful = gateway(small, LADS(key="k", bits=0), window=4).serve(issued[stop:])
    assert stop == 20 or forgetful != whole[len(done) :]


@pytest.mark.parametrize("bad", [{"key": None}, {"bits": -1}, {"bits": 65}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        LADS(**{"key": "k", **bad})
