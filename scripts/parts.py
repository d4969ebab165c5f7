"""The rooms put together: what the experiment is handed."""

from attacks.examples import to_examples
from spiritsafe.experiment.parts import Parts
from student.training import Recipe, train
from teacher.gateway import Call, Gateway
from teacher.honest import honest
from teacher.ledger import Ledger
from teacher.sampler import Sampler

PARTS = Parts(
    gateway=Gateway,
    call=Call,
    ledger=Ledger,
    honest=honest,
    alone=Sampler,
    train=train,
    recipe=Recipe,
    examples=to_examples,
)
