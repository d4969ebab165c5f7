"""A causal language model with its tokenizer and chat template, loaded from a folder or a hub id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


DATE = "26 Jul 2024"  # what Llama 3.2's template says where it cannot know


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
        """Tokens that end an assistant turn: those of the generation config, and the chat template's own."""
        configured = self.model.generation_config.eos_token_id if self.model.generation_config else None
        if configured is None:
            configured = self.tokenizer.eos_token_id
        known = configured if isinstance(configured, list) else [] if configured is None else [int(configured)]
        return tuple(dict.fromkeys([*known, *self._closing]))

    def prompt_ids(self, messages: Sequence[Message], prefill: str = "") -> list[int]:
        """Token ids of the rendered conversation up to where the assistant begins, then the prefill."""
        return self._encode(self._rendered(messages)) + self._encode(prefill)

    def completion_ids(self, completion: str) -> list[int]:
        """Token ids of an assistant turn, closed as the chat template closes it."""
        return self._encode(completion) + (self._closing or list(self.end_ids[:1]))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of completion tokens; end and padding tokens are dropped, everything else is kept."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _rendered(self, messages: Sequence[Message], asked: bool = True) -> str:
        """A template without a system role finds the system's words before the first user's. A template that knows the
        date is told one, or the same config would mean another prompt every day."""
        from jinja2 import TemplateError

        turns = [asdict(message) for message in messages]
        options = {"tokenize": False, "add_generation_prompt": asked, "date_string": DATE}
        try:
            return str(self.tokenizer.apply_chat_template(turns, **options))
        except TemplateError as error:
            if len(turns) > 1 and [turn["role"] for turn in turns[:2]] == ["system", "user"]:
                first = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
                return self._rendered([first, *messages[2:]], asked)
            roles = ", ".join(turn["role"] for turn in turns)
            raise UserError(
                f"the chat template of {self.name!r} cannot write a conversation of {roles} ({error}): use another "
                "model or task, or give chat_template=... in the model's config"
            ) from error

    @cached_property
    def _closing(self) -> list[int]:
        """The special token with which the chat template ends an assistant turn; none where it shows none, and a token
        that opens such a turn ends none."""
        turns = (Message("user", "a"), Message("assistant", "b"))
        opened, whole = self._rendered(turns[:1]), self._rendered(turns, asked=False)
        special = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        tail = self._encode(whole[len(opened) :]) if whole.startswith(opened) else []
        ends, opens = ([token for token in ids if token in special] for ids in (tail, self._encode(opened)))
        return ends[:1] if ends[:1] != opens[-1:] else []

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
            folder, dtype=getattr(torch, dtype), use_safetensors=True, **options
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
