import dataclasses

import pytest
from access import calls, gateway
from defense_fakes import tiny
from showing import FAMILIES

from defenses.no_prefill import NoPrefill


def with_prefill(asked, prefill):
    return [dataclasses.replace(call, request=dataclasses.replace(call.request, prefill=prefill)) for call in asked]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prefill_makes_no_difference(family):
    teacher, asked = tiny(family, seed=1), calls(["w1 w2", "w3", "w4 w5 w6", "w7"], max_tokens=6)
    prefilled = with_prefill(asked, "w8 w9")
    free, defended = (gateway(teacher, *defenses).serve(prefilled) for defenses in ([], [NoPrefill()]))
    plain = gateway(teacher).serve(asked)
    assert [exchange.reply for exchange in defended] == [exchange.reply for exchange in plain]
    assert [exchange.reply.text for exchange in free] != [exchange.reply.text for exchange in plain]
    assert [exchange.request for exchange in defended] == [call.request for call in prefilled]


def test_other_requests_pass_untouched():
    request = calls(["w1"])[0].request
    assert NoPrefill().rewrite_request(request) is request
    changed = NoPrefill().rewrite_request(dataclasses.replace(request, prefill="w2"))
    assert changed == request
