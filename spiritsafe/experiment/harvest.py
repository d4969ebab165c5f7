"""Stage one: a campaign against a defended teacher, from its first exchange to the end of its budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spiritsafe.attack import Attack
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange
from spiritsafe.experiment.episode import Episode
from spiritsafe.interface import Interface
from spiritsafe.store import state, transcript


def harvest(
    attack: Attack,
    gateway: Any,
    call: Callable[..., Any],
    interface: Interface,
    window: int,
    folder: Path,
    on_exchange: Callable[[int], None] = lambda count: None,
) -> list[Exchange]:
    """Ask until the budget is spent or the prompts are, ``window`` calls at a time; the transcript in order.

    Every window is kept in ``folder`` as it comes. A campaign that was killed asks again in the same order, and what
    is in ``folder`` already is not asked a second time.
    """
    kept = deque(transcript.read_shards(folder))
    ready: deque[Episode] = deque()
    errands: list[Exchange] = []  # replies that the elicitor may have something further to ask about
    follow_up = getattr(attack.elicitor, "follow_up", lambda exchange: None)
    parts: list[Any] = [attack.source, attack.elicitor, attack.accounts]
    listeners = [part for part in parts if hasattr(part, "observe")]
    exchanges: list[Exchange] = []
    asked = begun = 0
    while not gateway.spent:
        fresh = attack.source.propose(max(0, window - len(ready)))
        ready.extend(Episode(f"{prompt.item.id}@{begun + place}", prompt) for place, prompt in enumerate(fresh))
        begun += len(fresh)
        going = {episode.request_id: episode for episode in (ready.popleft() for _ in range(min(window, len(ready))))}
        calls = []
        for about in errands:
            request = follow_up(about)
            if request is not None:
                account, time = attack.accounts.assign(request, asked)
                calls.append(call(request, account, time, about.task, about.item, about.turn, "clean"))
                asked += 1
        if not going and not calls:
            break
        again = {each.request.id for each in calls}
        for name, episode in going.items():
            request = attack.elicitor.wrap(name, episode.messages, interface)
            account, time = attack.accounts.assign(request, asked)
            prompt = episode.prompt
            calls.append(call(request, account, time, prompt.task.name, prompt.item.id, len(episode.replies)))
            asked += 1
        if kept:
            served = []
            while kept and kept[0].request.id in (going.keys() | again):
                served.append(kept.popleft())
            gateway.replay(served)
            if not kept:
                state.restore(folder, gateway.defenses, len(exchanges) + len(served))
        else:
            served = _serve(gateway, calls, len(exchanges), folder)
        for listener in listeners:
            listener.observe(served)
        exchanges += served
        on_exchange(len(served))
        errands = [exchange for exchange in served if exchange.request.id in going]
        for exchange in errands:
            episode = going[exchange.request.id]
            if exchange.sample == 0 and episode.hear(exchange.reply):
                ready.append(episode)
    return exchanges


def _serve(gateway: Any, calls: Sequence[Any], so_far: int, folder: Path) -> list[Exchange]:
    try:
        served: list[Exchange] = gateway.serve(calls)
    except (UserError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:
        names = ", ".join(type(defense).__name__ for defense in gateway.defenses) or "no defense"
        raise UserError(
            f"the campaign stopped after {so_far} exchanges: {type(error).__name__}: {error} (serving with {names})\n"
            f"they are kept in {folder}: mend the defense and run the same command to begin again"
        ) from error
    if served:
        state.keep(folder, gateway.defenses, so_far + len(served))
        transcript.write_shard(folder, served)
    return served


def spend(exchanges: Sequence[Exchange]) -> dict[str, int]:
    """What a transcript, or a prefix of one, has cost."""
    return {
        "exchanges": len(exchanges),
        "prompt_tokens": sum(exchange.reply.usage.prompt_tokens for exchange in exchanges),
        "completion_tokens": sum(exchange.reply.usage.completion_tokens for exchange in exchanges),
        "accounts": len({exchange.account for exchange in exchanges}),
    }
