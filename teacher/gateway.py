"""The only way to the teacher: the ledger, the defenses in their order, and one exchange for everything sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from spiritsafe.account import Account
from spiritsafe.budget import BudgetSpent
from spiritsafe.defense import ALLOW, Decision, Defense, overrides
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Reply, Request, Usage
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from teacher.ledger import Ledger, Reservation
from teacher.sampler import Sampler


@dataclass(frozen=True)
class Call:
    """A request by an account at a simulated time in seconds, and what it belongs to."""

    request: Request
    account: str
    time: float
    task: str = ""
    item: str = ""
    turn: int = 0
    purpose: Literal["harvest", "score", "judge", "probe", "clean", "cover"] = "harvest"


@dataclass
class _Ticket:
    """A call on its way. ``request`` is what the teacher gets; ``answered`` counts samples."""

    call: Call
    request: Request
    decision: Decision | None = None
    stream: str | None = None
    answered: int = 0
    reservations: list[Reservation] = field(default_factory=list)

    @classmethod
    def of(cls, call: Call) -> _Ticket:
        return cls(call, replace(call.request, risk=0.0))

    @property
    def admitted(self) -> bool:
        return self.decision is not None and self.decision.outcome is Outcome.ANSWERED

    @property
    def reserved(self) -> int:
        """Samples answered or about to be."""
        return self.answered + len(self.reservations)

    def to_sample(self) -> Request:
        """All samples up to the last one reserved, none longer than was granted."""
        granted = min(reservation.max_tokens for reservation in self.reservations)
        sampling = replace(self.request.sampling, max_tokens=min(self.request.sampling.max_tokens, granted))
        return replace(self.request, sampling=sampling, samples=self.reserved)


class Gateway:
    """Serves the calls of known ``accounts`` under an interface, defenses in their order, and a ledger.

    `observe` hooks run on every ``window`` exchanges, counted over the gateway's life, and no batch crosses a window,
    so the batch size never changes a decision. A hook that decides must keep its state in the accounts or build it in
    the hooks that `replay` calls again: `admit`, `rewrite_request`, `randomness` and `observe`.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        interface: Interface,
        defenses: Sequence[Defense],
        ledger: Ledger,
        accounts: dict[str, Account],
        *,
        seed: int = 0,
        batch_size: int = 256,
        window: int = 256,
    ) -> None:
        if window < 1:
            raise UserError(f"the gateway needs a window of 1 or more exchanges, got {window}")
        self.language_model, self.interface, self.defenses = language_model, interface, defenses
        self.ledger, self.accounts, self.window = ledger, accounts, window
        self.sampler = Sampler(language_model, seed=seed, batch_size=batch_size, defenses=defenses)
        self._unobserved: list[Exchange] = []
        self._stopped = False

    @property
    def spent(self) -> bool:
        """The budget is used up: nothing more will be served."""
        return self._stopped or self.ledger.exhausted

    def serve(self, calls: Sequence[Call], on_tokens: Callable[[int], None] | None = None) -> list[Exchange]:
        """One exchange a sample, in simulated-time order; one alone for a call that was not let in.

        Ends early, with ``spent`` set, where the budget does. What a defense raises is passed on, and the batch it was
        raised in is not spent. Raises UserError where a call asks for what the interface does not offer.
        """
        for call in calls:
            self.interface.check(call.request)
            if call.account not in self.accounts:
                raise UserError(f"no account {call.account!r}: the gateway must be given every account that calls it")
        queue = deque(_Ticket.of(call) for call in sorted(calls, key=lambda call: call.time))
        served: list[Exchange] = []
        while queue and not self._stopped:
            batch: list[_Ticket] = []
            try:
                self._admit(queue, batch)
                exchanges = self._answer(batch, on_tokens)
            except BaseException:
                self._forget(batch)
                raise
            self._settle(batch, exchanges)
            served += exchanges
        return served

    def replay(self, exchanges: Sequence[Exchange]) -> None:
        """Bring the ledger, the accounts and the defenses to where `serve` left them after ``exchanges``."""
        queue = deque(exchanges)
        while queue:
            batch = [queue.popleft() for _ in range(min(len(queue), self.window - len(self._unobserved)))]
            for exchange in batch:
                account = self.accounts[exchange.account]
                if exchange.sample == 0:
                    self._decide(_Ticket.of(Call(exchange.request, exchange.account, exchange.time)), account)
                account.exchanges += exchange.reply.outcome in (Outcome.ANSWERED, Outcome.FAILED)
                account.banned |= exchange.reply.outcome is Outcome.BANNED
            for exchange in batch:
                reservation = self._reserve(exchange.account, exchange.reply.usage.completion_tokens)
                if reservation is None:
                    return
                self._log(exchange, reservation)

    def _hooked(self, *hooks: str) -> list[Defense]:
        return [defense for defense in self.defenses if any(overrides(defense, hook) for hook in hooks)]

    def _reserve(self, account: str, max_tokens: int) -> Reservation | None:
        try:
            return self.ledger.reserve(account, max_tokens)
        except BudgetSpent:
            self._stopped = True
            return None

    def _admit(self, queue: deque[_Ticket], batch: list[_Ticket]) -> None:
        """Move calls into the batch until the window is full or the ledger has nothing to give before it is settled."""
        for _ in range(self.window - len(self._unobserved)):
            if not queue:
                return
            ticket = queue[0]
            request, account = ticket.call.request, self.accounts[ticket.call.account]
            reservation = self._reserve(
                ticket.call.account, request.sampling.max_tokens if request.score is None else 0
            )
            if reservation is None:
                return
            if not ticket.reservations:
                batch.append(ticket)
            ticket.reservations.append(reservation)
            if ticket.decision is None:
                ticket.decision = self._decide(ticket, account)
            account.exchanges += ticket.admitted
            if not ticket.admitted or ticket.reserved == request.samples:
                queue.popleft()

    def _decide(self, ticket: _Ticket, account: Account) -> Decision:
        """What the account sees; where that is an answer, also what the teacher gets."""
        account.time = ticket.call.time
        if account.banned:
            return Decision(Outcome.BANNED, "the account is banned")
        for defense in self._hooked("admit"):
            decision = defense.admit(ticket.request, account)
            account.work += decision.seconds
            if decision.outcome is not Outcome.ANSWERED:
                account.banned = decision.outcome is Outcome.BANNED
                return decision
        for defense in self._hooked("rewrite_request"):
            ticket.request = defense.rewrite_request(ticket.request)
        names = (defense.randomness(ticket.request, account) for defense in self._hooked("randomness"))
        ticket.stream = next((name for name in names if name is not None), None)
        return ALLOW

    def _answer(self, batch: Sequence[_Ticket], on_tokens: Callable[[int], None] | None) -> list[Exchange]:
        admitted = [ticket for ticket in batch if ticket.admitted]
        sampled = self.sampler.respond(
            [ticket.to_sample() for ticket in admitted],
            streams=[ticket.stream for ticket in admitted],
            risks=[max(ticket.request.risk, self.accounts[ticket.call.account].risk) for ticket in admitted],
            on_tokens=on_tokens,
        )
        replies = iter(self._shown([ticket.request for ticket in admitted for _ in range(ticket.reserved)], sampled))
        exchanges = []
        for ticket in batch:
            call = ticket.call
            fresh = list(islice(replies, ticket.reserved))[ticket.answered :] if ticket.admitted else []
            shown = fresh or [self._blocked(ticket)]
            exchanges += [
                Exchange(
                    call.request, reply, call.account, call.time, sample, call.task, call.item, call.turn, call.purpose
                )
                for sample, reply in enumerate(shown, ticket.answered)
            ]
        return exchanges

    def _shown(self, requests: Sequence[Request], replies: Sequence[Reply]) -> list[Reply]:
        """Replies as the accounts see them. What was sampled stays billed, whatever is shown of it."""
        shown = list(replies)
        answered = [place for place, reply in enumerate(replies) if reply.outcome is Outcome.ANSWERED]
        for defense in self._hooked("rewrite_reply", "rewrite_replies"):
            rewritten = defense.rewrite_replies(
                [requests[place] for place in answered], [shown[place] for place in answered]
            )
            for place, reply in zip(answered, rewritten, strict=True):
                shown[place] = replace(reply, usage=replies[place].usage)
        if self.interface.reasoning == "hidden":
            shown = [reply.without_reasoning() for reply in shown]
        return shown

    def _blocked(self, ticket: _Ticket) -> Reply:
        assert ticket.decision is not None
        prompt = self.language_model.prompt_ids(ticket.call.request.messages, ticket.call.request.prefill)
        return Reply(ticket.decision.outcome, usage=Usage(len(prompt)), reason=ticket.decision.reason)

    def _settle(self, batch: Sequence[_Ticket], exchanges: Sequence[Exchange]) -> None:
        reservations = [reservation for ticket in batch for reservation in ticket.reservations]
        for ticket in batch:
            ticket.answered, ticket.reservations = ticket.reserved, []
        for exchange, reservation in zip(exchanges, reservations, strict=True):
            self._log(exchange, reservation)

    def _forget(self, batch: Sequence[_Ticket]) -> None:
        """Undo what admitting the batch has taken."""
        self._stopped = False
        for ticket in batch:
            self.accounts[ticket.call.account].exchanges -= len(ticket.reservations) * ticket.admitted
            for reservation in ticket.reservations:
                self.ledger.release(reservation)

    def _log(self, exchange: Exchange, reservation: Reservation) -> None:
        usage = exchange.reply.usage
        self.ledger.settle(reservation, usage)
        self.accounts[exchange.account].tokens += usage.completion_tokens
        self._unobserved.append(exchange)
        if len(self._unobserved) == self.window:
            window, self._unobserved = self._unobserved, []
            for defense in self._hooked("observe"):
                defense.observe(window, self.accounts)
