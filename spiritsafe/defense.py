"""One countermeasure: hooks on the serving path, every one of which defaults to doing nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from spiritsafe.account import Account
from spiritsafe.attack import Example
from spiritsafe.exchange import Exchange, Outcome, Reply, Request

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spiritsafe.models import LanguageModel


class Needs(Flag):
    """What a defense cannot work without; checked before anything runs."""

    NOTHING = 0
    TEACHER_LOGITS = auto()
    PROXY = auto()
    PROXY_GRADIENT = auto()
    ACCOUNTS = auto()
    TRAINING = auto()
    KEY = auto()
    LOGPROBS = auto()  # an interface that shows some: there is nothing to change otherwise
    REWRITER = auto()  # a local model that words replies anew


@dataclass(frozen=True)
class Decision:
    """ANSWERED lets the request through; anything else is the outcome the caller sees. ``seconds`` is the work that was
    demanded of the caller first, in simulated time."""

    outcome: Outcome = Outcome.ANSWERED
    reason: str = ""
    seconds: float = 0.0


ALLOW = Decision()


@dataclass(frozen=True)
class Cost:
    """What a defense adds to serving. ``forwards`` are other models' forward passes for each token sampled, ``tokens``
    what it had other models write so far."""

    forwards: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class Verdict:
    """An ownership test of one suspect. ``null`` are the p-values of the same test with keys that marked nothing;
    ``count`` is how many observations it rests on."""

    p_value: float
    statistic: float
    count: int
    null: tuple[float, ...] = ()


class Rows(Protocol):
    """The rows being decoded together, as a sampling hook sees them. All tensors have one entry a row."""

    temperature: Tensor  # [rows]
    risk: Tensor  # [rows], in [0, 1]: the account's, or the request's where that is larger
    generated: Tensor  # [rows], completion tokens so far
    streams: Tensor  # [rows] int64, the key of each row's random stream

    def context(self, width: int) -> Tensor:
        """The last ``width`` token ids of each row, prompt included: [rows, width], left-padded with -1."""
        ...

    def follow(self, model: nn.Module, copies: int = 1) -> Tensor:
        """Next-token logits of another model that reads the same rows with a KV cache of its own.

        [rows, vocabulary], or [copies, rows, vocabulary] for a model that wants its batch repeated (two perturbed
        proxies in one pass). Call it at every step or never.
        """
        ...


class Preparation(Protocol):
    """What a defender can use before serving. Nothing here touches the attacker's pool or the test items."""

    teacher: LanguageModel
    seed: int

    def traces(self, count: int, tasks: Sequence[str] | None = None) -> list[Example]:
        """Undefended teacher completions on calibration prompts, spread over these tasks (the capability tasks)."""
        ...

    def utility(self, defenses: Sequence[Defense]) -> float:
        """Accuracy in [0, 1] of the served text on the calibration split, under these defenses (paired draws)."""
        ...

    def benign(self, count: int) -> list[tuple[str, str]]:
        """(task name, prompt text) pairs of public traffic for a query classifier."""
        ...

    def kept(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What ``make`` returns, made once and then read from the store: trained weights, on the CPU."""
        ...


class Defense:
    """Base of every countermeasure. Stateful hooks run in simulated-time order, on fixed windows."""

    needs: ClassVar[Needs] = Needs.NOTHING

    def check(self, teacher: LanguageModel) -> None:
        """Raise where this defense can never work for this teacher, before anything is spent."""

    def prepare(self, preparation: Preparation) -> None: ...

    def substitute(self, teacher: LanguageModel) -> LanguageModel:
        """The model that answers in the teacher's place."""
        return teacher

    def admit(self, request: Request, account: Account) -> Decision:
        return ALLOW

    def rewrite_request(self, request: Request) -> Request:
        return request

    def randomness(self, request: Request, account: Account) -> str | None:
        """A name for the row's random stream in place of the request id, or None to keep it."""
        return None

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        """Change what is sampled: [rows, vocabulary] before temperature and top-p."""
        return logits

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        """Change what is shown: log probabilities [rows, vocabulary], normalised; -inf is withheld."""
        return logprobs

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        return reply

    def rewrite_replies(self, requests: Sequence[Request], replies: Sequence[Reply]) -> list[Reply]:
        """All answered replies of a batch, each with its request. Override it where a model does the rewriting."""
        return [self.rewrite_reply(request, reply) for request, reply in zip(requests, replies, strict=True)]

    def observe(self, exchanges: Sequence[Exchange], accounts: dict[str, Account]) -> None: ...

    def audit(self, suspect: LanguageModel, completions: Sequence[Example], keys: int) -> Verdict:
        """Offline: was the suspect trained on what this served? ``completions`` are its own, in token ids of the
        teacher's; ``keys`` is how many wrong keys make the null."""
        raise NotImplementedError(f"{type(self).__name__} has no ownership test")

    def cost(self) -> Cost:
        return Cost()

    def state(self) -> dict[str, Tensor]:
        """What a resumed campaign cannot rebuild by deciding and observing once more; kept with every window."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None: ...

    def summary(self) -> dict[str, Any]:
        """What `prepare` found (calibrated strength, classifier errors), for the manifest."""
        return {}


def overrides(defense: Defense | type[Defense], hook: str) -> bool:
    kind = defense if isinstance(defense, type) else type(defense)
    return getattr(kind, hook) is not getattr(Defense, hook)


Respond = Callable[[Sequence[Request]], list[Reply]]
