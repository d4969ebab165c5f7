"""What an attacker may spend, and what was spent."""

from dataclasses import dataclass

from spiritsafe.errors import UserError


class BudgetSpent(Exception):
    """The ledger has nothing left for this call. The campaign ends; nothing is wrong."""


@dataclass(frozen=True)
class Budget:
    """Limits of one campaign; ``None`` is unlimited. ``checkpoints`` are prefixes of one transcript, in exchanges."""

    checkpoints: tuple[int, ...]
    completion_tokens: int | None = None
    accounts: int | None = None

    def __post_init__(self) -> None:
        if not self.checkpoints or min(self.checkpoints) <= 0:
            raise UserError("a budget needs at least one exchange: set budget.checkpoints=[64,256]")
        if list(self.checkpoints) != sorted(set(self.checkpoints)):
            raise UserError(f"budget.checkpoints must grow: {list(self.checkpoints)}")

    @property
    def exchanges(self) -> int:
        return self.checkpoints[-1]


@dataclass(frozen=True)
class Spend:
    exchanges: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    accounts: int = 0
