from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.models import LanguageModel
from teacher.sampler import Sampler
from teacher.throughput import generate_throughput, sampler_throughput


def test_both_sides_count_the_same_useful_tokens(language_model: LanguageModel) -> None:
    requests = [
        Request(f"r{i}", (Message("user", "hello abc 123"[: 1 + i]),), Sampling(temperature=0.0, max_tokens=2 + 3 * i))
        for i in range(11)
    ]
    expected = sum(reply.usage.completion_tokens for reply in Sampler(language_model).respond(requests))
    ours = sampler_throughput(language_model, requests, batch_size=4)
    theirs = generate_throughput(language_model, requests, batch_size=4)
    assert ours.tokens == theirs.tokens == expected
    assert ours.rate == ours.tokens / ours.seconds > 0
