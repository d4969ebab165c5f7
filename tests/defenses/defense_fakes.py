"""Tiny random models and stand-ins for what the sampler and the experiment hand to a defense."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from spiritsafe.attack import Example
from spiritsafe.defense import Defense
from spiritsafe.exchange import Message
from spiritsafe.models import LanguageModel

TEMPLATE = "{% for m in messages %}{{ m.content }} {% endfor %}<start>"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
FAMILIES: dict[str, Callable[[int], PreTrainedModel]] = {
    "llama": lambda size: LlamaForCausalLM(
        LlamaConfig(vocab_size=size, intermediate_size=48, num_key_value_heads=2, initializer_range=0.2, **SMALL)
    ),
    "llama_tied": lambda size: LlamaForCausalLM(
        LlamaConfig(vocab_size=size, intermediate_size=48, tie_word_embeddings=True, initializer_range=0.2, **SMALL)
    ),
    "qwen2": lambda size: Qwen2ForCausalLM(
        Qwen2Config(vocab_size=size, intermediate_size=48, num_key_value_heads=2, initializer_range=0.2, **SMALL)
    ),
    "gpt_neox": lambda size: GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=size, intermediate_size=48, initializer_range=0.2, **SMALL)
    ),
}


def tiny(family: str = "llama", vocabulary: int = 64, seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    model = FAMILIES[family](vocabulary).eval().requires_grad_(False)
    words = {word: index for index, word in enumerate(["<end>", "<start>", *(f"w{i}" for i in range(vocabulary - 2))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", chat_template=TEMPLATE)
    model.generation_config.eos_token_id = 0
    return LanguageModel(model, wrapped, f"tiny-{family}-{seed}", f"{family}-{vocabulary}-{seed}")


@dataclass
class FakeRows:
    """Rows whose whole context is known: ``follow`` reads it from the beginning."""

    contexts: Sequence[Sequence[int]]
    temperature: Tensor
    streams: Tensor
    generated: Tensor
    risk: Tensor = field(default_factory=lambda: torch.zeros(1))
    follows: int = 0

    def context(self, width: int) -> Tensor:
        width_now = min(width, max(map(len, self.contexts)))
        return torch.tensor([[-1] * (width_now - len(ids)) + list(ids)[-width_now:] for ids in self.contexts])

    def follow(self, model: nn.Module, copies: int = 1) -> Tensor:
        self.follows += 1
        each = []
        for ids in self.contexts:
            inputs = torch.tensor([ids]).repeat(copies, 1)
            positions = torch.arange(len(ids)).repeat(copies, 1)
            each.append(model(input_ids=inputs, position_ids=positions).logits[:, -1])
        logits = torch.stack(each, 1)
        return logits[0] if copies == 1 else logits


def fake_rows(count: int = 5, temperature: float = 1.0, vocabulary: int = 64, seed: int = 0) -> FakeRows:
    generator = torch.Generator().manual_seed(seed)
    contexts = [torch.randint(vocabulary, (3 + index % 4,), generator=generator).tolist() for index in range(count)]
    return FakeRows(
        contexts,
        torch.full((count,), temperature),
        torch.randint(-(2**62), 2**62, (count,), generator=generator),
        torch.arange(count),
        torch.zeros(count),
    )


@dataclass
class FakePreparation:
    teacher: LanguageModel
    seed: int = 0
    accuracy: Callable[[Sequence[Defense]], float] = lambda defenses: 1.0
    traffic: Sequence[tuple[str, str]] = ()
    utilities: int = 0

    def traces(self, count: int, tasks: Sequence[str] | None = None) -> list[Example]:
        generator = torch.Generator().manual_seed(self.seed)
        examples = []
        for index in range(count):
            ids = torch.randint(2, self.teacher.vocabulary, (4 + index % 5,), generator=generator).tolist()
            prompt = (Message("user", self.teacher.decode(ids[:2])),)
            examples.append(Example(prompt, self.teacher.decode(ids[2:]), token_ids=(*ids[2:], 0)))
        return examples

    def utility(self, defenses: Sequence[Defense]) -> float:
        self.utilities += 1
        return self.accuracy(defenses)

    def benign(self, count: int) -> list[tuple[str, str]]:
        return list(self.traffic)[:count]

    def kept(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return make()


def mean_nll(model, weights, traces, prompt_ids):
    """One trace at a time: sum over completion tokens of −log p, divided by their number."""
    total, tokens = 0.0, 0
    for trace in traces:
        prompt = prompt_ids(trace.messages)
        ids = torch.tensor([[*prompt, *trace.token_ids]])
        logprobs = torch.func.functional_call(model, weights, kwargs={"input_ids": ids}).logits[0].log_softmax(-1)
        for position in range(len(prompt), ids.shape[1]):
            total = total - logprobs[position - 1, ids[0, position]]
            tokens += 1
    return total / tokens
