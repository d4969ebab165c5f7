import dataclasses
from collections import Counter

import pytest
import torch
from defense_fakes import fake_rows, tiny
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES, logprobs, served

from defenses.tail_scrambling import TailScrambling
from defenses.topk_logprobs import TopkLogprobs
from spiritsafe.errors import UserError


@given(seed=st.integers(0, 10**6), k=st.integers(1, 40), coarse=st.booleans())
def test_keeps_the_head_the_argmax_and_every_value(seed, k, coarse):
    """``coarse`` logits are often level with each other, as those of a model in bf16 are."""
    honest = logprobs(seed).round() if coarse else logprobs(seed)
    shown = TailScrambling(k).disclose(honest, fake_rows(5))
    assert torch.equal(shown.sort(-1).values, honest.sort(-1).values)
    assert torch.equal(shown.argmax(-1), honest.argmax(-1))
    head = honest >= honest.sort(-1, descending=True).values[:, k - 1 : k]
    assert torch.equal(shown[head], honest[head])
    assert (head.sum(-1) >= k).all()


def test_the_tail_moves_each_way_equally_often():
    """One row under 4800 streams: all 24 orders of a tail of four, 200 times each, by chi-square."""
    honest = torch.tensor([0.5, 0.2, 0.12, 0.09, 0.06, 0.03]).log()
    rows = fake_rows(4800)
    shown = TailScrambling(2).disclose(honest.expand(4800, -1), rows).exp()
    orders = Counter(tuple(row) for row in (100 * shown[:, 2:]).round().int().tolist())
    assert len(orders) == 24
    assert sum((count - 200) ** 2 / 200 for count in orders.values()) < 49.7  # 99.9 % at 23 degrees of freedom


def test_depends_on_the_stream_and_the_position_only():
    honest, rows = logprobs(0, rows=1).expand(6, -1), fake_rows(6)
    whole = TailScrambling(3).disclose(honest, rows)
    part = dataclasses.replace(rows, streams=rows.streams[2:4], generated=rows.generated[2:4])
    assert torch.equal(TailScrambling(3).disclose(honest[2:4], part), whole[2:4])
    moved = dataclasses.replace(rows, generated=rows.generated + 1)
    assert (TailScrambling(3).disclose(honest, moved) != whole).any(-1).all()
    other = dataclasses.replace(rows, streams=rows.streams + 1)
    assert (TailScrambling(3).disclose(honest, other) != whole).any(-1).all()


def test_a_head_of_all_is_no_change():
    honest = logprobs(0)
    assert TailScrambling(40).disclose(honest, fake_rows(5)) is honest


def test_a_large_vocabulary():
    honest = logprobs(0, rows=2, vocabulary=150_000)
    shown = TailScrambling().disclose(honest, fake_rows(2))
    assert torch.equal(shown.sort(-1).values, honest.sort(-1).values)
    assert ((shown == honest).sum(-1) < 100).all()


def test_after_a_truncation_what_is_left_of_the_tail_moves():
    honest, rows = logprobs(0), fake_rows(5)
    cut = TopkLogprobs(6).disclose(honest, rows)
    shown = TailScrambling(2).disclose(cut, rows)
    assert shown.isfinite().sum(-1).tolist() == [6] * 5
    assert torch.equal(shown.topk(2).indices, honest.topk(2).indices)
    assert (shown.topk(6).indices != honest.topk(6).indices).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_sampler(family):
    plain, shown = served(family, TailScrambling(3))
    torch.testing.assert_close(shown.sort(-1).values, plain.sort(-1).values)
    torch.testing.assert_close(shown.topk(3), plain.topk(3))
    assert ((shown != plain).sum(-1) > 40).all()


def test_bad_knobs_name_the_remedy():
    with pytest.raises(UserError, match="k >= 1"):
        TailScrambling(0)
    with pytest.raises(UserError, match="set k to at most 64"):
        TailScrambling(65).check(tiny())
    TailScrambling(64).check(tiny())
