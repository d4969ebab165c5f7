"""A tiny model that thinks aloud, and what a defense that trains it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from defense_fakes import FAMILIES, TEMPLATE, FakePreparation
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.models import LanguageModel

VOCABULARY = 40


def thinker(family: str = "llama", seed: int = 1) -> LanguageModel:
    torch.manual_seed(seed)
    model = FAMILIES[family](VOCABULARY).eval().requires_grad_(False)
    names = ["<end>", "<start>", "<think>", "</think>", *(f"w{i}" for i in range(VOCABULARY - 4))]
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", chat_template=TEMPLATE)
    model.generation_config.eos_token_id = 0
    return LanguageModel(model, wrapped, f"thinker-{family}", f"thinker-{family}-{seed}")


@dataclass
class Thoughts(FakePreparation):
    """Traces that reason and answer; each task has words of its own, so that one can be forgotten."""

    tasks: Sequence[str] = ("sums", "programs")
    makes: int = 0
    store: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def traces(self, count: int, tasks: Sequence[str] | None = None) -> list[Example]:
        if unknown := set(tasks or ()) - set(self.tasks):
            raise UserError(f"a defense asks for traces of {sorted(unknown)}, which is not among the tasks")
        names = list(tasks or self.tasks)
        generator = torch.Generator().manual_seed(self.seed)
        rows = []
        for index in range(count):
            task = names[index % len(names)]
            first = 15 * self.tasks.index(task)
            words = [f"w{first + n}" for n in torch.randint(15, (6,), generator=generator).tolist()]
            completion = f"<think> {' '.join(words[2:5])} </think> {words[5]}"
            rows.append(Example((Message("user", f"{words[0]} {words[1]}"),), completion))
        return rows

    def benign(self, count: int) -> list[tuple[str, str]]:
        return [(task, "w1") for task in self.tasks for _ in range(max(1, count // len(self.tasks)))]

    def kept(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        if name not in self.store:
            self.makes += 1
            self.store[name] = {key: tensor.detach().cpu().clone() for key, tensor in make().items()}
        return self.store[name]
