import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import pytest
import torch
from student_world import examples, student
from torch import Tensor

from spiritsafe.account import Account
from spiritsafe.budget import Budget
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply, Request, Sampling
from spiritsafe.interface import Interface, Signal
from spiritsafe.models import LanguageModel
from spiritsafe.objective import Targets
from student.gkd import GKD
from student.lora import LoRA
from student.minillm import MiniLLM
from student.on_policy import train_on_policy
from student.reverse_kl import SampledReverseKL
from student.sft import SFT
from student.training import Recipe, train
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger
from teacher.sampler import Sampler

RECIPE = Recipe(steps=4, learning_rate=1e-2, batch_size=8, warmup=0.0)
PROMPTS = [row.messages for row in examples(12)]
OPEN = Interface(scoring=True, top_logprobs=5)
Ask = Callable[[list[Request]], list[Reply]]


def sharp(seed: int) -> LanguageModel:
    """A model whose next tokens are not all alike."""
    lm = student(seed=seed)
    with torch.no_grad():
        for parameter in lm.model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(20)
    return lm


TEACHER = sharp(5)


def gateway(interface: Interface = OPEN, budget: int | None = None, teacher: LanguageModel = TEACHER) -> Gateway:
    ledger = Ledger(None if budget is None else Budget((budget,)))
    return Gateway(teacher, interface, [], ledger, {"a": Account("a")})


def through(gate: Gateway) -> Ask:
    def ask(requests: list[Request]) -> list[Reply]:
        calls = [Call(request, "a", 0.0, purpose="score") for request in requests]
        return [exchange.reply for exchange in gate.serve(calls)]

    return ask


def alone(model: LanguageModel, requests: Sequence[Request]) -> list[Reply]:
    return Sampler(model).respond(requests)


def learn(ask: Ask, objective: Any = None, lm: LanguageModel | None = None, **options: Any) -> Any:
    options = {"recipe": RECIPE, "sample": alone, "max_tokens": 8} | options
    prompts, recipe = options.pop("prompts", PROMPTS), options.pop("recipe")
    return train_on_policy(lm or student(), prompts, objective or SampledReverseKL(), recipe, ask=ask, **options)


def weights(lm: LanguageModel) -> Tensor:
    return torch.cat([weight.flatten() for weight in lm.model.state_dict().values()])


@dataclass
class Recorder:
    """Learns nothing, and keeps what it was shown."""

    top_logprobs: int = 0
    seen: list[Targets] = field(default_factory=list)
    needs: ClassVar[Signal] = Signal.SCORE

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        self.seen.append(targets)
        return 0 * logits.sum()


@pytest.fixture(scope="module")
def fond() -> LanguageModel:
    """A teacher that has a few favourite letters, which is soon learnt."""
    rows = [replace(row, completion="abba cab") for row in examples(16)]
    return train(student(seed=5), rows, SFT(), replace(RECIPE, steps=12))[0]


