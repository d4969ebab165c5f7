"""A causal language model with its tokenizer and chat template, loaded from a folder or a hub id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class LanguageModel:
    """``digest`` identifies weights, tokenizer and template; it is part of every content key."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    digest: str
    revision: str = ""

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def vocabulary(self) -> int:
        """Rows of the output head, padding rows included."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end an assistant turn."""
        configured = self.model.generation_config.eos_token_id if self.model.generation_config else None
        if configured is None:
            configured = self.tokenizer.eos_token_id
        if configured is None:
            return ()
        return tuple(configured) if isinstance(configured, list) else (int(configured),)

    def prompt_ids(self, messages: Sequence[Message], prefill: str = "") -> list[int]:
        """Token ids of the rendered conversation up to where the assistant begins, then the prefill."""
        rendered: str = self.tokenizer.apply_chat_template(
            [asdict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        return self._encode(rendered) + self._encode(prefill)

    def completion_ids(self, completion: str) -> list[int]:
        """Token ids of an assistant turn, closed by the end token."""
        return self._encode(completion) + list(self.end_ids[:1])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of completion tokens; end and padding tokens are dropped, everything else is kept."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def load(
    path: str,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "auto",
    chat_template: str | None = None,
) -> LanguageModel:
    """Load a model. ``path`` is a folder, ``pkg://package/folder`` inside an installed package, or a hub id.

    ``chat_template`` replaces the tokenizer's own (a Jinja string). Only safetensors are read and no remote code runs.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = locate(path)
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), use_safetensors=True, attn_implementation="sdpa", **options
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot load the model {path!r}: {str(error).splitlines()[0]}\n"
            "give a folder with config.json, model.safetensors and a tokenizer, or a hub id that this machine can reach"
        ) from error
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    if not tokenizer.chat_template:
        raise UserError(f"the tokenizer of {path!r} has no chat template: pass chat_template=... in the model's config")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    commit = str(getattr(model.config, "_commit_hash", None) or "")
    model = model.to(device).eval().requires_grad_(False)
    return LanguageModel(model, tokenizer, path, identity(path, revision, chat_template), commit)


def tokens(path: str, revision: str | None = None) -> dict[str, int]:
    """A model's token ids by their text, without loading its weights."""
    from transformers import AutoTokenizer

    return dict(AutoTokenizer.from_pretrained(locate(path), revision=revision, trust_remote_code=False).get_vocab())


def locate(path: str) -> str:
    """The folder a ``pkg://`` path stands for; any other path as it is."""
    if not path.startswith("pkg://"):
        return path
    package, _, rest = path.removeprefix("pkg://").partition("/")
    return str(files(package).joinpath(rest))


def identity(path: str, revision: str | None = None, chat_template: str | None = None) -> str:
    """What a content key knows of a model, unloaded: a folder by its bytes, a hub model by its revision."""
    folder = Path(locate(path))
    state = hashlib.sha256((chat_template or "").encode())
    if folder.is_dir():
        for file in sorted(folder.glob("*")):
            if file.suffix in {".safetensors", ".json", ".jinja", ".model"}:
                state.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    elif revision is None:
        raise UserError(
            f"there is no folder {path!r}; if it is a hub id, pin it: add revision=<commit> to the model's config, so "
            "that the same config always means the same weights"
        )
    else:
        state.update(f"{path}@{revision}".encode())
    return state.hexdigest()[:16]
