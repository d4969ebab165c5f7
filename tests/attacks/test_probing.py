from dataclasses import replace

import pytest
from campaigning import TASKS, campaign

from attacks.few_shot import FewShot
from attacks.plain import Plain
from attacks.pool import Pool
from attacks.prefill import Prefill
from attacks.probing import ProbeThenExploit, reasons
from attacks.reasoning_request import ReasoningRequest
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply
from spiritsafe.interface import Interface
from spiritsafe.task import Split

ASK = (Message("user", "why?"),)
GOOD, BAD = Reply(Outcome.ANSWERED, "answer 7", "so"), Reply(Outcome.ANSWERED, "answer 7")


def probing(probes: int = 6) -> ProbeThenExploit:
    return ProbeThenExploit({name: ReasoningRequest(name) for name in "abc"}, probes)


def call(elicitor, name: str) -> str:
    """Ask, and say which elicitor did."""
    return elicitor.wrap(name, ASK, Interface()).messages[0].content[-1]


def hear(elicitor, name: str, reply: Reply) -> None:
    request = elicitor.elicitors["a"].wrap(name, ASK, Interface())
    elicitor.observe([Exchange(request, reply, "account-00000", 0.0)])


def test_probes_take_turns_then_the_best_asks():
    elicitor = probing()
    probes = [call(elicitor, f"{place}#0") for place in range(6)]
    assert probes == list("abcabc")
    assert call(elicitor, "6#0") == "a"  # nothing has come back yet
    for place, arm in enumerate(probes):
        hear(elicitor, f"{place}#0", GOOD if arm == "b" else BAD)
    assert [call(elicitor, f"{place}#0") for place in range(7, 11)] == ["b"] * 4


def test_the_best_is_left_when_it_stops_working():
    elicitor = probing(3)
    for place, reply in enumerate([GOOD, GOOD, BAD]):
        call(elicitor, f"{place}#0")
        hear(elicitor, f"{place}#0", reply)
    assert call(elicitor, "3#0") == "a"
    hear(elicitor, "3#0", BAD)
    assert call(elicitor, "4#0") == "b"


def test_a_conversation_stays_with_its_elicitor_and_counts_once_in_the_rotation():
    elicitor = probing()
    assert [call(elicitor, name) for name in ("x#0", "x#1", "y#0", "x#2", "z#0")] == list("aabac")


def test_reasoning_is_what_can_be_seen():
    assert reasons(GOOD, 16)
    assert not reasons(BAD, 16)
    assert reasons(BAD, 2)
    assert not reasons(replace(GOOD, outcome=Outcome.REFUSED), 1)
    assert not reasons(replace(GOOD, reasoning="  "), 16)
    assert not reasons(Reply(Outcome.ANSWERED, "i cannot help with that"), 2)


def test_follow_ups_come_from_who_asked_and_charged_answers_to_them_are_no_reward():
    class Curious(Plain):
        def follow_up(self, exchange):
            return replace(exchange.request, id=exchange.request.id + "/more")

    elicitor = ProbeThenExploit({"plain": Plain(), "curious": Curious()}, 2)
    first, second = (elicitor.wrap(f"{place}#0", ASK, Interface()) for place in range(2))
    assert elicitor.follow_up(Exchange(first, BAD, "account-00000", 0.0)) is None
    more = elicitor.follow_up(Exchange(second, BAD, "account-00000", 0.0))
    assert more.id == "1#0/more"
    elicitor.observe([Exchange(more, GOOD, "account-00000", 0.0, purpose="clean")])
    assert elicitor.best == "plain"


def test_a_campaign_resumes_to_the_same_and_comes_unwrapped(tiny, tmp_path):
    def elicitor() -> ProbeThenExploit:
        world = {task.name: task for task in TASKS}
        return ProbeThenExploit(
            {"plain": Plain(), "shots": FewShot(world, k=2), "request": ReasoningRequest(), "prefill": Prefill()}, 8
        )

    def source() -> Pool:
        return Pool(TASKS, {"programs": 1, "tools": 1}, 0, 24)

    whole = campaign(tiny, tmp_path / "whole", source(), elicitor())
    campaign(tiny, tmp_path / "cut", source(), elicitor(), exchanges=8)
    assert campaign(tiny, tmp_path / "cut", source(), elicitor()) == whole
    items = {item.id: item for task in TASKS for item in task.items(Split.POOL, 24)}
    for each in whole:
        if each.turn == 0:
            assert elicitor().unwrap(each.request.messages) == items[each.item].messages


def test_the_first_call_tells_what_no_call_may_ask():
    elicitor = ProbeThenExploit({"plain": Plain(), "prefill": Prefill()}, 2)
    with pytest.raises(UserError, match=r"interface\.prefill=true"):
        elicitor.wrap("0#0", ASK, Interface())


def test_too_few_probes_are_refused():
    with pytest.raises(UserError, match=r"attack\.elicitor\.elicitors"):
        probing(2)
    with pytest.raises(UserError, match=r"attack\.elicitor\.elicitors"):
        ProbeThenExploit({})
