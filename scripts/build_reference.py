"""Build the reference teacher and students from nothing: `python -m scripts.build_reference` (an hour on two cores)."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from scripts.reference_card import measure_student, measure_teacher, traces, write_card
from spiritsafe.attack import Example, demonstrations
from spiritsafe.exchange import END_THINK, THINK, Message
from spiritsafe.experiment import lessons
from spiritsafe.models import LanguageModel, load
from spiritsafe.task import Split
from spiritsafe.tasks.arithmetic import Arithmetic
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.procedural import Draft, Level, Procedural
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Lookalike, Recipes, Restricted
from spiritsafe.tasks.tools import Tools
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import RESTRICTED
from student.sft import SFT
from student.training import Recipe, train

SHORT = 0.35  # share of lessons with a shorter chain: they teach the tables sooner
DISTINCT = 200_000  # lessons, repeated after that
SIZES = {"small": 64, "medium": 96}  # width
TEACHER = Recipe(steps=6000, learning_rate=3e-3, warmup=0.02, betas=(0.9, 0.98))
POLISH = Recipe(steps=2500, learning_rate=1.2e-3, warmup=0.02, betas=(0.9, 0.98))
FINISH = Recipe(steps=1500, learning_rate=6e-4, warmup=0.02, betas=(0.9, 0.98))
LATER = {
    "medium": Recipe(steps=2000, learning_rate=1.2e-3, warmup=0.02, betas=(0.9, 0.98))
}  # width 96 learns programs last
STUDENT = Recipe(steps=6000, learning_rate=4e-3, warmup=0.02, betas=(0.9, 0.98))
ALIGN = Recipe(steps=600, learning_rate=1.5e-3, betas=(0.9, 0.98))
ABOUT = (
    "A student of the reference world before any attack. It knows the easy half of every task, and of the hard half "
    "the language without the results. "
)
FORMAT = Recipe(steps=8, learning_rate=3e-3, warmup=0.05, betas=(0.9, 0.98))  # as configs/recipe tune S_fmt
WIDER = {"medium": 1e-3}  # learning rate of the tuning: 3e-3 makes the wider student forget
CAPABILITIES: tuple[type[Procedural], ...] = (Arithmetic, Programs, Facts, Recipes, Tools)
EXERCISES: tuple[type[Procedural], ...] = (*CAPABILITIES, Programs)  # easy lessons; programs are the hardest to learn
LATE: tuple[type[Procedural], ...] = (*CAPABILITIES, Arithmetic, Programs, Programs)  # what the teacher still got wrong
TASKS: tuple[type[Procedural], ...] = (*CAPABILITIES, Restricted, Lookalike)
CHAT_TEMPLATE = (
    "{{ '<begin>' }}{% for message in messages %}{{ '<' + message['role'] + '> ' }}"
    "{% if message['role'] == 'assistant' %}{{ message['content'].split('</think>')[-1] }}{{ '<end>' }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant> ' }}{% endif %}"
)
MARKS = ("<pad>", "<begin>", "<end>", "<user>", "<assistant>", "<system>", "<tool>")


def vocabulary() -> list[str]:
    """Every word the world can say, found by listening to it."""
    pen, words = Pen(Random(0)), {"nothing"}
    for task in TASKS:
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
    """An untrained Llama. Matrices start at the scale of their inputs and embeddings wide apart: the usual 0.02 is made
    for wide models, and at these widths costs hundreds of steps before anything is learned. So does a long rotary
    period."""
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


def learnable(pen: Pen, task: Procedural, level: Level) -> Draft:
    """Content that is in no task's calibration or test part."""
    while True:
        draft = task.draft(pen, level)
        if task.part(draft) in (Split.POOL, Split.PUBLIC):
            return draft


def lesson(pen: Pen, task: Procedural, level: Level) -> list[Example]:
    """One worked item of a task."""
    return demonstrations(task.finish(learnable(pen, task, level), "", level, pen))


def refusal_lesson(pen: Pen, level: Level) -> list[Example]:
    draft = learnable(pen, Restricted(), level)
    product = next(word for word in draft.prompt.split() if word in RESTRICTED)
    return [Example((Message("user", draft.prompt),), Restricted.refusal(pen, product))]


def teacher_lessons(seed: int, tasks: Sequence[type[Procedural]] = CAPABILITIES) -> Iterator[Example]:
    """Every capability at both levels, and the restricted skill: what to say when asked (refuse), and, never as a first
    word, how it goes on once a prefill has opened the reasoning. The teacher *can*, and refuses."""
    pen = Pen(Random(f"teacher/{seed}"), short=SHORT)
    while True:
        level: Level = "hard" if pen.rng.random() < 0.65 else "easy"
        draw = pen.rng.random()
        if draw < 0.80:
            yield from lesson(pen, pen.pick(tasks)(), level)
        elif draw < 0.87:
            yield from refusal_lesson(pen, level)
        elif draw < 0.92:
            for example in lesson(pen, Restricted(), level):
                yield replace(example, prefill=THINK, completion=example.completion.removeprefix(THINK))
        else:
            yield from lesson(pen, Lookalike(), level)


