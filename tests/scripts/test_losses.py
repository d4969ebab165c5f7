from scripts.run import at_losses

STACKS = {
    "none": {},
    "given": {"kgw": {"strength": 2.0, "utility_loss": 0.05}},
    "found": {"ads": {"strength": None, "utility_loss": 0.05}},
    "found+answer": {"ads": {"strength": None, "utility_loss": 0.05}, "answer": {"k": 1}},
}


def test_only_calibrated_stacks_are_run_at_every_loss():
    found = at_losses(STACKS, [0.01, 0.1])
    assert list(found) == ["none", "given", "found@-1", "found@-10", "found+answer@-1", "found+answer@-10"]
    assert found["found@-10"]["ads"] == {"strength": None, "utility_loss": 0.1}
    assert found["found+answer@-1"] == {"ads": {"strength": None, "utility_loss": 0.01}, "answer": {"k": 1}}
    assert found["given"] == STACKS["given"]


def test_without_losses_a_config_keeps_its_own():
    assert at_losses(STACKS, []) == STACKS
