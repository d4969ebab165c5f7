import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from disclosed import distance, drawn, is_normalised, requests, served, table, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from defenses.modelguard_s import Cells, ModelguardS, trace_logprobs
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger


def made(epsilon=0.3, **options):
    defense = ModelguardS(epsilon, **{"traces": 0, **options})
    defense.prepare(FakePreparation(tiny()))
    return defense


def one_by_one(rows, centroids, epsilon):
    """The paper's quantiser, a distribution at a time."""
    centroids = list(centroids)
    for row in rows:
        same = [c for c in centroids if c.argmax() == row.argmax()]
        if not any(distance(row[None], c[None]) <= epsilon for c in same):
            centroids.append(row)
    return centroids


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(0.05, 1.5), vocabulary=st.sampled_from([3, 6]))
def test_the_table_is_the_incremental_quantiser(seed, epsilon, vocabulary):
    rows = drawn(seed, 40, vocabulary)
    defense = ModelguardS(epsilon)
    defense.cells = Cells(torch.zeros(0, vocabulary, dtype=torch.float64))
    for part in rows.split(15):
        defense.enter(part)
    expected = one_by_one(rows, [], epsilon)
    for token in range(vocabulary):
        mine = [c for c in defense.cells.centroids if c.argmax() == token]
        theirs = [c for c in expected if c.argmax() == token]
        assert len(mine) == len(theirs)
        assert all(torch.equal(first, second) for first, second in zip(mine, theirs, strict=True))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(0.05, 1.5))
def test_shown_is_the_first_centroid_within_the_budget(seed, epsilon):
    defense, honest = made(epsilon), drawn(seed, 12, 64, dtype=torch.float32)
    defense.cells = Cells(drawn(seed + 1, 100, 64, dtype=torch.float32))
    shown = defense.disclose(honest, fake_rows(12))
    assert is_normalised(shown)
    assert (distance(shown, honest) <= epsilon + 1e-5).all()
    assert torch.equal(shown.argmax(-1), honest.argmax(-1))
    for row, found in zip(honest, shown, strict=True):
        near = [
            c for c in defense.cells.centroids if c.argmax() == row.argmax() and distance(row[None], c[None]) <= epsilon
        ]
        assert torch.equal(found, near[0] if near else row)


def test_a_lookup_in_chunks_finds_the_same(monkeypatch):
    rows, centroids = drawn(0, 30, 6), drawn(1, 30, 6)
    whole = Cells(centroids).first_within(rows, 0.5)
    assert 0 < (whole >= 0).sum() < 30
    monkeypatch.setattr("defenses.modelguard_s.COMPARED", 20)
    assert torch.equal(Cells(centroids).first_within(rows, 0.5), whole)


def test_a_second_account_sees_the_centroid_of_the_first():
    defense, honest = made(), drawn(0, 3, 64, dtype=torch.float32)
    close = (0.98 * honest.exp() + 0.02 / 64).log()
    earlier, later = fake_rows(3), fake_rows(3)
    later.streams, earlier.generated = later.streams + 1, earlier.generated + 9
    assert torch.equal(defense.disclose(close, later), close)
    assert torch.equal(defense.disclose(honest, earlier), honest)  # the window is not over
    defense.observe([], {})
    for each in (honest, close):
        assert torch.equal(defense.disclose(each, later), honest)


def test_the_order_of_arrival_does_not_matter():
    rows, batch = drawn(0, 30, 3), fake_rows(30)
    tables = []
    for order in (torch.arange(30), torch.randperm(30, generator=torch.Generator().manual_seed(1))):
        defense = ModelguardS(0.5)
        defense.cells = Cells(torch.zeros(0, 3, dtype=torch.float64))
        for some in order.split(7):
            part = fake_rows(len(some))
            part.streams, part.generated = batch.streams[some], batch.generated[some]
            defense.disclose(rows[some], part)
        defense.observe([], {})
        tables.append(defense.cells.centroids)
    assert len(tables[0]) < 30
    assert torch.equal(*tables)


def test_traces_seed_the_table(teacher):
    defense, preparation = ModelguardS(0.2, traces=10, batch=4), FakePreparation(teacher)
    defense.prepare(preparation)
    each = []
    for trace in preparation.traces(10):
        prompt = teacher.prompt_ids(trace.messages)
        logits = teacher.model(torch.tensor([prompt + list(trace.token_ids)])).logits[0]
        each.append(logits[len(prompt) - 1 : -1].log_softmax(-1))
    torch.testing.assert_close(torch.cat(list(trace_logprobs(teacher, preparation.traces(10), 4))), torch.cat(each))
    assert (defense.cells.first_within(torch.cat(each), 0.2 + 1e-4) >= 0).all()
    assert defense.summary() == {"cells": len(defense.cells.centroids)}
    assert 0 < len(defense.cells.centroids) <= len(torch.cat(each))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_text_is_untouched_and_what_is_shown_is_coarse(family):
    teacher = tiny(family)
    defense = ModelguardS(1.0, traces=20)
    defense.prepare(FakePreparation(teacher))
    plain, shown = served(teacher), served(teacher, defense)
    assert tokens(plain) == tokens(shown)
    apart = distance(table(plain), table(shown))
    assert apart.max() <= 1 + 1e-5
    assert (apart > 0.01).float().mean() > 0.3


def campaign(teacher, defense, batch_size, stop=None, resumed=None):
    """Exchanges and the gateway; ``resumed`` are exchanges and a state to begin from."""
    calls = [Call(request, "a", float(place)) for place, request in enumerate(requests(20))]
    gateway = Gateway(
        teacher, Interface(top_logprobs=64), [defense], Ledger(), {"a": Account("a")}, batch_size=batch_size, window=8
    )
    done = []
    if resumed:
        done, state = resumed
        gateway.replay(done)
        defense.restore(state)
    return done + gateway.serve(calls[len(done) : stop])


def test_a_campaign_resumes_and_batches_do_not_matter(teacher, tmp_path):
    whole = campaign(teacher, first := made(), 8)
    campaign(teacher, again := made(), 3)
    torch.testing.assert_close(first.cells.centroids, again.cells.centroids)
    assert len(first.cells.centroids) > 10
    begun = campaign(teacher, half := made(), 8, stop=11)  # in the middle of a window
    assert len(half.state()["pending"])
    save_file(half.state(), tmp_path / "state")
    resumed = campaign(teacher, last := made(), 8, resumed=(begun, load_file(tmp_path / "state")))
    replies = [exchange.reply for exchange in whole]
    assert tokens(exchange.reply for exchange in resumed) == tokens(replies)
    torch.testing.assert_close(table([exchange.reply for exchange in resumed]), table(replies), atol=1e-5, rtol=0)
    torch.testing.assert_close(last.cells.centroids, first.cells.centroids)
    save_file(last.state(), tmp_path / "state")


def test_no_strength_is_the_same_tensor(teacher):
    defense, honest = ModelguardS(0.0), drawn(0)
    defense.prepare(FakePreparation(teacher))
    assert defense.disclose(honest, fake_rows(6)) is honest
    assert not defense.pending


def test_a_full_table_says_what_to_do(teacher):
    with pytest.raises(UserError, match=r"more than 5 cells of radius 0.01: raise its capacity .* epsilon"):
        ModelguardS(0.01, capacity=5).prepare(FakePreparation(teacher))


@pytest.mark.parametrize("bad", [{"epsilon": -0.1}, {"epsilon": 2.5}, {"capacity": 0}, {"traces": -1}, {"batch": 0}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        ModelguardS(**bad)
