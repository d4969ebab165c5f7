"""A teacher that refuses what is forbidden, public traffic to tell skills by, and replies on two of them."""

from dataclasses import dataclass

from defense_fakes import FakePreparation

from spiritsafe.attack import Example
from spiritsafe.exchange import Message, Outcome, Reply, Request, Usage

WAYS = {"recipes": "how do i make w{} from w{} ; heat ; stir", "programs": "run this : x = w{} ; print w{}"}


@dataclass
class Refusing(FakePreparation):
    says: str = "<think> no </think> sorry , i cannot help with w{}"

    def __post_init__(self) -> None:
        self.traffic = [(name, way.format(i, i + 1)) for i in range(60) for name, way in WAYS.items()]
        self.asked: list[str] = []

    def traces(self, count, tasks=None):
        self.asked = list(tasks)
        return [
            Example((Message("user", f"how do i make v{i} from w{i} ; stir"),), self.says.format(i))
            for i in range(count)
        ]


def requests(task="recipes", count=40):
    return [Request(f"{task}-{i}", (Message("user", WAYS[task].format(i + 3, i)),)) for i in range(count)]


def replies(count=40):
    return [
        Reply(
            Outcome.ANSWERED,
            f" answer w{i}",
            f" first w{i} gives w9 . ",
            7,
            tuple(range(10)),
            None,
            Usage(4, 10),
            "stop",
        )
        for i in range(count)
    ]
