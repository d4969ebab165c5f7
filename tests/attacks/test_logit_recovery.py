from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from attacks.logit_recovery import LogitRecovery, hidden_size, solve
from defenses.rounding import Rounding
from defenses.text_only import TextOnly
from spiritsafe.account import Account
from spiritsafe.budget import Budget
from spiritsafe.defense import Defense
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Logprobs, Message, Outcome, Reply, Request, Sampling, Usage
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger
from tests.teacher.tiny_models import tiny_tokenizer

HIDDEN, VOCABULARY = 8, 60
OFFERED = Interface(Sampling(max_tokens=4), top_logprobs=6, logit_bias=5, prefill=True)
WORDS = ["the", "st", "ab", "cat", "dog", "12", "a 3", "x", "yes", "no", "how", "why", "zebra", "q 9"]
CONTEXTS = [Request("", (Message("user", word),), prefill="ab" * (place % 2)) for place, word in enumerate(WORDS)]


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    torch.manual_seed(0)
    shape = {"hidden_size": HIDDEN, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=1,
        **shape,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return LanguageModel(model.eval().requires_grad_(False), tiny_tokenizer(), "toy", "toy")


class Desk:
    """The gateway as the attacker meets it."""

    def __init__(self, model: LanguageModel, interface: Interface, *defenses: Defense, budget: Budget | None = None):
        self.gateway = Gateway(model, interface, defenses, Ledger(budget), {"a": Account("a")})

    def __call__(self, requests: Sequence[Request]) -> list[Exchange]:
        return self.gateway.serve([Call(request, "a", 0.0, purpose="probe") for request in requests])

    @property
    def spent(self) -> int:
        return self.gateway.ledger.spend.exchanges


def truth(model: LanguageModel) -> np.ndarray:
    """The same weights in float64, no gateway."""
    exact = LlamaForCausalLM(model.model.config).double().eval()
    exact.load_state_dict({name: value.double() for name, value in model.model.state_dict().items()})
    rows = [model.prompt_ids(context.messages, context.prefill) for context in CONTEXTS]
    with torch.inference_mode():
        return torch.stack([exact(torch.tensor([row])).logits[0, -1].log_softmax(-1) for row in rows]).numpy()


@pytest.mark.parametrize(("method", "rung", "error"), [("reference", 5.0, 1e-6), ("exact", 1.0, 2e-6)])
def test_every_log_probability_is_read_through_the_gateway(toy, method, rung, error):
    desk = Desk(toy, OFFERED)
    found = LogitRecovery(method, rung, rung).recover(CONTEXTS, VOCABULARY, OFFERED, desk)
    np.testing.assert_allclose(found.logprobs, truth(toy), rtol=0, atol=error)
    assert found.queries == desk.spent
    assert hidden_size(found.logprobs) == HIDDEN


def test_one_large_bias_costs_the_published_number_of_queries(toy):
    """One without a bias shows 6 of 60 tokens; 54 / (6 - 1) more show the rest."""
    desk = Desk(toy, OFFERED)
    assert LogitRecovery(bias=60.0).recover(CONTEXTS[:3], VOCABULARY, OFFERED, desk).queries == desk.spent == 3 * 12


def test_what_discloses_everything_is_asked_once(toy):
    full = replace(OFFERED, full_logits=True, logit_bias=0)
    found = LogitRecovery().recover(CONTEXTS[:3], VOCABULARY, full, Desk(toy, full))
    np.testing.assert_allclose(found.logprobs, truth(toy)[:3], rtol=0, atol=1e-6)
    assert found.queries == 3


def test_rounding_breaks_it(toy):
    found = LogitRecovery(bias=2.0, step=2.0).recover(CONTEXTS, VOCABULARY, OFFERED, Desk(toy, OFFERED, Rounding(3)))
    assert np.nanmax(np.abs(found.logprobs - truth(toy))) > 1e-3
    whole = np.isfinite(found.logprobs).all(0)
    assert whole.sum() > 2 * HIDDEN
    assert hidden_size(truth(toy)[:, whole]) == HIDDEN
    assert hidden_size(found.logprobs[:, whole]) is None


def test_what_shows_nothing_gives_nothing(toy):
    found = LogitRecovery().recover(CONTEXTS[:2], VOCABULARY, OFFERED, Desk(toy, OFFERED, TextOnly()))
    assert found.queries == 2
    assert np.isnan(found.logprobs).all()
    with pytest.raises(UserError, match="not recovered"):
        hidden_size(found.logprobs)
    assert LogitRecovery().recover([], VOCABULARY, OFFERED, Desk(toy, OFFERED)).logprobs.shape == (0, VOCABULARY)


@pytest.mark.parametrize("method", ["reference", "exact"])
def test_a_budget_that_ends_leaves_the_rest_unknown(toy, method):
    desk = Desk(toy, OFFERED, budget=Budget((5,)))
    found = LogitRecovery(method).recover(CONTEXTS[:1], VOCABULARY, OFFERED, desk)
    known = np.isfinite(found.logprobs)
    assert found.queries == desk.spent == 5
    assert 6 <= known.sum() < VOCABULARY
    np.testing.assert_allclose(found.logprobs[known], truth(toy)[:1][known], rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["reference", "exact"])
@pytest.mark.parametrize("withheld", [(), (3, 4, 17)])
def test_it_is_exact_where_the_arithmetic_is(method, withheld):
    """Against a teacher of float64 numbers, by the definition of the softmax; some of its tokens are never shown."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 6, 40)

    def ask(requests: Sequence[Request]) -> list[Exchange]:
        exchanges = []
        for request in requests:
            biased = logits.copy()
            for token, bias in request.logit_bias:
                biased[token] += bias
            shown = biased - np.log(np.exp(biased).sum())
            best = [token for token in np.argsort(-shown).tolist()[: request.top_logprobs] if token not in withheld]
            logprobs = Logprobs((tuple(best),), (tuple(shown[best].tolist()),), (0.0,))
            reply = Reply(Outcome.ANSWERED, token_ids=(0,), logprobs=logprobs, usage=Usage(1, 1))
            exchanges.append(Exchange(request, reply, "a", 0.0))
        return exchanges

    found = LogitRecovery(method, 2.0, 3.0).recover([Request("", ())], 40, OFFERED, ask).logprobs[0]
    assert np.flatnonzero(np.isnan(found)).tolist() == list(withheld)
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known], (logits - np.log(np.exp(logits).sum()))[known], rtol=0, atol=1e-9)


def test_the_exact_solve_takes_every_token_its_own_bias():
    logits, bias = np.array([1.0, -3.0, 0.5, 2.0]), np.array([4.0, 7.5])
    biased = logits + np.array([4.0, 7.5, 0, 0])
    shown = (biased - np.log(np.exp(biased).sum()))[:2]
    np.testing.assert_allclose(solve(shown, bias), (logits - np.log(np.exp(logits).sum()))[:2], atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(20, 50), (60, 30)])
def test_the_rank_of_rows_known_up_to_a_constant(rows, columns):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(rows, 7)) @ rng.normal(size=(7, columns)) + rng.normal(size=(rows, 1))
    assert hidden_size(logits + 1e-7 * rng.normal(size=logits.shape)) == 7
    assert hidden_size(logits[:6]) is None
    assert hidden_size(rng.normal(size=(rows, columns))) is None
    assert hidden_size(logits[:1]) is None


@pytest.mark.parametrize(
    ("offered", "method"),
    [({"top_logprobs": 1}, "reference"), ({"top_logprobs": 0}, "exact"), ({"logit_bias": 0}, "exact")],
)
def test_an_interface_without_a_bias_or_log_probabilities_is_said_to_be_one(offered, method):
    with pytest.raises(UserError, match=r"interface\.top_logprobs"):
        LogitRecovery(method).recover(CONTEXTS, VOCABULARY, replace(OFFERED, **offered), lambda requests: [])


@pytest.mark.parametrize("options", [{"bias": 0.0}, {"bias": 101.0}, {"step": 0.0}, {"method": "guess"}])
def test_senseless_options_are_refused(options):
    with pytest.raises(UserError, match="logit recovery"):
        LogitRecovery(**options)
