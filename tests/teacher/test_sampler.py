"""The sampler against transformers' generate, and against a plain loop over one row at a time."""

import random
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from spiritsafe.defense import Defense, Rows
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Outcome, Reply, Request, Sampling, Usage
from spiritsafe.models import LanguageModel
from spiritsafe.randomness import stream_key, uniforms
from teacher.draw import draw
from teacher.sampler import Sampler


@dataclass
class Shown(Defense):
    """Writes down the logits it is given to tilt."""

    tilted: list[Tensor] = field(default_factory=list)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        self.tilted.append(logits)
        return logits


def requests(count: int, **sampling: float) -> list[Request]:
    rng = random.Random(1)
    return [
        Request(
            f"r{i}",
            (Message("user", "".join(rng.choices("abcdefgh 123", k=rng.randint(1, 40)))),),
            Sampling(max_tokens=rng.randint(1, 40), **sampling),
        )
        for i in range(count)
    ]


def one(language_model: LanguageModel, request: Request, *defenses: Defense, **options: list) -> Reply:
    return Sampler(language_model, defenses=defenses).respond([request], **options)[0]


def plain(language_model: LanguageModel, request: Request, seed: int = 0, sample: int = 0) -> list[int]:
    """One row, no cache, no batch."""
    prompt, completion = language_model.prompt_ids(request.messages, request.prefill), []
    key = torch.tensor([stream_key(seed, request.id, sample)])
    sampling = request.sampling
    for position in range(sampling.max_tokens):
        logits = language_model.model(torch.tensor([prompt + completion])).logits[:, -1]
        for token, bias in request.logit_bias:
            logits[:, token] += bias
        uniform = uniforms(key, torch.tensor([position]))
        token = draw(logits, torch.tensor([sampling.temperature]), torch.tensor([sampling.top_p]), uniform)
        completion.append(int(token))
        if completion[-1] in language_model.end_ids:
            break
    return completion


def test_greedy_is_what_generate_gives(language_model: LanguageModel) -> None:
    asked = requests(24, temperature=0.0)
    replies = Sampler(language_model, batch_size=8).respond(asked)
    for request, reply in zip(asked, replies, strict=True):
        prompt = torch.tensor([language_model.prompt_ids(request.messages)])
        made = language_model.model.generate(prompt, max_new_tokens=request.sampling.max_tokens, do_sample=False)
        assert list(reply.token_ids) == made[0, prompt.shape[1] :].tolist()
        assert reply.finish == ("stop" if reply.token_ids[-1] == 1 else "length")
        assert reply.text == language_model.decode(reply.token_ids)
        assert reply.usage == Usage(prompt.shape[1], len(reply.token_ids))


@pytest.mark.parametrize("sampling", [{"temperature": 1.0}, {"temperature": 0.7, "top_p": 0.8}])
def test_sampling_is_what_a_plain_loop_gives(language_model: LanguageModel, sampling: dict[str, float]) -> None:
    asked = requests(12, **sampling)
    replies = Sampler(language_model, seed=3, batch_size=5).respond(asked)
    assert [list(reply.token_ids) for reply in replies] == [plain(language_model, request, 3) for request in asked]


def test_a_bias_is_what_a_plain_loop_adds(language_model: LanguageModel) -> None:
    """Rows of 0 to 3 biases leave and take each other's places; those without one sample what they did."""
    rng, bare = random.Random(2), requests(14)
    asked = [
        replace(request, logit_bias=tuple((token, rng.uniform(-60, 60)) for token in rng.sample(range(45), i % 4)))
        for i, request in enumerate(bare)
    ]
    replies = Sampler(language_model, seed=3, batch_size=5).respond(asked)
    assert [list(reply.token_ids) for reply in replies] == [plain(language_model, request, 3) for request in asked]
    assert replies[::4] == Sampler(language_model, seed=3, batch_size=5).respond(bare)[::4]
    assert replies[1::4] != Sampler(language_model, seed=3, batch_size=5).respond(bare)[1::4]


def test_neither_batch_size_nor_order_nor_company_matters(llama: LanguageModel) -> None:
    asked = [replace(request, samples=1 + i % 3, top_logprobs=i % 4) for i, request in enumerate(requests(20))]
    starts = [sum(request.samples for request in asked[:i]) for i in range(20)]
    replies = Sampler(llama, batch_size=64).respond(asked)
    bare = [replace(reply, logprobs=None) for reply in replies]
    assert [replace(r, logprobs=None) for r in Sampler(llama, batch_size=3).respond(asked)] == bare
    order = random.Random(0).sample(range(20), 20)
    shuffled = iter(Sampler(llama, batch_size=7).respond([asked[i] for i in order]))
    for i in order:
        for place in range(starts[i], starts[i] + asked[i].samples):
            reply = next(shuffled)
            assert replace(reply, logprobs=None) == bare[place]
            if reply.logprobs:
                assert reply.logprobs.chosen == pytest.approx(replies[place].logprobs.chosen, abs=1e-4)


