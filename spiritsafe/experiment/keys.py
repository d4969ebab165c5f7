"""What identifies each stage of an experiment: its config, the keys of its inputs, and the code it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.experiment import audit, examine, harvest, lessons, own_loop
from spiritsafe.experiment.calibration import Calibration
from spiritsafe.experiment.parts import Parts
from spiritsafe.experiment.settings import identified, target, targets
from spiritsafe.store.digest import code_digest
from spiritsafe.store.keys import content_key

NONE = "none"  # the stack without a defense


@dataclass(frozen=True)
class Arm:
    """One student of the comparison (or ``teacher``, ``defended``). The stack names the defenses it met."""

    name: str
    stack: str = ""
    exchanges: int = 0
    seed: int = 0

    @property
    def label(self) -> str:
        parts = [self.name, self.stack, str(self.exchanges or ""), f"seed {self.seed}"]
        return " ".join(part for part in parts if part)


def suspects(stack: str, seeds: int, exchanges: int) -> list[Arm]:
    """Whom an ownership test is tried on: the stack's students at a budget, then those that never saw its mark."""
    trained = [Arm("attacked", name, exchanges, seed) for name in (stack, NONE) for seed in range(seeds)]
    return [*trained, Arm("bare")]


class Keys:
    """The content keys of one experiment's stages, worked out without loading a model.

    ``keys`` are those already known: processes that share an experiment share them, so that an edit of the code while
    it runs cannot part them.
    """

    def __init__(self, config: Mapping[str, Any], parts: Parts, keys: Mapping[Any, str] | None = None) -> None:
        self.config, self.parts = config, parts
        self.keys: dict[Any, str] = dict(keys or {})

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    def _key(
        self, stage: str, of: Any, names: Sequence[str], more: Mapping[str, Any], inputs: Sequence[str], *code: Any
    ) -> str:
        if (stage, of) in self.keys:
            return self.keys[stage, of]
        config = {name: identified(self.config[name]) for name in names} | {"seed": self.seed} | dict(more)
        components = [*code, *sorted(set(targets({name: self.config[name] for name in names} | dict(more))))]
        self.keys[stage, of] = content_key(stage, identified(config), inputs, code_digest(*components))
        return self.keys[stage, of]

    def objective_of(self, arm: Arm) -> Mapping[str, Any]:
        """Controls learn from text: nobody's log probabilities come with a public demonstration or the ground truth."""
        objective: Mapping[str, Any] = self.config["objective" if arm.name == "attacked" else "control_objective"]
        return objective

    def defenses(self, stack: str) -> Mapping[str, Any]:
        """The configs of a stack's defenses, by name."""
        found: Mapping[str, Any] = {} if stack == NONE else self.config["stacks"][stack]
        return found

    def serving_key(self, stack: str) -> str:
        """Identifies a prepared stack of defenses."""
        parts = self.parts
        more = {"defense": self.defenses(stack), "calibration": self.config["calibration"]}
        return self._key(
            "serve", stack, ["teacher", "task", "interface"], more, [], parts.gateway, parts.honest, Calibration
        )

    def harvest_key(self, stack: str) -> str:
        inputs = [self.serving_key(stack)]
        attack = {name: part for name, part in self.config["attack"].items() if name not in ("cleaners", "refiners")}
        names, parts = ["budget", "task", "harvest"], self.parts
        if any(hasattr(target(attack[part]), "equip") for part in ("source", "elicitor")):
            names += ["student", "recipe", "control_objective", "passes"]  # of what it may train at home
        return self._key(
            "harvest", stack, names, {"attack": attack}, inputs, harvest.harvest, parts.gateway, parts.ledger
        )

    def goes_on(self, arm: Arm) -> bool:
        """Whether an arm's training spends the ledger itself."""
        return own_loop.is_scored(self.objective_of(arm))

    def bought(self, arm: Arm) -> int:
        """The harvested exchanges of an arm: all of them, or what it begins with."""
        return own_loop.warm(arm.exchanges, self.config["warm_start"]) if self.goes_on(arm) else arm.exchanges

    def distill_key(self, arm: Arm) -> str:
        names, inputs, code = ["student", "recipe"], [], [lessons, self.parts.train, self.parts.examples]
        more: dict[str, Any] = {"arm": arm.name, "training_seed": arm.seed, "passes": self.config["passes"]}
        more["objective"] = self.objective_of(arm)
        if arm.name == "format":
            more |= {"task": self.config["task"], "public": self.config["measure"]["public"]}
        else:
            inputs.append(self.harvest_key(arm.stack or NONE))
            kept = {name: self.config["attack"].get(name, []) for name in ("cleaners", "refiners")}
            more |= {"exchanges": arm.exchanges, "control_objective": self.config["control_objective"], **kept}
        if self.goes_on(arm):
            more |= {"warm_start": self.config["warm_start"], "accounts": self.config["attack"]["accounts"]}
            inputs.append(self.serving_key(arm.stack))
            parts = self.parts
            code += [own_loop, parts.train_on_policy, parts.gateway, parts.call, parts.ledger, parts.alone]
        elif own_loop.is_discriminated(self.objective_of(arm)):
            more["interface"] = self.config["interface"]
            code += [own_loop, self.parts.train_adversarially, self.parts.alone]
        return self._key("distill", arm, names, more, inputs, *code)

    def examine_key(self, arm: Arm) -> str:
        names = ["task", "interface"]
        more = {name: self.config["measure"][name] for name in ("items", "split")}
        if arm.name in ("teacher", "defended"):
            inputs, code = [self.serving_key(arm.stack)], [self.parts.honest]
        elif arm.name == "bare":
            names, inputs, code = [*names, "student"], [], [self.parts.alone]
        else:
            inputs, code = [self.distill_key(arm)], [self.parts.alone]
        return self._key("examine", arm, names, more, inputs, examine.examine, *code)

    def audit_key(self, stack: str, suspect: Arm) -> str:
        """Identifies the ownership test of a stack on one suspect."""
        more = {"wrong_keys": self.config["measure"]["wrong_keys"], "items": self.config["measure"]["items"]}
        inputs = [self.serving_key(stack), self.examine_key(suspect)]
        return self._key("audit", (stack, suspect), ["teacher", "task"], more, inputs, audit.audit)