@torch.no_grad()
def divergence(lm: LanguageModel, teacher: LanguageModel) -> float:
    """KL(q || p) a token at prefixes that the student visits."""
    sampling = Sampling(max_tokens=8)
    replies = alone(lm, [Request(f"t{i}", prompt, sampling, samples=4) for i, prompt in enumerate(PROMPTS)])
    total, count = 0.0, 0
    for i, reply in enumerate(replies):
        prompt = lm.prompt_ids(PROMPTS[i // 4])
        ids = torch.tensor([prompt + list(reply.token_ids)])
        log_q, log_p = (each.model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(1) for each in (lm, teacher))
        total, count = total + float((log_q.exp() * (log_q - log_p)).sum()), count + len(log_q)
    return total / count


def test_every_scored_completion_is_one_exchange_without_completion_tokens() -> None:
    gate = gateway()
    steps: list[tuple[int, float]] = []
    _, course = learn(through(gate), rollouts=2, on_step=lambda step, loss: steps.append((step, loss)))
    assert steps == list(enumerate(course.losses, 1))
    assert (len(steps), course.exchanges, course.spent) == (4, 32, False)
    assert (gate.ledger.spend.exchanges, gate.ledger.spend.completion_tokens) == (32, 0)


@pytest.mark.parametrize(("budget", "steps"), [(0, 0), (7, 0), (8, 1), (20, 2), (31, 3), (32, 4)])
def test_training_stops_where_the_budget_does(budget: int, steps: int) -> None:
    gate = gateway(budget=budget) if budget else gateway()
    trained, course = learn(through(gate) if budget else lambda requests: [])
    assert len(course.losses) == steps
    assert course.exchanges == gate.ledger.spend.exchanges == budget
    assert course.spent == (budget < 32)
    assert torch.equal(weights(trained), weights(student())) == (steps == 0)


def test_a_smaller_budget_is_a_prefix() -> None:
    whole, part = (learn(through(gateway(budget=budget)))[1].losses for budget in (32, 17))
    assert part == whole[:2]


def test_the_scores_are_the_teachers_of_exactly_the_sampled_tokens() -> None:
    sampled: list[tuple[Request, Reply]] = []

    def sample(model: LanguageModel, requests: list[Request]) -> list[Reply]:
        replies = alone(model, requests)
        sampled.extend(zip(requests, replies, strict=True))
        return replies

    recorder, lm = Recorder(top_logprobs=3), sharp(0)
    _, course = learn(through(gateway()), recorder, lm, sample=sample, recipe=replace(RECIPE, batch_size=1, steps=6))
    assert len(recorder.seen) == 6
    for (request, reply), targets in zip(sampled, recorder.seen, strict=True):
        prompt = lm.prompt_ids(request.messages)
        ids = torch.tensor([[*prompt, *reply.token_ids]])
        log_p, log_q = (m.model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(1) for m in (TEACHER, lm))
        tokens = torch.tensor(reply.token_ids)[:, None]
        count = len(targets.tokens)  # special tokens are not in the text that is scored
        assert targets.tokens.tolist() == tokens[:count, 0].tolist()
        assert count == len(tokens) or int(tokens[count]) < 4
        assert targets.chosen is not None
        assert targets.behaviour is not None
        assert targets.top_logprobs is not None
        assert torch.allclose(targets.chosen, log_p.gather(1, tokens)[:count, 0], atol=1e-4)
        assert torch.allclose(targets.behaviour, log_q.gather(1, tokens)[:count, 0], atol=1e-4)
        assert torch.allclose(targets.top_logprobs, log_p.topk(3).values[:count], atol=1e-4)
    assert course.tokens == sum(len(targets.tokens) for targets in recorder.seen)
    assert course.tokens + course.lost == sum(len(reply.token_ids) for _, reply in sampled)


@pytest.mark.parametrize("objective", [SampledReverseKL(), MiniLLM(), MiniLLM(top_logprobs=5), GKD(on_policy=1.0)])
def test_the_student_comes_closer_to_the_teacher(objective: Any, fond: LanguageModel) -> None:
    lm, recipe = student(), replace(RECIPE, steps=10, batch_size=32)
    trained, _ = learn(through(gateway(teacher=fond)), objective, lm, recipe=recipe, rollouts=4, max_tokens=4)
    assert divergence(trained, fond) < 0.8 * divergence(lm, fond)


def test_the_first_loss_is_the_mean_log_ratio() -> None:
    recorder = Recorder()
    learn(through(gateway()), recorder, recipe=replace(RECIPE, steps=1))
    _, course = learn(through(gateway()), recipe=replace(RECIPE, steps=1))
    ratio = torch.cat([targets.behaviour - targets.chosen for targets in recorder.seen])  # type: ignore[operator]
    assert course.losses[0] == pytest.approx(float(ratio.mean()), abs=1e-4)


@pytest.mark.parametrize("objective", [SampledReverseKL(), MiniLLM(top_logprobs=5)])
def test_accumulation_changes_nothing_and_a_seed_says_it_all(objective: Any) -> None:
    lm = student()
    before, state = weights(lm).clone(), torch.random.get_rng_state()
    first, course = learn(through(gateway()), objective, lm, seed=1)
    again, same = learn(through(gateway()), objective, lm, seed=1)
    parts, cut = learn(through(gateway()), objective, lm, seed=1, recipe=replace(RECIPE, accumulation=8))
    other, _ = learn(through(gateway()), objective, lm, seed=2)
    assert course == same
    assert torch.equal(weights(first), weights(again))
    assert torch.allclose(weights(first), weights(parts), atol=1e-3)
    assert cut.losses == pytest.approx(course.losses, abs=1e-3)
    assert len({lm.digest, first.digest, other.digest}) == 3
    assert torch.equal(weights(lm), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(parameter.requires_grad for parameter in first.model.parameters())


def test_the_student_that_samples_is_the_one_copy_that_is_trained() -> None:
    lm, models, found = student(), [], []
    ask = through(gateway())

    def sample(model: LanguageModel, requests: list[Request]) -> list[Reply]:
        models.append((model.model, weights(model).clone(), model.model.training))
        return alone(model, requests)

    def count(requests: list[Request]) -> list[Reply]:
        found.append(sum(type(each) is type(lm.model) for each in gc.get_objects()))
        return ask(requests)

    gc.collect()
    before = sum(type(each) is type(lm.model) for each in gc.get_objects())
    learn(count, None, lm, sample=sample)
    assert set(found) == {before + 1}
    assert len({id(model) for model, _, _ in models}) == 1
    assert torch.equal(models[0][1], weights(lm))
    assert not any(torch.equal(a[1], b[1]) for a, b in pairwise(models))
    assert not any(training for *_, training in models)


def test_adapters_learn_on_policy_too() -> None:
    pytest.importorskip("peft")
    recipe = replace(RECIPE, lora=LoRA(rank=4, alpha=4), steps=3)
    trained, course = learn(through(gateway()), recipe=recipe)
    assert len(course.losses) == 3
    assert not torch.equal(weights(trained), weights(student()))


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 8, 72), (1.0, 80, 80)])
def test_only_on_policy_steps_cost_exchanges(share: float, least: int, most: int) -> None:
    fixed = [
        replace(row, token_ids=(5, 6), completion="bc", top_ids=((5,), (6,)), top_logprobs=((-0.1,), (-0.2,)))
        for row in examples(9)
    ]
    gate = gateway()
    recipe = replace(RECIPE, steps=10)
    _, course = learn(through(gate), GKD(on_policy=share), fixed=fixed, recipe=recipe)
    assert len(course.losses) == 10
    assert least <= course.exchanges == gate.ledger.spend.exchanges <= most


