"""Conversations with a task, many at once: the next request depends on the last reply and on the environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spiritsafe.attack import Prompt
from spiritsafe.defense import Respond
from spiritsafe.exchange import Message, Reply, Request, Sampling


@dataclass
class Episode:
    """One item being worked on. Earlier assistant turns keep their text, not their reasoning, as chat templates do."""

    name: str
    prompt: Prompt
    messages: list[Message] = field(init=False)
    replies: list[Reply] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.messages = list(self.prompt.item.messages)

    @property
    def request_id(self) -> str:
        """The same for every defense and every student, so that comparisons are paired."""
        return f"{self.name}#{len(self.replies)}"

    def before(self, turn: int) -> tuple[Message, ...]:
        """What the assistant had seen when it gave its reply number ``turn``, counted from 0."""
        return tuple(self.messages[: len(self.prompt.item.messages) + 2 * turn])

    def hear(self, reply: Reply) -> bool:
        """Take a reply; whether the conversation goes on."""
        self.replies.append(reply)
        observation = self.prompt.task.observe(self.prompt.item, self.replies)
        if observation is None:
            return False
        self.messages += [Message("assistant", reply.text.strip()), observation]
        return True


def play(
    prompts: Sequence[Prompt], respond: Respond, sampling: Sampling, on_item: Callable[[int], None] = lambda count: None
) -> list[Episode]:
    """Play every prompt to its end, all of them side by side."""
    episodes = [Episode(prompt.item.id, prompt) for prompt in prompts]
    going = episodes
    while going:
        replies = respond([Request(episode.request_id, tuple(episode.messages), sampling) for episode in going])
        before = len(going)
        going = [episode for episode, reply in zip(going, replies, strict=True) if episode.hear(reply)]
        on_item(before - len(going))
    return episodes
