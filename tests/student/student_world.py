"""Tiny random models, a tokenizer with one token a letter, and rows of random letters."""

import random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from spiritsafe.attack import Example
from spiritsafe.exchange import Message
from spiritsafe.models import LanguageModel

LETTERS = "abcdefghijklmnopqrstuvwxyz "
VOCABULARY = ["<pad>", "<end>", "<user>", "<assistant>", *LETTERS]
SHAPE: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": None,
}
ARCHITECTURES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "llama_tied": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**SHAPE, head_dim=8)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(**{k: v for k, v in SHAPE.items() if k != "num_key_value_heads"})
    ),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=4.0)),
}


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(VOCABULARY[:4])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="<end>",
        chat_template="{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>",
    )


def student(architecture: str = "llama", seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture]().eval().requires_grad_(False)
    return LanguageModel(model, tokenizer(), architecture, "digest")


def examples(count: int, seed: int = 0, longest: int = 24) -> list[Example]:
    rng = random.Random(seed)

    def text(low: int, high: int) -> str:
        return "".join(rng.choices(LETTERS, k=rng.randint(low, high)))

    return [Example((Message("user", text(2, 12)),), text(1, longest)) for _ in range(count)]
