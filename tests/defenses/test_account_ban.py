import pytest
from access import calls, gateway, outcomes
from defense_fakes import tiny
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES

from defenses.account_ban import AccountBan
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Request


@given(risk=st.floats(0, 1), threshold=st.floats(0, 1, exclude_min=True))
def test_bans_at_the_threshold(risk, threshold):
    decision = AccountBan(threshold).admit(Request("r", (Message("user", "hi"),)), Account("a", risk=risk))
    assert decision.outcome is (Outcome.BANNED if risk >= threshold else Outcome.ANSWERED)


def test_the_reason_names_the_risk():
    decision = AccountBan(0.5).admit(Request("r", (Message("user", "hi"),)), Account("a", risk=0.75))
    assert decision.reason == "the account's risk of 0.75 is at least 0.5"


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_gateway_a_ban_is_for_good_and_for_one(family):
    gate = gateway(tiny(family, seed=1), AccountBan(0.5))
    asked = calls(["w1 w2"] * 6, accounts=2)
    assert outcomes(gate.serve(asked[:2])) == ["answered"] * 2
    gate.accounts["a0"].risk = 0.5
    assert outcomes(gate.serve(asked[2:4])) == ["banned", "answered"]
    gate.accounts["a0"].risk = 0.0
    assert outcomes(gate.serve(asked[4:])) == ["banned", "answered"]
    assert [gate.accounts[name].banned for name in ("a0", "a1")] == [True, False]


def test_risk_a_caller_writes_into_a_request_does_not_count(teacher):
    call = calls(["w1"])[0]
    risky = type(call)(Request("r", call.request.messages, call.request.sampling, risk=1.0), "a0", 0.0)
    assert outcomes(gateway(teacher, AccountBan(0.5)).serve([risky])) == ["answered"]


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_bad_thresholds_name_the_remedy(threshold):
    with pytest.raises(UserError, match=r"threshold above 0 .* and at most 1"):
        AccountBan(threshold)
