"""Transcripts of a campaign whose teacher says what a test wants: requests are named and billed as in a harvest."""

from collections.abc import Callable, Sequence

from spiritsafe.attack import Prompt, Workshop
from spiritsafe.exchange import END_THINK, THINK, Exchange, Message, Outcome, Reply, Request
from spiritsafe.experiment.episode import Episode
from spiritsafe.task import Item, Split, Task

Says = Callable[[Item, int, int], list[Reply]]  # item, episode, turn -> a reply a sample


def said(completion: str, **more) -> Reply:
    """A reply as a gateway shows it, from a raw assistant turn."""
    thought, closed, text = completion.partition(END_THINK)
    reasoning = thought.removeprefix(THINK) if closed else None
    return Reply(Outcome.ANSWERED, text if closed else completion, reasoning, finish="stop", **more)


def truth(item: Item, turn: int) -> Reply:
    return said([message for message in item.turns if message.role == "assistant"][turn].content)


def campaign(tasks: Sequence[Task], count: int, says: Says, rounds: int = 1, seed: int = 0) -> list[Exchange]:
    """``count`` items a task, all of them ``rounds`` times; conversations go on from the first sample."""
    prompts = [Prompt(task, item) for task in tasks for item in task.items(Split.POOL, count, seed)] * rounds
    exchanges: list[Exchange] = []
    for place, prompt in enumerate(prompts):
        episode, going = Episode(f"{prompt.item.id}@{place}", prompt), True
        while going:
            turn = len(episode.replies)
            replies = says(prompt.item, place, turn)
            request = Request(episode.request_id, tuple(episode.messages), samples=len(replies))
            exchanges += [
                Exchange(request, reply, "account-00000", float(place), sample, prompt.task.name, prompt.item.id, turn)
                for sample, reply in enumerate(replies)
            ]
            going = episode.hear(replies[0])
    return exchanges


def single(text: str, item: str = "i", reasoning: str | None = None, **more) -> Exchange:
    """One reply to the one question of an item."""
    request = Request(f"{item}@0#0", (Message("user", f"question {item}"),))
    reply = Reply(more.pop("outcome", Outcome.ANSWERED), text, reasoning, finish=more.pop("finish", "stop"))
    return Exchange(request, reply, **{"account": "account-00000", "time": 0.0, "task": "t", "item": item, **more})


def home(tasks: Sequence[Task], seed: int = 0) -> Workshop:
    """An attacker who can check answers and has no model."""

    def nothing(*given):
        raise AssertionError("no model is needed")

    return Workshop(tasks, seed, nothing, nothing, nothing, nothing)
