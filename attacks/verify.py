"""Rejection sampling: keep the replies whose answer checks out (RFT, Yuan et al., arXiv 2308.01825; DeepSeek-R1 kept
800k traces that way). The paper's k is 100 samples a prompt; one is enough to filter.

    keep a reply  ⇔  the conversation it belongs to ends in an answer that the task scores as right

Assumes that the attacker can check answers: they are public, or they are programs, which the task's own interpreter
runs. Costs no query by itself. Breakers: defenses that spare the answer and change the reasoning; tasks without a
checkable answer. Deviates: no removal of equal solution paths (deduplicate does it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from spiritsafe.attack import Workshop
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply
from spiritsafe.task import Item, Split, Task

MOST = 2**17  # items of an endless pool among which a prompt is looked for


@dataclass
class Verify:
    """``tasks`` are those whose answers the attacker can check; None: all. Replies to others stay, or go where
    ``others`` is false. ``flexible`` accepts a right answer in any format. ``seed`` is the prompts'; None: the
    workshop's."""

    tasks: Sequence[str] | None = None
    flexible: bool = False
    others: bool = True
    seed: int | None = None
    known: dict[str, Task] = field(default_factory=dict, init=False, repr=False)
    pool_seed: int = field(default=0, init=False, repr=False)

    def equip(self, workshop: Workshop) -> None:
        known = {task.name: task for task in workshop.tasks}
        if unknown := set(self.tasks or ()) - known.keys():
            raise UserError(
                f"verify checks {', '.join(sorted(unknown))}, which the experiment does not have: set its tasks to "
                f"some of {', '.join(known)}, or to null for all"
            )
        self.known = {name: task for name, task in known.items() if self.tasks is None or name in self.tasks}
        self.pool_seed = workshop.seed if self.seed is None else self.seed

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        verdicts = self.right(exchanges)
        return [
            exchange
            for exchange, right in zip(exchanges, verdicts, strict=True)
            if right or (right is None and (self.others or exchange.purpose != "harvest"))
        ]

    def right(self, exchanges: Sequence[Exchange]) -> list[bool | None]:
        """Of each reply whether it is right, or None where it cannot be told: another task, or no harvest."""
        checked = [exchange.purpose == "harvest" and exchange.task in self.known for exchange in exchanges]
        harvest = [exchange for exchange, check in zip(exchanges, checked, strict=True) if check]
        conversations = Conversations(harvest, self.known, self._items(harvest), self.flexible)
        return [
            conversations.right(exchange) if check else None for exchange, check in zip(exchanges, checked, strict=True)
        ]

    def _items(self, exchanges: Sequence[Exchange]) -> dict[tuple[str, str], Item]:
        """The items that were asked, found in the pools of their tasks."""
        wanted: dict[str, set[str]] = {}
        for exchange in exchanges:
            wanted.setdefault(exchange.task, set()).add(exchange.item)
        found: dict[tuple[str, str], Item] = {}
        for name, missing in wanted.items():
            count, pool = len(missing), list[Item]()
            while missing and len(pool) < min(count, MOST):
                pool = self.known[name].items(Split.POOL, count, self.pool_seed)
                found |= {(name, item.id): item for item in pool if item.id in missing}
                missing = {item for item in missing if (name, item) not in found}
                count = 4 * count if len(pool) == count else len(pool)
            if missing:
                raise UserError(
                    f"{len(missing)} prompts of task {name} are not in its pool of seed {self.pool_seed}, so their "
                    "answers cannot be checked: set verify's seed to the one the prompts were drawn with, or leave "
                    f"{name} out of its tasks"
                )
        return found


class Conversations:
    """Replies judged by where they lead. A turn is right where the conversation ends right, in its own episode or in
    any that said the same up to there; one that was never finished is not."""

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        tasks: dict[str, Task],
        items: dict[tuple[str, str], Item],
        flexible: bool,
    ) -> None:
        self._tasks, self._items, self._flexible = tasks, items, flexible
        self._heard = {_place(exchange): exchange for exchange in exchanges if exchange.sample == 0}
        self._answers: dict[tuple[str, str, tuple[Message, ...]], list[Exchange]] = {}
        for exchange in exchanges:
            said = exchange.task, exchange.item, exchange.request.messages
            self._answers.setdefault(said, []).append(exchange)
        self._known: dict[int, bool] = {}

    def right(self, exchange: Exchange) -> bool:
        if id(exchange) not in self._known:
            self._known[id(exchange)] = self._judged(exchange)
        return self._known[id(exchange)]

    def _judged(self, exchange: Exchange) -> bool:
        if exchange.reply.outcome is not Outcome.ANSWERED:
            return False
        task, item = self._tasks[exchange.task], self._items[exchange.task, exchange.item]
        replies = [*self._before(exchange), exchange.reply]
        observation = task.observe(item, replies)
        if observation is None:
            score = task.score(item, replies)
            return score.flexible if self._flexible else score.strict
        return any(self.right(later) for later in self._after(exchange, observation))

    def _before(self, exchange: Exchange) -> list[Reply]:
        """The earlier replies of the episode; of those that another cleaner dropped, what the prompt quotes."""
        quoted = [message.content for message in exchange.request.messages if message.role == "assistant"]
        stem, turn = _place(exchange)
        first = len(quoted) - turn
        heard = [self._heard.get((stem, earlier)) for earlier in range(turn)]
        return [
            each.reply if each else Reply(Outcome.ANSWERED, quoted[first + earlier] if first >= 0 else "")
            for earlier, each in enumerate(heard)
        ]

    def _after(self, exchange: Exchange, observation: Message) -> Iterator[Exchange]:
        stem, turn = _place(exchange)
        if exchange.sample == 0 and (stem, turn + 1) in self._heard:
            yield self._heard[stem, turn + 1]
        said = Message("assistant", exchange.reply.text.strip())
        messages = *exchange.request.messages, said, observation
        yield from self._answers.get((exchange.task, exchange.item, messages), ())


def _place(exchange: Exchange) -> tuple[str, int]:
    """The episode and the turn: requests of one episode are named ``episode#turn``."""
    return exchange.request.id.rpartition("#")[0] or exchange.request.id, exchange.turn
