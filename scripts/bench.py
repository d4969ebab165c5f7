"""What is faster than transformers and by how much, measured side by side in one run: `python -m scripts.bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import transformers

from scripts.bench_campaign import SCALES, campaign
from scripts.bench_defenses import defended
from scripts.bench_demo import demo
from scripts.bench_real_size import real_size
from scripts.bench_rounds import compare
from scripts.bench_serving import defended_sides, load, plain_sides, traces
from scripts.bench_sweep import AXES, sweep
from scripts.bench_training import training_sides
from scripts.build_reference import teacher_lessons
from scripts.told import told
from spiritsafe import models
from spiritsafe.errors import UserError
from student.training import Recipe

PARTS = ("serving", "antidistillation", "defenses", "training", "detectors", "campaign", "sweep", "demo", "real-size")


def hardware() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def reference(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """One of the parts that run the reference models, on the CPU, in float32."""
    teacher, student = (models.load(path, device="cpu") for path in (options.teacher, options.student))
    sizes = {"teacher": teacher.model.num_parameters(), "student": student.model.num_parameters()}
    served = (
        f"{options.requests} requests, batches of {options.batch}, float32, teacher of {sizes['teacher']:,} weights"
    )
    if part == "serving":
        title, target = f"serving: {served}", 3.0
        sides = plain_sides(teacher, load(options.requests), options.batch)
    elif part == "antidistillation":
        title, target = f"serving with antidistillation: {served}, proxy of {sizes['student']:,}", 2.0
        sides = defended_sides(teacher, student, load(options.requests), options.batch, options.strength, traces(64))
    elif part == "defenses":
        found = defended(teacher, student, load(options.requests), options.batch, options.rounds, traces(64))
        return {"weights": sizes, "dtype": "float32", **found}
    else:
        title = f"training: {options.rows} rows, {options.epochs} epochs, 64 rows a step, float32, {sizes['student']:,}"
        target = 2.0
        recipe = Recipe(options.rows * options.epochs // 64, 4e-3, warmup=0.05, betas=(0.9, 0.98))
        sides = training_sides(student, list(islice(teacher_lessons(0), options.rows)), options.epochs, recipe)
    return {"weights": sizes, "dtype": "float32", **compare(title, sides, options.rounds, target)}


def bench(options: argparse.Namespace) -> dict[str, Any]:
    results: dict[str, Any] = {"hardware": hardware(), "options": {k: str(v) for k, v in vars(options).items()}}
    print(", ".join(f"{name} {value}" for name, value in results["hardware"].items()))
    for part in options.only:
        if part == "demo":
            if not options.skip_demo:
                results[part] = demo(options.demo_overrides, options.changed)
        elif part == "detectors":
            from scripts.bench_detectors import detectors  # its plain sides need the dev extra

            results[part] = detectors(options.detector_rows, options.rounds)
        elif part == "campaign":
            results[part] = campaign(options.campaign_scales, options.campaign_overrides)
        elif part == "sweep":
            results[part] = sweep(options.sweep_axes, options.sweep_overrides, options.sweep_alone)
        elif part != "real-size":
            results[part] = reference(part, options)
        elif torch.cuda.is_available():
            results[part] = real_size(options.batch, options.rounds)
        else:
            print("\nreal size: skipped, no GPU is available to torch")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten to {options.out}")
    return results


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the parts to run")
    parser.add_argument("--skip-demo", action="store_true", help="leave out the demo, the longest part")
    parser.add_argument("--teacher", default="pkg://teacher/reference", help="folder or pkg:// path")
    parser.add_argument("--student", default="pkg://student/reference/base-small", help="it is also the proxy")
    parser.add_argument("--rounds", type=int, default=5, help="each runs every side once")
    parser.add_argument("--requests", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=256, help="rows decoded together")
    parser.add_argument("--strength", type=float, default=10.0, help="of antidistillation")
    parser.add_argument("--rows", type=int, default=1024, help="examples to train on: 64 times a power of 2")
    parser.add_argument("--epochs", type=int, default=4, help="over the examples")
    parser.add_argument("--detector-rows", type=int, default=131_072, help="of traffic, for each detector")
    parser.add_argument(
        "--campaign-scales", type=float, nargs="+", default=SCALES, help="1 is full; all below it are for the fit"
    )
    parser.add_argument("--campaign-overrides", nargs="*", default=[], help="more overrides for the campaign")
    parser.add_argument("--sweep-axes", nargs="+", default=AXES, help="what the sweep varies, each as name=a,b")
    parser.add_argument("--sweep-overrides", nargs="*", default=[], help="more overrides for its runs")
    parser.add_argument("--sweep-alone", type=int, help="runs done alone too, which stand for the others; else all")
    parser.add_argument("--demo-overrides", nargs="*", default=[], help="more overrides for the demo")
    parser.add_argument("--changed", default="measure.items=100", help="the demo's change of the evaluation")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"))
    options = parser.parse_args(arguments)
    if min(options.rounds, options.batch, options.epochs) < 1 or options.requests < 4:
        raise UserError("--rounds, --batch and --epochs must be 1 or more and --requests 4 or more")
    if options.detector_rows < 4096:
        raise UserError(f"--detector-rows={options.detector_rows} must be 4096 or more: windows must fill")
    if min(options.campaign_scales) <= 0 or len(set(options.campaign_scales)) < len(options.campaign_scales):
        raise UserError("--campaign-scales must be above 0, and each another")
    if options.sweep_alone is not None and options.sweep_alone < 1:
        raise UserError(f"--sweep-alone={options.sweep_alone} must be 1 or more")
    if wrong := [axis for axis in options.sweep_axes if "=" not in axis]:
        raise UserError(f"--sweep-axes {wrong[0]} names no values: give it as name=a,b")
    if options.rows % 64 or (options.rows // 64).bit_count() != 1:
        raise UserError(f"--rows={options.rows} must be 64, 128, 256, ...: all sides then read whole epochs")
    return options


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with told():
        bench(parse())


if __name__ == "__main__":
    main()
