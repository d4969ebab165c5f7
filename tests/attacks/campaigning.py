"""A short campaign of an untrained teacher behind the real gateway, and what the attacker has at home."""

from attacks.accounts import RoundRobin
from attacks.examples import to_examples
from attacks.plain import Plain
from spiritsafe.attack import Attack, Workshop, equipped
from spiritsafe.budget import Budget
from spiritsafe.exchange import Exchange, Reply, Sampling
from spiritsafe.experiment.harvest import harvest
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from spiritsafe.tasks.arithmetic import Arithmetic
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Lookalike, Recipes, Restricted
from spiritsafe.tasks.tools import Tools
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger
from teacher.sampler import Sampler

TASKS = [Arithmetic(), Programs(), Facts(), Tools(), Recipes(), Restricted(), Lookalike()]
INTERFACE = Interface(sampling=Sampling(max_tokens=8), prefill=True)


def asked(source, *counts: int) -> list[tuple[str, str, tuple]]:
    return [(each.task.name, each.item.id, each.item.messages) for count in counts for each in source.propose(count)]


def workshop(student: LanguageModel, learned: list | None = None) -> Workshop:
    """``learned`` keeps what the student was trained on; the student stays as it is."""

    def learn(rows) -> LanguageModel:
        if learned is not None:
            learned.append(list(rows))
        return student

    def respond(model, requests) -> list[Reply]:
        return Sampler(model, seed=0, batch_size=64).respond(requests)

    return Workshop(TASKS, 0, lambda: student, learn, respond, to_examples)


def campaign(
    teacher: LanguageModel, folder, source, elicitor=None, exchanges: int = 24, window: int = 8, interface=INTERFACE
) -> list[Exchange]:
    accounts = RoundRobin()
    equipped(source, workshop(teacher))
    folder.mkdir(exist_ok=True, parents=True)
    known = {account.id: account for account in accounts.accounts}
    gateway = Gateway(teacher, interface, [], Ledger(Budget((exchanges,))), known, window=window)
    return harvest(Attack(source, elicitor or Plain(), accounts), gateway, Call, interface, window, folder)
