"""Untrained models that read bytes."""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from scripts.build_reference import CHAT_TEMPLATE, MARKS, blank


def write_bytes_model(folder: Path, seed: int = 0) -> Path:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*MARKS, *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    words = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<begin>", eos_token="<end>", chat_template=CHAT_TEMPLATE
    )
    model = blank(16, 1, 2, len(words), seed)
    model.config.max_position_embeddings = 4096
    model.generation_config.eos_token_id = words.eos_token_id
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
