"""The stages of one experiment, each a pure function of its config and inputs, found in the store by content key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from spiritsafe import models
from spiritsafe.attack import Example, equipped
from spiritsafe.defense import Verdict, overrides
from spiritsafe.exchange import Exchange
from spiritsafe.experiment import audit, examine, harvest, lessons, own_loop
from spiritsafe.experiment.calibration import costs
from spiritsafe.experiment.keys import NONE, Arm, suspects
from spiritsafe.experiment.outfit import Outfit
from spiritsafe.experiment.settings import build, target
from spiritsafe.models import LanguageModel
from spiritsafe.store import state, transcript
from spiritsafe.store.rows import read_rows, write_rows
from spiritsafe.store.store import Stage
from spiritsafe.task import Split

Tick = Callable[[int], None]


def _silent(count: int) -> None: ...


class Lab(Outfit):
    """Each stage is built where the store lacks it, from the stages before it."""

    def harvested(self, stack: str, tick: Tick = _silent) -> Stage:
        """The transcript of the campaign against a stack."""
        key = self.harvest_key(stack)
        notes: dict[str, Any] = {}
        with self.store.building(
            "harvest", key, config=self._described(stack), inputs=[self.serving_key(stack)], notes=notes
        ) as folder:
            if folder is not None:
                attack = self.attack()
                for part in (attack.source, attack.elicitor):
                    equipped(part, self.workshop(self.seed))
                defenses, notes["defenses"] = self.served(stack)
                gateway = self.gateway(defenses, self.budget, attack.accounts)
                window = self.config["harvest"]["window"]
                exchanges = harvest.harvest(attack, gateway, self.parts.call, self.interface, window, folder, tick)
                notes["cost"] = costs(defenses)
                notes["work_seconds"] = sum(account.work for account in attack.accounts.accounts)
                notes["spend"] = [
                    {"checkpoint": size, **harvest.spend(exchanges[:size])} for size in self.budget.checkpoints
                ]
                transcript.merge(folder, folder / "transcript.parquet")
                state.clear(folder)
        return self.store.stage("harvest", key)

    def examined_teacher(self, stack: str, tick: Tick = _silent) -> Stage:
        """The teacher as honest users meet it behind a stack."""
        arm = Arm("defended", stack)
        notes: dict[str, Any] = {}

        def rows() -> list[dict[str, Any]]:
            defenses, _ = self.served(stack)
            respond = self.parts.honest(
                self.teacher, self.interface, defenses, seed=self.seed, batch_size=self.batch_size
            )
            force = self.parts.alone(self.teacher, seed=self.seed, batch_size=self.batch_size).respond
            examined = self._examine(respond, force, tick)
            notes["cost"] = costs(defenses)
            return examined

        return self._examined(arm, rows, notes)

    def examined_student(self, arm: Arm, tick: Tick = _silent) -> Stage:
        """A student's test items."""
        stage = self.store.stage("examine", self.examine_key(arm))
        if stage.complete:
            return stage
        model = self.student if arm.name == "bare" else self.distilled(arm)

        def rows() -> list[dict[str, Any]]:
            respond = self.parts.alone(model, seed=self.seed, batch_size=self.batch_size).respond
            return self._examine(respond, respond, tick)

        return self._examined(arm, rows)

    def _examine(self, respond: Any, force: Any, tick: Tick) -> list[dict[str, Any]]:
        split = Split(self.config["measure"]["split"])
        return examine.examine(self.tasks, self.count, respond, force, self.interface.sampling, tick, split=split)

    def _examined(
        self, arm: Arm, rows: Callable[[], list[dict[str, Any]]], notes: Mapping[str, Any] | None = None
    ) -> Stage:
        key = self.examine_key(arm)
        with self.store.building("examine", key, config={"arm": vars(arm)}, notes=notes) as folder:
            if folder is not None:
                write_rows(folder / "items.parquet", rows(), examine.SCHEMA)
        return self.store.stage("examine", key)

    def audited(self, stack: str) -> dict[str, dict[Arm, Verdict]]:
        """What the ownership tests of a stack's defenses say of every suspect there is, by defense."""
        owners = [name for name, part in self.defenses(stack).items() if overrides(target(part), "audit")]
        if not owners:
            return {}
        arms = suspects(stack, int(self.config["measure"]["seeds"]), self.budget.checkpoints[-1])
        found: dict[str, dict[Arm, Verdict]] = {name: {} for name in owners}
        served: dict[str, Any] = {}
        for arm in arms:
            examined = self.examined_student(arm)
            if arm.name != "bare" and not self.kept(arm):
                continue  # the bare student once more
            key = self.audit_key(stack, arm)
            notes: dict[str, Any] = {}
            with self.store.building("audit", key, inputs=[examined.key], notes=notes) as folder:
                if folder is not None:
                    served = served or dict(zip(self.defenses(stack), self.served(stack)[0], strict=True))
                    model = self.student if arm.name == "bare" else self.distilled(arm)
                    for name in owners:
                        verdict = audit.audit(
                            served[name],
                            self.teacher,
                            model,
                            self.tasks,
                            self.count,
                            self.items(examined),
                            int(self.config["measure"]["wrong_keys"]),
                        )
                        notes[name] = asdict(verdict)
            for name, kept in self.store.stage("audit", key).manifest.notes.items():
                found[name][arm] = Verdict(**{**kept, "null": tuple(kept["null"])})
        return found

    def distilled(self, arm: Arm) -> LanguageModel:
        """The arm's student: loaded where it was trained before, the bare one where nothing was left to learn from."""
        folder = self.learnt(arm).folder
        if not (folder / "config.json").exists():
            return self.student
        like = {name: self.config["student"][name] for name in ("dtype", "device") if name in self.config["student"]}
        return models.load(str(folder), **like)

    def learnt(self, arm: Arm) -> Stage:
        """An arm's training."""
        key = self.distill_key(arm)
        notes: dict[str, Any] = {}
        with self.store.building("distill", key, config={"arm": vars(arm)}, notes=notes) as folder:
            if folder is not None:
                rows = self.examples(arm)
                notes["rows"] = len(rows)
                if self.goes_on(arm):
                    model = self._own_loop(arm, rows, folder, notes)
                else:
                    model = self._trained(arm, rows, self.objective_of(arm), notes) if rows else None
                if model is not None:
                    model.model.save_pretrained(folder)
                    model.tokenizer.save_pretrained(folder)
        return self.store.stage("distill", key)

    def _trained(
        self, arm: Arm, rows: Sequence[Example], objective: Mapping[str, Any], notes: dict[str, Any]
    ) -> LanguageModel:
        recipe = self.recipe_of(arm)
        if own_loop.is_discriminated(objective):
            student = self._trained(arm, rows, self.config["control_objective"], notes)
            options = {"seed": arm.seed, "rollouts": own_loop.ROLLOUTS, **self.own_completions(arm)}
            model, losses = self.parts.train_adversarially(student, rows, build(objective), recipe, **options)
            notes["discriminator_loss"] = [losses[0], losses[-1]]
            return cast(LanguageModel, model)
        kept = {"seed": arm.seed, "same_tokenizer": self.same_tokenizer}
        model, losses = self.parts.train(self.student, rows, build(objective), recipe, **kept)
        notes |= {"steps": recipe.steps, "loss": [losses[0], losses[-1]]}
        return cast(LanguageModel, model)

    def _own_loop(self, arm: Arm, rows: Sequence[Example], folder: Path, notes: dict[str, Any]) -> LanguageModel | None:
        """A student that begins with the rows and goes on with what the rest of its ledger buys."""
        harvested, accounts = self.asked_for(arm), build(self.config["attack"]["accounts"])
        student = self._trained(arm, rows, self.config["control_objective"], notes) if rows else self.student
        budget = replace(self.budget, checkpoints=(arm.exchanges,))
        gateway = self.gateway(self.served(arm.stack)[0], budget, accounts)
        scores = own_loop.Scores(gateway, accounts, self.parts.call, harvested)
        trained, notes["own_loop"] = own_loop.own_loop(
            student,
            rows,
            scores,
            arm.exchanges - len(harvested),
            build(self.objective_of(arm)),
            self.recipe,
            self.parts.train_on_policy,
            seed=arm.seed,
            **self.own_completions(arm),
        )
        notes["spend"] = harvest.spend([*harvested, *scores.exchanges])
        transcript.write(folder / "scored.parquet", scores.exchanges)
        print(own_loop.told(arm.label, notes["own_loop"]), flush=True)
        return trained if rows or notes["own_loop"]["steps"] else None

    def asked_for(self, arm: Arm) -> list[Exchange]:
        """The harvested exchanges of an arm."""
        stage = self.store.stage("harvest", self.harvest_key(arm.stack or NONE))
        return transcript.read(stage.folder / "transcript.parquet")[: self.bought(arm)]

    def kept(self, arm: Arm) -> int:
        """How many training rows an arm had, harvested ones and scored ones."""
        stage = self.store.stage("distill", self.distill_key(arm))
        if not stage.complete:
            return len(self.examples(arm))
        notes = stage.manifest.notes
        return int(notes["rows"]) + int(notes.get("own_loop", {}).get("answered", 0))

    def examples(self, arm: Arm) -> list[Example]:
        """The training rows of an arm."""
        if arm.name == "format":
            return lessons.public(self.tasks, int(self.config["measure"]["public"]), self.seed)
        exchanges = self.asked_for(arm)
        if arm.name == "oracle":
            return lessons.oracle(exchanges, self.tasks, self.seed)
        if arm.name == "self":
            respond = self.parts.alone(self.student, seed=self.seed, batch_size=self.batch_size).respond
            return lessons.self_taught(exchanges, self.tasks, self.seed, respond, self.interface.sampling)
        rows = lessons.attacked(exchanges, self.attack(), self.workshop(arm.seed))
        return lessons.unrelated(rows, self.seed) if arm.name == "random" else rows

    def spend(self, stack: str, students: Sequence[Arm]) -> list[dict[str, Any]]:
        """What each checkpoint of an attack on a stack has cost, by ``checkpoint``: the harvest, or the mean over the
        students that went on spending."""
        rows: list[dict[str, Any]] = self.harvested(stack).manifest.notes["spend"]
        if not self.goes_on(Arm("attacked", stack)):
            return rows
        found = []
        for size in self.budget.checkpoints:
            arms = [arm for arm in students if (arm.name, arm.stack, arm.exchanges) == ("attacked", stack, size)]
            ledgers = [self.learnt(arm).manifest.notes["spend"] for arm in arms]
            if ledgers:
                mean = {name: round(fmean(ledger[name] for ledger in ledgers)) for name in ledgers[0]}
                found.append({"checkpoint": size, **mean})
        return found

    def items(self, stage: Stage) -> list[dict[str, Any]]:
        return read_rows(stage.folder / "items.parquet", examine.SCHEMA)

    def _described(self, stack: str) -> dict[str, Any]:
        names = ("teacher", "task", "interface", "attack", "budget", "harvest")
        return {name: self.config[name] for name in names} | {"defense": self.defenses(stack)}
