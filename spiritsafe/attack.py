"""The parts of an attack: who asks what, how, from which account, and what becomes of the replies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from spiritsafe.account import Account
from spiritsafe.exchange import END_THINK, Exchange, Message, Request
from spiritsafe.interface import Interface
from spiritsafe.task import Item, Task


@dataclass(frozen=True)
class Prompt:
    task: Task
    item: Item


class PromptSource(Protocol):
    def propose(self, count: int) -> list[Prompt]:
        """The next prompts, at most ``count``; fewer (or none) when the source runs dry."""
        ...

    def observe(self, exchanges: Sequence[Exchange]) -> None: ...


class Elicitor(Protocol):
    def wrap(self, request_id: str, messages: Sequence[Message], interface: Interface) -> Request: ...


class AccountPool(Protocol):
    @property
    def accounts(self) -> Sequence[Account]: ...

    def assign(self, request: Request, index: int) -> tuple[str, float]:
        """Account id and simulated time in seconds of the ``index``-th call of the campaign; times never decrease."""
        ...

    def observe(self, exchanges: Sequence[Exchange]) -> None: ...


@dataclass(frozen=True)
class Example:
    """One training row: learn ``completion`` after ``messages`` and ``prefill``. ``token_ids`` (of the completion) and
    the top-k arrays are there only where the interface disclosed them."""

    messages: tuple[Message, ...]
    completion: str
    prefill: str = ""
    token_ids: tuple[int, ...] = ()
    top_ids: tuple[tuple[int, ...], ...] = ()
    top_logprobs: tuple[tuple[float, ...], ...] = ()
    weight: float = 1.0


def demonstrations(item: Item) -> list[Example]:
    """The ground truth of an item as training rows, one for each assistant turn. Earlier turns keep their text only."""
    history, rows = list(item.messages), []
    for message in item.turns:
        if message.role == "assistant":
            rows.append(Example(tuple(history), message.content))
            message = Message("assistant", message.content.rpartition(END_THINK)[2].strip())
        history.append(message)
    return rows


class Cleaner(Protocol):
    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]: ...


@dataclass(frozen=True)
class Attack:
    """A composition of parts, never one class per paper."""

    source: PromptSource
    elicitor: Elicitor
    accounts: AccountPool
    cleaners: Sequence[Cleaner] = ()
