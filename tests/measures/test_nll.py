import math

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.measures.nll import nll
from spiritsafe.models import LanguageModel

WORDS = ["<end>", "<user>", "<bot>", "a", "b", "c", "d"]
QUESTION = (Message("user", "a b"),)
EXAMPLES = [
    Example(QUESTION, "c d c d a"),
    Example(QUESTION, "d"),
    Example(QUESTION, "b b", prefill="c"),
    Example((Message("user", "a"),), "a b c"),
]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}<bot> "
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", chat_template=template)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, initializer_range=0.5, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    return LanguageModel(LlamaForCausalLM(config).eval().requires_grad_(False), tokenizer, "tiny", "")


def one_by_one(model: LanguageModel, example: Example, end: bool) -> list[float]:
    prompt = model.prompt_ids(example.messages, example.prefill)
    ids, losses = list(prompt), []
    for token in model.completion_ids(example.completion)[: None if end else -1]:
        losses.append(-float(model.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token]))
        ids.append(token)
    return losses


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_it_is_the_pooled_mean_over_completion_tokens(model, end, batch_size):
    losses = [loss for example in EXAMPLES for loss in one_by_one(model, example, end)]
    mean, tokens = nll(model, EXAMPLES, end=end, batch_size=batch_size)
    assert tokens == len(losses)
    assert math.isclose(mean, sum(losses) / len(losses), rel_tol=1e-5)


def test_long_rows_are_cut_and_their_prompts_counted(model):
    length = len(model.prompt_ids(QUESTION)) + 2
    mean, tokens = nll(model, EXAMPLES[:2], max_length=length)
    losses = one_by_one(model, EXAMPLES[0], False)[:2] + one_by_one(model, EXAMPLES[1], False)
    assert tokens == 3
    assert math.isclose(mean, sum(losses) / 3, rel_tol=1e-5)


@pytest.mark.parametrize("examples", [[], [Example(QUESTION, "")], [Example(QUESTION, "c")]])
def test_nothing_to_score_is_an_error(model, examples):
    with pytest.raises(UserError, match="raise max_length"):
        nll(model, examples, max_length=len(model.prompt_ids(QUESTION)))


def test_text_beyond_the_models_context_is_refused(model):
    longer = [Example(QUESTION, "a b c d " * 4)]
    with pytest.raises(UserError, match="set max_length=16"):
        nll(model, longer)
    assert nll(model, longer, max_length=16)[1] == 16 - len(model.prompt_ids(QUESTION))