def reply(lm: LanguageModel, ids: Sequence[int]) -> Reply:
    return Reply(Outcome.ANSWERED, lm.decode(ids), token_ids=tuple(ids))


def hiding(ask: Ask, count: int) -> Ask:
    """An interface that does not show the first tokens of any reply, as where they are reasoning."""
    return lambda requests: [replace(each, reasoning_tokens=count).without_reasoning() for each in ask(requests)]


def test_hidden_reasoning_is_not_scored_and_what_follows_it_is() -> None:
    lm, recorder, shown = student(), Recorder(top_logprobs=2), Recorder(top_logprobs=2)
    options: dict[str, Any] = {
        "sample": lambda model, requests: [reply(lm, (7, 8, 9, 10)) for _ in requests],
        "recipe": replace(RECIPE, batch_size=1, steps=1),
    }
    learn(through(gateway()), shown, **options)
    _, course = learn(hiding(through(gateway()), 3), recorder, **options)
    [found], [known] = recorder.seen, shown.seen
    assert found.chosen is not None
    assert known.chosen is not None
    assert found.chosen.isfinite().tolist() == [False, False, False, True]
    assert found.chosen[3] == known.chosen[3]
    assert found.top_logprobs is not None
    assert found.top_logprobs.isfinite().tolist() == [[False] * 2] * 3 + [[True] * 2]
    assert found.behaviour is None
    assert (course.tokens, course.lost) == (1, 3)


def test_a_special_token_in_the_middle_ends_what_is_learnt_from() -> None:
    lm, recorder = student(), Recorder()
    _, course = learn(
        through(gateway()),
        recorder,
        sample=lambda model, requests: [reply(lm, (7, 8, 2, 9)) for _ in requests],
        recipe=replace(RECIPE, batch_size=1, steps=1),
    )
    assert recorder.seen[0].tokens.tolist() == [7, 8]
    assert (course.tokens, course.lost) == (2, 2)


def test_another_tokenizer_is_one_clear_error() -> None:
    ask = through(gateway())

    def other(requests: list[Request]) -> list[Reply]:
        return [replace(each, token_ids=tuple(i + 1 for i in each.token_ids)) for each in ask(requests)]

    with pytest.raises(UserError, match="objective=sft"):
        learn(other)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.BANNED, Outcome.ANSWERED])
def test_replies_without_scores_are_paid_and_teach_nothing(outcome: Outcome, caplog: pytest.LogCaptureFixture) -> None:
    trained, course = learn(lambda requests: [Reply(outcome) for _ in requests])
    assert (course.losses, course.exchanges, course.tokens, course.spent) == ([], 32, 0, False)
    assert torch.equal(weights(trained), weights(student()))
    assert "learnt nothing" in caplog.text


def test_prompts_without_room_for_an_answer_are_not_sent() -> None:
    gate = gateway()
    _, course = learn(through(gate), prompts=[(Message("user", "a" * 100),)])
    assert course.losses == []
    assert gate.ledger.spend.exchanges == 0


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"prompts": []}, "no prompts"),
        ({"rollouts": 3}, r"divide recipe\.batch_size=8"),
        ({"max_tokens": 0}, "max_tokens of 1 or more"),
        ({"objective": GKD()}, r"objective\.on_policy=1"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UserError, match=remedy):
        learn(lambda requests: [], **options)