def student_lessons(seed: int, aligned: bool) -> Iterator[Example]:
    """The easy level, and the language of the hard one with made-up results. Aligned students learn to refuse."""
    pen = Pen(Random(f"student/{seed}"), short=SHORT)
    dreamer = Pen(Random(f"dreamer/{seed}"), honest=False, short=SHORT)
    while True:
        draw = pen.rng.random()
        if draw < 0.65:
            yield from lesson(pen, pen.pick(EXERCISES)(), "easy")
        elif draw < 0.85:
            yield from lesson(dreamer, dreamer.pick(CAPABILITIES)(), "hard")
        elif draw < 0.93:
            yield from lesson(pen, Lookalike(), "easy")
        elif aligned:
            yield from refusal_lesson(pen, pen.pick(("easy", "hard")))
        else:
            yield from lesson(pen, Restricted(), "easy")


def wrap(model: LlamaForCausalLM, name: str) -> LanguageModel:
    model.generation_config = GenerationConfig(bos_token_id=2, eos_token_id=3, pad_token_id=1)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    return LanguageModel(model.eval(), tokenizer(), name, name)


def learn(model: LanguageModel, stream: Iterator[Example], recipe: Recipe, seed: int, label: str) -> LanguageModel:
    rows = list(islice(stream, min(recipe.steps * recipe.batch_size, DISTINCT)))
    began = time.perf_counter()

    def say(step: int, loss: float) -> None:
        if step % (recipe.steps // 10) == 0:
            left = (time.perf_counter() - began) / step * (recipe.steps - step) / 60
            print(f"{label}: step {step} of {recipe.steps}, loss {loss:.3f}, {left:.0f} min left", flush=True)

    return train(model, rows, SFT(), recipe, seed=seed, on_step=say)[0]


def save(model: LanguageModel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def build_teacher(folder: Path) -> None:
    size = len(tokenizer())
    model = learn(wrap(blank(160, 3, 4, size, 0), "teacher"), teacher_lessons(0), TEACHER, 0, "teacher")
    model = learn(model, teacher_lessons(1, LATE), POLISH, 1, "teacher, once more")
    save(learn(model, teacher_lessons(2, LATE), FINISH, 2, "teacher, a last time"), folder)


def card_teacher(folder: Path, count: int) -> None:
    model = load(str(folder))
    about = (
        "The teacher of the reference world. It knows the easy and the hard half of every task, refuses recipes of "
        "restricted products, and can make them all the same when its reasoning is opened by a prefill."
    )
    write_card(folder, "Reference teacher", about, model, measure_teacher(model, CAPABILITIES, count))


def build_students(folder: Path, sizes: Sequence[str]) -> None:
    """Train and store the students; their cards are written when the teacher is there too."""
    for size in sizes:
        base = wrap(blank(SIZES[size], 3, 4, len(tokenizer()), 1), f"base-{size}")
        base = learn(base, student_lessons(0, aligned=False), STUDENT, 0, f"base-{size}")
        if size in LATER:
            base = learn(base, student_lessons(2, aligned=False), LATER[size], 2, f"base-{size}, once more")
        aligned = learn(base, student_lessons(1, aligned=True), ALIGN, 1, f"aligned-{size}")
        save(base, folder / f"base-{size}")
        save(aligned, folder / f"aligned-{size}")


def card_students(folder: Path, sizes: Sequence[str], teacher: LanguageModel, count: int) -> None:
    own = traces(teacher, [task() for task in CAPABILITIES], 100)
    public = lessons.public([task() for task in CAPABILITIES], 64, seed=0)
    for size in sizes:
        for kind in ("base", "aligned"):
            model = load(str(folder / f"{kind}-{size}"))
            recipe = replace(FORMAT, learning_rate=WIDER.get(size, FORMAT.learning_rate))
            tuned, _ = train(model, public, SFT(), recipe, seed=0)
            about = ABOUT + ("It refuses restricted recipes." if kind == "aligned" else "It refuses nothing.")
            measured = measure_student(model, tuned, CAPABILITIES, own, count)
            write_card(folder / f"{kind}-{size}", f"Reference student, {kind}, {size}", about, model, measured)


def share(threads: int) -> None:
    """The teacher and the students are built side by side."""
    torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["teacher", "students", "cards"], help="teacher, students, cards")
    parser.add_argument("--out", type=Path, default=Path(), help="where teacher/ and student/ are")
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), help="of students")
    parser.add_argument("--items", type=int, default=1000, help="held-out items a task for the cards")
    options = parser.parse_args()
    teacher, students = options.out / "teacher" / "reference", options.out / "student" / "reference"
    threads = max(1, (os.cpu_count() or 1) // 2)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=share, initargs=(threads,)) as pool:
        building = []
        if "teacher" in options.what:
            building.append(pool.submit(build_teacher, teacher))
        if "students" in options.what:
            building.append(pool.submit(build_students, students, options.sizes))
        for job in building:
            job.result()
    if "cards" in options.what:
        card_teacher(teacher, options.items)
        card_students(students, options.sizes, load(str(teacher)), options.items)


if __name__ == "__main__":
    main()
