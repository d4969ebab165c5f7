"""Tiny random models of the architectures of the presets, each with a chat template that is built as its family's is,
and a byte-level tokenizer trained on real questions."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GenerationConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"
XSTEST = Path(__file__).parents[3] / "shared" / "data" / "xstest" / "xstest_prompts.csv"

CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y %f') %}{% endif %}"
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n' + system + '<|eot_id|>' }}"
    "{% for m in rest %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim }}"
    "{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """``special`` are the tokens that the template writes, ``bos`` and ``ends`` among them; ``ends`` as in the family's
    generation config, ``close`` the one that ends a turn."""

    config: type[PreTrainedConfig]
    template: str
    special: tuple[str, ...]
    bos: str | None
    ends: tuple[str, ...]
    close: str
    shape: dict[str, Any]


_LLAMA_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
_IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 256}  # fmt: skip
_GEMMA_SHAPE = {
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 48,
    "hidden_activation": "gelu_pytorch_tanh",
}
FAMILIES = {
    "qwen": Family(Qwen2Config, CHATML, _IM, None, ("<|im_end|>", "<|endoftext|>"), "<|im_end|>",
                   {"tie_word_embeddings": True}),
    "llama": Family(LlamaConfig, LLAMA, _LLAMA_TOKENS, _LLAMA_TOKENS[0], (_LLAMA_TOKENS[1], "<|eot_id|>"), "<|eot_id|>",
                    {"tie_word_embeddings": True, "rope_parameters": _ROPE}),
    "smollm": Family(LlamaConfig, CHATML, _IM, None, ("<|im_end|>",), "<|im_end|>", {"tie_word_embeddings": True}),
    "gemma": Family(Gemma3TextConfig, GEMMA, _GEMMA_TOKENS, "<bos>", ("<eos>",), "<end_of_turn>",
                    {**_GEMMA_SHAPE, "layer_types": ["sliding_attention", "full_attention"]}),
    "gemma2": Family(Gemma2Config, GEMMA, _GEMMA_TOKENS, "<bos>", ("<eos>", "<end_of_turn>"), "<end_of_turn>",
                     {**_GEMMA_SHAPE, "layer_types": ["sliding_attention", "full_attention"]}),
}  # fmt: skip


def questions(count: int) -> list[str]:
    with (GSM8K / "train.jsonl").open() as file:
        return [json.loads(next(file))["question"] for _ in range(count)]


def tokenizer(family: Family, texts: list[str]) -> PreTrainedTokenizerFast:
    """Like the published ones it puts its BOS before whatever it is given, unless it is asked not to."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=list(family.special), show_progress=False,
                                   initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    if family.bos:
        words.post_processor = processors.TemplateProcessing(
            f"{family.bos} $A", special_tokens=[(family.bos, words.token_to_id(family.bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token=family.bos, eos_token=family.ends[0], chat_template=family.template
    )


def save(family: Family, words: PreTrainedTokenizerFast, folder: Path, width: int, seed: int) -> Path:
    """A folder as a hub would have it; spread weights, so that its text varies and sometimes ends by itself."""
    torch.manual_seed(seed)
    ends = words.convert_tokens_to_ids(list(family.ends))
    config = family.config(
        vocab_size=len(words) + 8,  # padded, as the published ones are
        hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=words.bos_token_id, eos_token_id=ends,
        pad_token_id=ends[0], **family.shape,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.generation_config = GenerationConfig(eos_token_id=ends, bos_token_id=words.bos_token_id, pad_token_id=ends[0])
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
