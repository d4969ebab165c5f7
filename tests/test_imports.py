"""The house's import rules: spiritsafe <- {teacher, student, attacks, defenses} <- scripts."""

import ast
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIDES = {"teacher", "student", "attacks", "defenses"}
MAY_IMPORT = {"spiritsafe": set(), **{side: {"spiritsafe"} for side in SIDES}, "scripts": {"spiritsafe", *SIDES}}
MAY_IMPORT["configs"] = set()
CONTRACTS = ["errors", "exchange", "account", "budget", "interface", "task", "attack", "defense", "objective", "models"]


def imported(path: Path, package: str) -> set[str]:
    """Top-level packages that a file imports anywhere, type checking included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(resolve_name("." * node.level + (node.module or ""), package))
    return {name.partition(".")[0] for name in names}


def broken(root: Path) -> list[str]:
    """Imports of our packages that go against the rules, as ``file: package``."""
    return [
        f"{path.relative_to(root)}: {name}"
        for package, allowed in MAY_IMPORT.items()
        for path in sorted((root / package).rglob("*.py"))
        for name in imported(path, ".".join(path.relative_to(root).parent.parts))
        if name in MAY_IMPORT.keys() - allowed - {package}
    ]


def test_imports_run_one_way() -> None:
    assert all((ROOT / package / "__init__.py").exists() for package in MAY_IMPORT)
    assert broken(ROOT) == []


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("spiritsafe/task.py", "import teacher.sampler"),
        ("spiritsafe/tasks/deep.py", "def f():\n    from defenses.none import Nothing"),
        ("attacks/pool.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import defenses"),
        ("student/loop.py", "import scripts.run as run"),
    ],
)
def test_a_broken_rule_is_seen(tmp_path: Path, file: str, code: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(code)
    assert [line.partition(":")[0] for line in broken(tmp_path)] == [file]


def test_what_is_allowed_is_not_blamed(tmp_path: Path) -> None:
    for file, code in {
        "spiritsafe/task.py": "from . import errors\nfrom spiritsafe.errors import UserError\nimport torch",
        "teacher/gateway.py": "from spiritsafe.errors import UserError\nfrom .sampler import sample",
        "scripts/run.py": "import spiritsafe, teacher, student, attacks, defenses",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(code)
    assert broken(tmp_path) == []


def test_contracts_and_store_are_torch_light() -> None:
    """Importing them costs no second of start-up and works where only results are read."""
    store = sorted(path.stem for path in (ROOT / "spiritsafe" / "store").glob("*.py") if path.stem != "__init__")
    modules = [f"spiritsafe.{name}" for name in CONTRACTS] + [f"spiritsafe.store.{name}" for name in store]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'transformers', 'datasets', 'accelerate'} & sys.modules.keys()\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
    )
    run = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
