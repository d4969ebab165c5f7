"""Who calls."""

from dataclasses import dataclass


@dataclass
class Account:
    """One customer of the gateway. ``risk`` in [0, 1] is raised by ``observe`` hooks and read by the others.

    ``time`` is when it calls, in simulated seconds: the gateway sets it before ``admit``. ``work`` is what it had to do
    before it was answered, in simulated seconds.
    """

    id: str
    tier: str = "standard"
    exchanges: int = 0
    tokens: int = 0
    time: float = 0.0
    work: float = 0.0
    risk: float = 0.0
    banned: bool = False
