"""What an experiment is fitted out with: everything that its config and parts build, made when first needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import ceil
from typing import Any, cast

from spiritsafe import models
from spiritsafe.attack import AccountPool, Attack, Example, Workshop
from spiritsafe.budget import Budget
from spiritsafe.exchange import Reply, Request
from spiritsafe.experiment.calibration import Calibration, prepare
from spiritsafe.experiment.keys import Arm, Keys
from spiritsafe.experiment.parts import Parts
from spiritsafe.experiment.settings import budget_of, build, interface_of, made
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from spiritsafe.store.store import Store
from spiritsafe.task import Task


class Outfit(Keys):
    """One experiment's config (plain data), the parts it is built from and its store."""

    def __init__(
        self, config: Mapping[str, Any], parts: Parts, store: Store, keys: Mapping[Any, str] | None = None
    ) -> None:
        super().__init__(config, parts, keys)
        self.store = store

    @cached_property
    def teacher(self) -> LanguageModel:
        return build(self.config["teacher"])

    @cached_property
    def student(self) -> LanguageModel:
        return build(self.config["student"])

    @cached_property
    def tasks(self) -> list[Task]:
        return [build(task) for task in self.config["task"].values()]

    @cached_property
    def interface(self) -> Interface:
        return interface_of(self.config["interface"])

    @cached_property
    def budget(self) -> Budget:
        return budget_of(self.config["budget"])

    @cached_property
    def recipe(self) -> Any:
        return made(self.parts.recipe, build(self.config["recipe"]), "recipe")

    def recipe_of(self, arm: Arm) -> Any:
        """Equal steps for all arms of a checkpoint: the recipe's, or fewer where these would be too many passes."""
        return self.recipe_for(self.bought(arm) or int(self.config["measure"]["public"]))

    def recipe_for(self, rows: int) -> Any:
        most = ceil(int(self.config["passes"]) * rows / self.recipe.batch_size)
        return replace(self.recipe, steps=max(1, min(self.recipe.steps, most)))

    @cached_property
    def same_tokenizer(self) -> bool:
        """Whether the teacher's token ids mean the same to the student."""
        teacher, student = (self.config[part] for part in ("teacher", "student"))
        return models.tokens(teacher["path"], teacher.get("revision")) == models.tokens(
            student["path"], student.get("revision")
        )

    @property
    def batch_size(self) -> int:
        return int(self.config["sampler_batch_size"])

    @property
    def count(self) -> int:
        """Test items a task."""
        return int(self.config["measure"]["items"])

    def attack(self) -> Attack:
        """The attack, its prompt source completed by what only the experiment knows."""
        attack: Attack = build(self.config["attack"])
        if callable(attack.source):
            known = {"tasks": self.tasks, "seed": self.seed, "size": self.budget.exchanges}
            source = made(attack.source, known, "attack.source")
            attack = replace(attack, source=source)
        return attack

    def workshop(self, seed: int) -> Workshop:
        """What the attacker has at home; ``seed`` is that of its training."""

        def learn(rows: Sequence[Example]) -> LanguageModel:
            recipe, objective = self.recipe_for(len(rows)), build(self.config["control_objective"])
            kept = {"seed": seed, "same_tokenizer": self.same_tokenizer}
            return cast(LanguageModel, self.parts.train(self.student, rows, objective, recipe, **kept)[0])

        def respond(model: LanguageModel, requests: Sequence[Request]) -> list[Reply]:
            alone = self.parts.alone(model, seed=seed, batch_size=self.batch_size)
            return cast(list[Reply], alone.respond(requests))

        return Workshop(self.tasks, self.seed, lambda: self.student, learn, respond, self.parts.examples)

    def gateway(self, defenses: Sequence[Any], budget: Budget, accounts: AccountPool) -> Any:
        return self.parts.gateway(
            self.teacher,
            self.interface,
            defenses,
            self.parts.ledger(budget),
            {account.id: account for account in accounts.accounts},
            seed=self.seed,
            batch_size=self.batch_size,
            window=self.config["harvest"]["window"],
        )

    def served(self, stack: str) -> tuple[list[Any], dict[str, Any]]:
        """The stack's defenses, prepared. What calibration measured is kept beside the store's stages, for whoever else
        serves the same: they wait for it."""
        defenses, key = [build(defense) for defense in self.defenses(stack).values()], self.serving_key(stack)
        folder = self.store.root / "calibration" / key
        folder.mkdir(parents=True, exist_ok=True)
        per_task = int(self.config["calibration"]["items"])
        calibration = Calibration(
            self.teacher, self.tasks, self.interface, self.parts, self.seed, per_task, folder, self.batch_size
        )
        with self.store.locked("calibration", key):
            return defenses, prepare(defenses, calibration)

    def own_completions(self, arm: Arm) -> dict[str, Any]:
        """How a student in training is asked, and at what length."""

        def sample(model: LanguageModel, requests: list[Request]) -> list[Reply]:
            alone = self.parts.alone(model, seed=arm.seed, batch_size=self.batch_size)
            return cast(list[Reply], alone.respond(requests))

        return {"sample": sample, "max_tokens": self.interface.sampling.max_tokens}
