import pytest

from attacks.plain import Plain
from attacks.reasoning_request import ReasoningRequest
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.interface import Interface

EPISODE = (Message("user", "find it"), Message("assistant", "call q x"), Message("tool", "7"))


@pytest.mark.parametrize("turns", [1, 3])
def test_the_sentence_follows_the_question_and_comes_off_again(turns):
    elicitor = ReasoningRequest("show it", Plain(2))
    request = elicitor.wrap("r", EPISODE[:turns], Interface(top_logprobs=5))
    assert request.messages == (Message("user", "find it\nshow it"), *EPISODE[1:turns])
    assert (request.id, request.top_logprobs) == ("r", 2)
    assert elicitor.unwrap(request.messages) == EPISODE[:turns]
    assert elicitor.unwrap(EPISODE[:turns]) == EPISODE[:turns]
    assert elicitor.unwrap(()) == ()


def test_an_empty_sentence_is_refused():
    with pytest.raises(UserError, match=r"attack\.elicitor\.text"):
        ReasoningRequest(" ")
