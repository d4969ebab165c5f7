"""Who calls."""

from dataclasses import dataclass


@dataclass
class Account:
    """One customer of the gateway. ``risk`` in [0, 1] is raised by ``observe`` hooks and read by the others."""

    id: str
    tier: str = "standard"
    exchanges: int = 0
    tokens: int = 0
    risk: float = 0.0
    banned: bool = False
