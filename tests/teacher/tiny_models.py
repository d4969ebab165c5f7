"""Tiny random models of five architectures, with a tokenizer that has one token a letter and a few longer ones."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from spiritsafe.exchange import END_THINK, THINK
from spiritsafe.models import LanguageModel

SPECIAL = ["<pad>", "<end>", "<user>", "<assistant>"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz .0123456789", "\n"]
WORDS = [THINK, END_THINK, "ab", "the", "st"]
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}<assistant>"


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate(SPECIAL + LETTERS + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens(WORDS)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", chat_template=TEMPLATE
    )


VOCABULARY = len(SPECIAL + LETTERS + WORDS)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 160,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "bos_token_id": None,
}
GEMMA = {"num_key_value_heads": 2, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 12}  # shorter than rows
ARCHITECTURES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, tie_word_embeddings=True, **SHAPE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(num_key_value_heads=1, **SHAPE)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SHAPE)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE | GEMMA)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(layer_types=["sliding_attention", "full_attention"], **SHAPE | GEMMA)
    ),
}


def tiny(architecture: str = "llama", seed: int = 0) -> LanguageModel:
    """Random weights, spread widely enough that its text varies and sometimes ends by itself."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return LanguageModel(model.eval().requires_grad_(False), tiny_tokenizer(), architecture, f"tiny-{architecture}")
