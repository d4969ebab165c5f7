from dataclasses import dataclass

import pytest

from spiritsafe.account import Account
from spiritsafe.defense import ALLOW, Decision, Defense
from spiritsafe.exchange import Message, Outcome, Reply, Request, Sampling
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from teacher.honest import EACH, honest
from teacher.sampler import Sampler

INTERFACE = Interface(sampling=Sampling(max_tokens=4))


@dataclass
class FewEach(Defense):
    """Lets an account ask ``most`` questions and cuts what it reads."""

    most: int

    def admit(self, request: Request, account: Account) -> Decision:
        return ALLOW if account.exchanges < self.most else Decision(Outcome.THROTTLED)

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        return reply.without_reasoning()


@pytest.fixture
def questions() -> list[Request]:
    return [Request(f"r{place}", (Message("user", "a b"),), INTERFACE.sampling) for place in range(3 * EACH + 1)]


def test_honest_users_hear_what_the_bare_teacher_says(llama: LanguageModel, questions: list[Request]) -> None:
    assert honest(llama, INTERFACE, [], seed=3)(questions) == Sampler(llama, seed=3).respond(questions)


def test_no_honest_user_meets_a_limit_made_for_many_questions(llama: LanguageModel, questions: list[Request]) -> None:
    respond = honest(llama, INTERFACE, [FewEach(EACH)])
    outcomes = [reply.outcome for reply in respond(questions[:5]) + respond(questions[5:])]
    assert outcomes == [Outcome.ANSWERED] * len(questions)


def test_a_limit_below_what_honest_users_ask_is_felt(llama: LanguageModel, questions: list[Request]) -> None:
    outcomes = [reply.outcome for reply in honest(llama, INTERFACE, [FewEach(EACH - 1)])(questions)]
    assert outcomes.count(Outcome.THROTTLED) == 3
