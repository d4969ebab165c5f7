"""What an attacker has at home, for tests: a small student and the trainer and sampler of the house."""

from collections.abc import Sequence

from attacks.examples import to_examples
from spiritsafe.attack import Example, Workshop
from spiritsafe.exchange import Reply, Request
from spiritsafe.models import LanguageModel
from spiritsafe.task import Task
from student.sft import SFT
from student.training import Recipe, train
from teacher.sampler import Sampler


def workshop(student: LanguageModel, tasks: Sequence[Task] = (), steps: int = 5, rate: float = 3e-3) -> Workshop:
    def learn(rows: Sequence[Example]) -> LanguageModel:
        return train(student, rows, SFT(), Recipe(steps=steps, learning_rate=rate, batch_size=16), seed=0)[0]

    def respond(model: LanguageModel, requests: Sequence[Request]) -> list[Reply]:
        return Sampler(model, seed=0, batch_size=8).respond(requests)

    return Workshop(tasks, 0, lambda: student, learn, respond, to_examples)
