"""Distilling step by step: the label and the rationale as two tasks, told apart by a prefix of the prompt.
Hsieh et al., Findings of ACL 2023, arXiv 2305.02301.

    L = α CE(label | "[label] x") + (1 - α) CE(rationale | "[rationale] x")

so that the student answers without writing a rationale. Default of the paper: α = 0.5. Breakers: hidden reasoning,
after which only labels are left; decoys in the reasoning.
Deviates: the label's prefix is empty, since the student is examined on prompts without one. Each CE is a mean over the
tokens of its task: the weights make it one, counting characters in place of tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK


@dataclass(frozen=True)
class StepByStep:
    """Two rows for a reply with reasoning, one for a reply without, none where reasoning was cut off before an answer.
    What was disclosed of a reply's tokens goes: neither row is the completion that it belongs to."""

    alpha: float = 0.5
    label: str = ""
    rationale: str = "[rationale] "

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UserError(f"step_by_step.alpha is the label's share of the loss, {self.alpha} is not within (0, 1)")
        if self.label == self.rationale:
            raise UserError("step_by_step tells its tasks apart by prefix: give label and rationale different ones")

    def refine(self, examples: Sequence[Example]) -> list[Example]:
        tasks = [(task, row) for example in examples for task, row in self._split(example)]
        size = {task: sum(row.weight * len(row.completion) for each, row in tasks if each == task) for task in (0, 1)}
        share = {0: self.alpha, 1: 1 - self.alpha}
        total = sum(size.values())
        return [
            replace(row, weight=row.weight * share[task] * total / size[task]) if size[task] else row
            for task, row in tasks
        ]

    def _split(self, example: Example) -> list[tuple[int, Example]]:
        """The label (0) and the rationale (1) of a row, where it has them."""
        head, mark, label = (example.prefill + example.completion).rpartition(END_THINK)
        if not label.strip() or (not mark and label.lstrip().startswith(THINK)):
            return []
        rationale = head.strip().removeprefix(THINK)
        rows = [(0, _row(example, self.label, label.strip()))]
        return [*rows, (1, _row(example, self.rationale, rationale.strip()))] if rationale.strip() else rows


def _row(example: Example, prefix: str, completion: str) -> Example:
    """The completion after the conversation with ``prefix`` before its last question."""
    asked = max((i for i, message in enumerate(example.messages) if message.role == "user"), default=-1)
    messages = tuple(
        replace(message, content=prefix + message.content) if i == asked else message
        for i, message in enumerate(example.messages)
    )
    return Example(messages, completion, weight=example.weight)
