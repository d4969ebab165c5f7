"""Relayed users: a reseller passes on what ordinary people ask and keeps what it wants to learn from.

Nothing about a question tells such a campaign from honest use, since honest use it is; the traffic is paid by the
people who ask. Reported of the campaigns of 2026 as benign mixing at a share of 1. No paper; no published default.
Breakers: what acts on the account (volume, shared payment) and not on the question; a defense of the skill itself.
Deviates: people ask our tasks, of all capabilities and look-alikes alike; the reseller pays as any attacker does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attacks.pool import Pool
from spiritsafe.attack import Prompt
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange
from spiritsafe.task import Kind, Task


class Relayed:
    """``traffic`` is how much is asked of each task; None is as much of every task that is not harmful.

    ``weights`` name what the attacker wants; they change nothing of what is asked (see ``KeepWanted``).
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        weights: Mapping[str, float],
        seed: int,
        size: int,
        traffic: Mapping[str, float] | None = None,
    ) -> None:
        if traffic is None:
            traffic = {task.name: 1.0 for task in tasks if task.kind is not Kind.HARMFUL}
        wanted = {name for name, weight in weights.items() if weight}
        if not wanted or wanted - {name for name, share in traffic.items() if share}:
            raise UserError(
                f"the relayed users ask {', '.join(sorted(traffic)) or 'nothing'}, and the attacker wants "
                f"{', '.join(sorted(wanted)) or 'nothing'}: set attack.source.weights over what they ask, or traffic"
            )
        self._pool = Pool(tasks, traffic, seed, size)

    def propose(self, count: int) -> list[Prompt]:
        return self._pool.propose(count)

    def observe(self, exchanges: Sequence[Exchange]) -> None: ...


@dataclass(frozen=True)
class KeepWanted:
    """The cleaner that belongs to it: replies to the tasks of positive weight stay (``${attack.source.weights}``)."""

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not any(self.weights.values()):
            raise UserError("nothing is wanted: give weights one positive weight, e.g. ${attack.source.weights}")

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [exchange for exchange in exchanges if self.weights.get(exchange.task, 0)]