def test_samples_differ_seeds_differ_and_a_named_stream_is_shared(llama: LanguageModel) -> None:
    request = Request("a", (Message("user", "hello"),), Sampling(max_tokens=30), samples=4)
    replies = Sampler(llama).respond([request])
    assert len({reply.token_ids for reply in replies}) == 4
    assert Sampler(llama, seed=1).respond([request])[0].token_ids != replies[0].token_ids
    other = replace(request, id="b", samples=1)
    assert one(llama, other).token_ids != replies[0].token_ids
    assert one(llama, other, streams=["a"]).token_ids == replies[0].token_ids


def test_a_prefill_counts_as_completion_but_is_not_billed(llama: LanguageModel) -> None:
    request = Request("a", (Message("user", "hello"),), Sampling(max_tokens=9), prefill="the st")
    reply = one(llama, request)
    given = llama.prompt_ids(request.messages, "the st")[-3:]
    assert list(reply.token_ids) == given + list(reply.token_ids[3:])
    assert reply.text.startswith("the st")
    assert reply.usage == Usage(len(llama.prompt_ids(request.messages)) + 3, len(reply.token_ids) - 3)
    shown = one(llama, replace(request, top_logprobs=2))
    assert shown.token_ids == reply.token_ids
    assert shown.usage == reply.usage
    assert len(shown.logprobs.chosen) == len(shown.token_ids)


@pytest.mark.parametrize("stop", ["3", "ab", " ", None])
def test_stop_strings_cut_the_completion(llama: LanguageModel, stop: str | None) -> None:
    asked = [replace(request, sampling=Sampling(max_tokens=40)) for request in requests(60)]
    whole = Sampler(llama).respond(asked)
    stop = stop or llama.decode(whole[0].token_ids)[5:8]  # one that several tokens write
    cut = Sampler(llama).respond([replace(r, sampling=Sampling(max_tokens=40, stop=("never", stop))) for r in asked])
    assert any(stop in llama.decode(reply.token_ids) for reply in whole), "the case must occur"
    for free, stopped in zip(whole, cut, strict=True):
        raw, shown = llama.decode(free.token_ids), llama.decode(stopped.token_ids)
        if stop not in raw:
            assert stopped == free
            continue
        kept = raw[: raw.index(stop)]
        assert stopped.finish == "stop"
        assert kept.endswith(stopped.text)
        assert stopped.token_ids == free.token_ids[: len(stopped.token_ids)]
        assert shown.startswith(kept)
        assert not kept or len(llama.decode(stopped.token_ids[:-1])) < len(kept)
        assert len(stopped.token_ids) <= stopped.usage.completion_tokens <= free.usage.completion_tokens


def test_a_stop_string_in_the_prefill_does_not_stop(llama: LanguageModel) -> None:
    request = Request("a", (Message("user", "hello"),), Sampling(max_tokens=5, stop=("st",)), prefill="the st")
    assert one(llama, request).usage.completion_tokens > 0


def test_top_logprobs_are_the_teachers_at_temperature_one(language_model: LanguageModel) -> None:
    request = Request("a", (Message("user", "hello"),), Sampling(temperature=0.5, max_tokens=12), top_logprobs=5)
    reply = one(language_model, request)
    prompt = language_model.prompt_ids(request.messages)
    logits = language_model.model(torch.tensor([prompt + list(reply.token_ids)])).logits[0, len(prompt) - 1 : -1]
    values, ids = logits.log_softmax(-1).topk(5)
    assert reply.logprobs.ids == tuple(map(tuple, ids.tolist()))
    torch.testing.assert_close(torch.tensor(reply.logprobs.values), values, atol=2e-4, rtol=0)
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(reply.token_ids)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(reply.logprobs.chosen), chosen, atol=2e-4, rtol=0)


def test_what_is_shown_has_the_bias_in_it_and_no_defense_sees_it(llama: LanguageModel) -> None:
    request = Request("a", (Message("user", "hello"),), Sampling(max_tokens=6), top_logprobs=5, logit_bias=((7, 40.0),))
    spy = Shown()
    reply = one(llama, request, spy)
    prompt = llama.prompt_ids(request.messages)
    logits = llama.model(torch.tensor([prompt + list(reply.token_ids)])).logits[0, len(prompt) - 1 : -1]
    torch.testing.assert_close(torch.cat(spy.tilted), logits, atol=2e-4, rtol=0)
    logits[:, 7] += 40
    values, ids = logits.log_softmax(-1).topk(5)
    assert reply.logprobs.ids == tuple(map(tuple, ids.tolist()))
    torch.testing.assert_close(torch.tensor(reply.logprobs.values), values, atol=2e-4, rtol=0)


