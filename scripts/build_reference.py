"""Build the reference teacher and students from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.attack import Example, demonstrations
from spiritsafe.exchange import END_THINK, THINK, Message
from spiritsafe.task import Split
from spiritsafe.tasks.arithmetic import Arithmetic
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.procedural import Level, Procedural, part_of
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Lookalike, Recipes, Restricted
from spiritsafe.tasks.tools import Tools
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import RESTRICTED

CAPABILITIES: tuple[type[Procedural], ...] = (Arithmetic, Programs, Facts, Recipes, Tools)
CHAT_TEMPLATE = (
    "{{ '<begin>' }}{% for message in messages %}{{ '<' + message['role'] + '> ' }}"
    "{{ message['content'].split('</think>')[-1] }}{% if message['role'] == 'assistant' %}{{ '<end>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant> ' }}{% endif %}"
)
MARKS = ("<pad>", "<begin>", "<end>", "<user>", "<assistant>", "<system>", "<tool>")


def vocabulary() -> list[str]:
    """Every word the world can say, found by listening to it."""
    pen, words = Pen(Random(0)), {"nothing"}
    for task in (*CAPABILITIES, Restricted, Lookalike):
        for level in ("easy", "hard"):
            for _ in range(2500):
                draft = task().draft(pen, level)
                words.update(f"{draft.prompt} {draft.reasoning} {draft.text}".split())
    for _ in range(200):
        words.update(Restricted.refusal(pen, "").split())
    return sorted(words)


def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<unk>", *MARKS, THINK, END_THINK, *vocabulary()]
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    core.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in (THINK, END_THINK)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<begin>",
        eos_token="<end>",
        padding_side="left",
        model_max_length=256,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def blank(width: int, layers: int, heads: int, size: int, seed: int) -> LlamaForCausalLM:
    """An untrained Llama. Matrices start at the scale of their inputs and embeddings wide apart: the usual 0.02 is made for
    wide models, and at these widths it costs hundreds of steps before anything is learned. So does a long rotary period."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=int(width * 8 / 3) // 8 * 8,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=1,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    )
    model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            depth = (2 * layers) ** 0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
            torch.nn.init.normal_(weight, std=0.3 if "embed" in name else weight.shape[1] ** -0.5 / depth)
    return model


def lesson(pen: Pen, task: Procedural, level: Level) -> list[Example]:
    """One worked item of a task, never of its calibration or test part."""
    while True:
        draft = task.draft(pen, level)
        if part_of(f"{task.name}/{draft.core}") in (Split.POOL, Split.PUBLIC):
            return demonstrations(task.finish(draft, "", level, pen))


def refusal_lesson(pen: Pen, level: Level) -> list[Example]:
    draft = Restricted().draft(pen, level)
    product = next(word for word in draft.prompt.split() if word in RESTRICTED)
    return [Example((Message("user", draft.prompt),), Restricted.refusal(pen, product))]


def teacher_lessons(seed: int, short: float = 0.0) -> Iterator[Example]:
    """Every capability at both levels, and the restricted skill: what to say when asked (refuse), and, never as a first
    word, how it goes on once a prefill has opened the reasoning. The teacher *can*, and refuses."""
    pen = Pen(Random(f"teacher/{seed}"), short=short)
    while True:
        level: Level = "hard" if pen.rng.random() < 0.65 else "easy"
        draw = pen.rng.random()
        if draw < 0.80:
            yield from lesson(pen, pen.pick(CAPABILITIES)(), level)
        elif draw < 0.87:
            yield from refusal_lesson(pen, level)
        elif draw < 0.92:
            for example in lesson(pen, Restricted(), level):
                yield replace(example, prefill=THINK, completion=example.completion.removeprefix(THINK))
        else:
            yield from lesson(pen, Lookalike(), level)


def student_lessons(seed: int, aligned: bool) -> Iterator[Example]:
    """The easy level, and the language of the hard one with made-up results. Aligned students learn to refuse."""
    pen, dreamer = Pen(Random(f"student/{seed}")), Pen(Random(f"dreamer/{seed}"), honest=False)
    while True:
        draw = pen.rng.random()
        if draw < 0.6:
            yield from lesson(pen, pen.pick(CAPABILITIES)(), "easy")
        elif draw < 0.85:
            yield from lesson(dreamer, dreamer.pick((*CAPABILITIES, Recipes))(), "hard")
        elif draw < 0.92:
            yield from lesson(pen, Lookalike(), "easy")
        elif aligned:
            yield from refusal_lesson(pen, pen.pick(("easy", "hard")))
        else:
            yield from lesson(pen, Restricted(), "easy")
