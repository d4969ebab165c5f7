import pytest
import torch
from defense_fakes import tiny
from scripted import scripted

from defenses.primitives.rewriter import Rewriter
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message

TEXTS = ["w1 w2", "w3", "w5 w6 w7 w8 w9", "w4 w4 w2", "w1"]
NAMES = [f"r{index}" for index in range(len(TEXTS))]


def ended(family="llama"):
    """A tiny model that ends often enough for some texts to count: a third of its tokens do."""
    model = tiny(family)
    model.model.generation_config.eos_token_id = list(range(0, 64, 3))
    return model


def naive(model, instruction, text, length):
    """Greedy, one text at a time, no cache and no padding."""
    ids = model.prompt_ids((Message("user", f"{instruction}\n\n{text}"),))
    written = []
    while len(written) < length and (not written or written[-1] not in model.end_ids):
        logits = model.model(input_ids=torch.tensor([ids + written])).logits[0, -1]
        written.append(int(logits.argmax()))
    return written


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_greedy_text_is_that_of_the_naive_loop(family):
    model = ended(family)
    rewriter = Rewriter(model, "w0", max_tokens=12, batch=3)
    expected = [naive(model, "w0", text, 12) for text in TEXTS]
    texts = [model.decode(ids).strip() if ids[-1] in model.end_ids else "" for ids in expected]
    assert rewriter(TEXTS, NAMES) == texts
    assert any(texts)
    assert rewriter.tokens == sum(map(len, expected))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batches_do_not_matter(temperature):
    written = [
        Rewriter(ended(), "w0", 10, temperature, key=1, batch=batch)(TEXTS, NAMES) for batch in (1, 2, len(TEXTS))
    ]
    assert written[0] == written[1] == written[2]
    assert len(set(written[0])) > 1


def test_draws_follow_their_key_and_name():
    def draws(key, names):
        return Rewriter(ended(), "w0", 10, 1.0, key)(["w1 w2"] * 40, names)

    names = [f"r{index}" for index in range(40)]
    assert draws(0, names) == draws(0, names) != draws(1, names)
    assert len(set(draws(0, ["same"] * 40))) == 1
    assert len(set(draws(0, names))) > 5


def test_first_tokens_have_the_models_law():
    model = tiny(vocabulary=16)
    model.model.generation_config.eos_token_id = list(range(16))  # one token a text
    rewriter = Rewriter(model, "w0", 1, temperature=0.7, batch=1000)
    texts = rewriter(["w1 w2"] * 4000, [f"r{index}" for index in range(4000)])
    prompt = torch.tensor([model.prompt_ids((Message("user", "w0\n\nw1 w2"),))])
    law = (model.model(input_ids=prompt).logits[0, -1] / 0.7).softmax(-1)
    for word in range(14):
        share = texts.count(f"w{word}") / 4000
        assert share == pytest.approx(float(law[word + 2]), abs=4 * (float(law[word + 2]) / 4000) ** 0.5 + 1e-3)


def test_what_has_no_end_or_no_room_is_empty():
    chatter = scripted(*range(2, 60))
    assert Rewriter(chatter, "w0", max_tokens=5)(["w1"], ["r"]) == [""]
    long = " ".join(["w1"] * 70)
    assert Rewriter(scripted(9, 8), "w0", max_tokens=5)(["w1", long], ["r", "s"]) == ["w7 w6", ""]


def test_a_text_ends_where_the_models_context_does():
    rewriter = Rewriter(scripted(*range(2, 60)), "w0", max_tokens=30)
    assert rewriter([" ".join(["w1"] * 50), "w1"], ["r", "s"]) == ["", ""]
    assert rewriter.tokens == (64 - 52) + 30  # the instruction and <start> are two of the 52


def test_thoughts_are_not_part_of_a_text():
    def said(raw):
        model = scripted(9)
        model.decode = lambda ids: raw
        return Rewriter(model, "w0", 5)(["w1"], ["r"])[0]

    assert said("hmm </think> w1 w2 ") == "w1 w2"
    assert said("<think> hmm </think> w1") == "w1"
    assert said("<think> w1 w2") == ""


@pytest.mark.parametrize("bad", [{"max_tokens": 0}, {"temperature": -1.0}, {"batch": 0}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Rewriter(scripted(9), "w0", **bad)
