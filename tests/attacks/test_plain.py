import pytest

from attacks.plain import Plain
from spiritsafe.exchange import Message, Sampling
from spiritsafe.interface import Interface

MESSAGES = [Message("system", "be brief"), Message("user", "why?")]


def test_the_question_goes_out_as_it_is_with_the_interface_sampling():
    interface = Interface(sampling=Sampling(temperature=0.7, max_tokens=9))
    request = Plain().wrap("r1", MESSAGES, interface)
    assert (request.id, request.messages, request.sampling) == ("r1", tuple(MESSAGES), interface.sampling)
    assert (request.samples, request.top_logprobs, request.prefill, request.score) == (1, 0, "", None)


@pytest.mark.parametrize(
    ("asked", "offered", "full", "sent"),
    [(None, 5, False, 5), (0, 5, False, 0), (3, 5, False, 3), (9, 5, False, 5), (9, 0, True, 9), (None, 0, False, 0)],
)
def test_logprobs_are_asked_for_as_far_as_they_are_offered(asked, offered, full, sent):
    interface = Interface(top_logprobs=offered, full_logits=full)
    request = Plain(asked).wrap("r", MESSAGES, interface)
    assert request.top_logprobs == sent
    interface.check(request)