@pytest.mark.parametrize("bias", [((-1, 1.0),), ((10**6, 1.0),), ((3, 1.0), (3, 2.0))])
def test_a_bias_needs_tokens_of_the_teachers(llama: LanguageModel, bias: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(UserError, match="'r0' needs distinct token ids in its logit_bias"):
        one(llama, replace(requests(1)[0], logit_bias=bias))


def test_scoring_reads_the_given_completion(language_model: LanguageModel) -> None:
    completion = "the cat" + END_THINK + "ab 12"
    request = Request("a", (Message("user", "hello"),), score=completion)
    reply = Sampler(language_model).respond([*requests(3), request])[-1]
    prompt, tokens = language_model.prompt_ids(request.messages), language_model.completion_ids(completion)
    logits = language_model.model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    expected = logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
    assert list(reply.token_ids) == tokens
    torch.testing.assert_close(torch.tensor(reply.logprobs.chosen), expected, atol=2e-4, rtol=0)
    assert reply.usage == Usage(len(prompt) + len(tokens), 0)
    assert reply.logprobs.ids == ((),) * len(tokens)


@pytest.mark.parametrize(
    ("prefill", "reasoning"),
    [(f"{THINK} the ab", True), (f"{THINK}{THINK}ab", True), ("the ab", False), (f"a{THINK}", False)],
)
def test_reasoning_stands_between_the_marks(llama: LanguageModel, prefill: str, reasoning: bool) -> None:
    found = {True: 0, False: 0}
    for i in range(40):
        request = Request(f"r{i}", (Message("user", "hi"),), Sampling(max_tokens=60), prefill=prefill, top_logprobs=1)
        reply = one(llama, request)
        raw = llama.decode(reply.token_ids)
        hidden = reply.without_reasoning()
        assert llama.decode(hidden.token_ids) == hidden.text == reply.text
        assert len(hidden.logprobs.chosen) == len(hidden.token_ids)
        assert hidden.usage == reply.usage
        if not reasoning:
            assert (reply.reasoning, reply.reasoning_tokens, reply.text) == (None, 0, raw)
            continue
        closed = END_THINK in raw
        found[closed] += 1
        assert raw == THINK + reply.reasoning + (END_THINK + reply.text if closed else "")
        assert closed or (reply.text == "" and reply.reasoning_tokens == len(reply.token_ids))
        assert llama.decode(reply.token_ids[: reply.reasoning_tokens]) == raw[: len(raw) - len(reply.text)]
    assert not reasoning or min(found.values()) > 0, "both cases must occur"


def test_reasoning_that_the_template_opens_is_reasoning(llama: LanguageModel) -> None:
    tokenizer = type(llama.tokenizer)(tokenizer_object=llama.tokenizer.backend_tokenizer, eos_token="<end>")
    tokenizer.chat_template = llama.tokenizer.chat_template + THINK + "\n"
    opened = replace(llama, tokenizer=tokenizer)
    reply = one(opened, Request("a", (Message("user", "hi"),), Sampling(max_tokens=9), prefill=f"ab{END_THINK}the"))
    assert reply.reasoning == "ab"
    assert reply.text.startswith("the")
    assert reply.reasoning_tokens == 2


@dataclass
class Spy(Defense):
    """Looks at the rows from both hooks, and reads them with a model of its own."""

    follower: LanguageModel
    model: LanguageModel
    every: int = 1
    looked: int = 0

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        context = rows.context(200)
        assert ((context == -1).cumsum(1).argmax(1) <= 200).all()
        for row in range(len(logits)):
            tokens = context[row][context[row] >= 0]
            assert (context[row][: 200 - len(tokens)] == -1).all()
            expected = self.model.model(tokens[None]).logits[0, -1]
            torch.testing.assert_close(logits[row], expected, atol=3e-4, rtol=1e-4)
            if self.looked % self.every == 0:
                other = self.follower.model(tokens[None]).logits[0, -1]
                torch.testing.assert_close(rows.follow(self.follower.model)[row], other, atol=3e-4, rtol=1e-4)
                twice = rows.follow(self.follower.model, copies=2)[:, row]
                torch.testing.assert_close(twice, other.expand(2, -1), atol=3e-4, rtol=1e-4)
        self.looked += 1
        assert torch.equal(rows.context(3), context[:, -3:])
        return logits


@pytest.mark.parametrize("every", [1, 3])
def test_hooks_see_every_row_as_it_is(llama: LanguageModel, language_model: LanguageModel, every: int) -> None:
    asked = [replace(request, sampling=replace(request.sampling, max_tokens=8)) for request in requests(9)]
    spy = Spy(language_model, llama, every)
    assert Sampler(llama, batch_size=4, defenses=[spy]).respond(asked) == Sampler(llama, batch_size=4).respond(asked)
    assert spy.looked > 8


@dataclass
class Record(Defense):
    rows: list[tuple[float, float, int, int]]

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        columns = (rows.temperature, rows.risk, rows.generated, rows.streams)
        self.rows += zip(*(column.tolist() for column in columns), strict=True)
        return logits


def test_rows_carry_temperature_risk_position_and_stream(llama: LanguageModel) -> None:
    record = Record([])
    asked = [
        Request("a", (Message("user", "x"),), Sampling(temperature=0.5, max_tokens=3)),
        Request("b", (Message("user", "yy"),), Sampling(temperature=0.25, max_tokens=2), prefill="the"),
    ]
    Sampler(llama, seed=7, defenses=[record]).respond(asked, risks=[0.0, 0.75])
    assert {row for row in record.rows if row[1] == 0.75} <= {(0.25, 0.75, n, stream_key(7, "b", 0)) for n in (1, 2)}
    assert (0.25, 0.75, 1, stream_key(7, "b", 0)) in record.rows
    assert (0.5, 0.0, 0, stream_key(7, "a", 0)) in record.rows


@dataclass
class Add(Defense):
    amount: float
    token: int

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        logits = logits.clone()
        logits[:, self.token] = logits[:, self.token].abs() * self.amount
        return logits


@dataclass
class Withhold(Defense):
    token: int

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        return logprobs.index_fill(1, torch.tensor([self.token]), -torch.inf)


def test_what_is_shown_is_the_law_that_is_sampled_less_what_is_withheld(llama: LanguageModel) -> None:
    request = Request("a", (Message("user", "x"),), Sampling(max_tokens=5), top_logprobs=100)
    reply = one(llama, request, Add(1e4, 9), Withhold(9))
    assert reply.token_ids == (9,) * 5
    assert reply.logprobs.chosen == (-torch.inf,) * 5
    vocabulary = llama.vocabulary
    assert [sorted(ids) for ids in reply.logprobs.ids] == [[i for i in range(vocabulary) if i != 9]] * 5
    assert all(list(values) == sorted(values, reverse=True) for values in reply.logprobs.values)
    tilted = one(llama, replace(request, top_logprobs=1), Add(1e4, 9)).logprobs
    assert tilted.ids == ((9,),) * 5
    assert all(value == pytest.approx(0, abs=1e-3) for value in tilted.chosen)


def test_hooks_run_in_order(llama: LanguageModel) -> None:
    request = Request("a", (Message("user", "x"),), Sampling(max_tokens=2))
    assert one(llama, request, Add(1e4, 9), Add(1e6, 8)).token_ids == (8, 8)


@pytest.mark.parametrize("amount", [torch.nan, torch.inf])
def test_a_defense_that_breaks_the_logits_is_named(llama: LanguageModel, amount: float) -> None:
    with pytest.raises(UserError, match="Add"):
        one(llama, requests(1)[0], Add(amount, 9))


def test_what_does_not_fit_the_model(llama: LanguageModel) -> None:
    long = Request("long", (Message("user", "a" * 155),), Sampling(temperature=0, max_tokens=50))
    longer = replace(long, messages=(Message("user", "a" * 157),), samples=2)
    score = replace(long, score="abc" * 10)
    replies = Sampler(llama).respond([long, longer, score, *requests(1)])
    outcomes = [Outcome.ANSWERED, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED, Outcome.ANSWERED]
    assert [reply.outcome for reply in replies] == outcomes
    assert replies[0].usage == Usage(158, replies[0].usage.completion_tokens)
    assert replies[0].usage.completion_tokens <= 2
    assert replies[1].usage == Usage(160, 0)
    assert "160" in replies[1].reason


def test_tokens_are_counted_as_they_are_made(llama: LanguageModel) -> None:
    made: list[int] = []
    asked = [
        *requests(10),
        Request("s", (Message("user", "x"),), score="the cat"),
        replace(requests(1)[0], prefill="ab"),
    ]
    replies = Sampler(llama, batch_size=4).respond(asked, on_tokens=made.append)
    assert sum(made) == sum(reply.usage.completion_tokens for reply in replies)
    assert max(made) <= 4


def test_nothing_asked_nothing_answered(llama: LanguageModel) -> None:
    assert Sampler(llama).respond([]) == []


@pytest.mark.parametrize("sampling", [Sampling(max_tokens=0), Sampling(stop=("",))])
def test_senseless_sampling_is_an_error(llama: LanguageModel, sampling: Sampling) -> None:
    with pytest.raises(UserError, match="'a'"):
        one(llama, Request("a", (Message("user", "x"),), sampling))
