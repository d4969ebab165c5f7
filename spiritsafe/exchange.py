"""One call to the teacher and what came back."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """How to decode. ``temperature=0`` is greedy; ``max_tokens`` counts completion tokens, reasoning included."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What an account asks for.

    ``id`` keys the random stream, so two requests with one id and one run seed sample the same tokens. ``prefill`` is
    the beginning of the assistant's raw completion (it may open or close the reasoning). ``score`` asks for the log
    probabilities of that completion in place of a sample. ``top_logprobs`` is k; 0 asks for none. ``logit_bias`` are
    (token id, number added to its logit at every position). ``risk`` in [0, 1] is the defenses' to set: what a caller
    writes there does not count.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    samples: int = 1
    top_logprobs: int = 0
    prefill: str = ""
    score: str | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    risk: float = 0.0


class Outcome(StrEnum):
    ANSWERED = "answered"
    REFUSED = "refused"  # by the gateway; a model that declines in words has answered
    THROTTLED = "throttled"
    BANNED = "banned"
    FAILED = "failed"


@dataclass(frozen=True)
class Logprobs:
    """Disclosed log probabilities of a completion of n tokens: ids and values, each [n][k], best first.

    ``chosen[i]`` is the disclosed log probability of the token that was served at i.
    """

    ids: tuple[tuple[int, ...], ...]
    values: tuple[tuple[float, ...], ...]
    chosen: tuple[float, ...]


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0  # billed: hidden reasoning counts


@dataclass(frozen=True)
class Reply:
    """``text`` is the visible answer, ``reasoning`` what stood inside the think marks (None: hidden or not there).

    ``token_ids`` are the completion tokens still shown, in order, the end token included where it was sampled;
    ``logprobs`` align with them. The first ``reasoning_tokens`` of them are the reasoning with its marks.
    """

    outcome: Outcome
    text: str = ""
    reasoning: str | None = None
    reasoning_tokens: int = 0
    token_ids: tuple[int, ...] = ()
    logprobs: Logprobs | None = None
    usage: Usage = field(default_factory=Usage)
    finish: Literal["stop", "length", "none"] = "none"
    reason: str = ""  # why it was refused, throttled, banned or failed

    @property
    def completion(self) -> str:
        """The raw assistant turn as shown: reasoning in its marks, then the text."""
        if self.reasoning is None:
            return self.text
        return f"{THINK}{self.reasoning}{END_THINK}{self.text}"

    def without_reasoning(self) -> "Reply":
        """The reply as shown where reasoning is hidden: its text, tokens and logprobs are gone, it stays billed."""
        first = self.reasoning_tokens
        logprobs = self.logprobs and Logprobs(
            self.logprobs.ids[first:], self.logprobs.values[first:], self.logprobs.chosen[first:]
        )
        return replace(self, reasoning=None, reasoning_tokens=0, token_ids=self.token_ids[first:], logprobs=logprobs)


@dataclass(frozen=True)
class Exchange:
    """One sample of one request by one account, at a simulated time in seconds: the unit of a query budget."""

    request: Request
    reply: Reply
    account: str
    time: float
    sample: int = 0
    task: str = ""
    item: str = ""
    turn: int = 0
    purpose: Literal["harvest", "score", "judge", "probe", "clean", "cover"] = "harvest"
