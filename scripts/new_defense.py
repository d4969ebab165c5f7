"""Begin a defense of one's own: `python -m scripts.new_defense NAME` writes a class, its config and its test."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

from scripts.told import told
from spiritsafe.errors import UserError

TEMPLATES = Path(__file__).parent / "templates"
BUILT_IN = Path(__file__).parents[1] / "configs" / "defense"
FILES = {  # template: where it goes
    "defense.py.txt": "{name}.py",
    "defense.yaml.txt": "configs/defense/{name}.yaml",
    "test_defense.py.txt": "test_{name}.py",
}
NEXT = """Wrote {files}. Next, edit {module} and try

  python -m pytest {folder}
  export PYTHONPATH={folder}
  spiritsafe --config-dir {folder}/configs compare=[{name}]
  python -m scripts.benchmark --config-dir {folder}/configs defense=[{name}]"""


def checked(name: str, folder: Path) -> None:
    """UserError for a name or a folder that cannot be taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise UserError(f"{name!r} cannot name a defense: give a Python name in lower case, such as first_steps")
    if (BUILT_IN / f"{name}.yaml").exists():
        raise UserError(f"there is a defense {name} already: give another name")
    if folder.exists():
        raise UserError(f"there is something in {folder} already: give another name, or --folder")
    if find_spec(name) is not None:
        raise UserError(f"Python has a module {name} already: give another name")


def written(name: str, folder: Path) -> list[Path]:
    """The files of a new defense, each from its template."""
    title = name.replace("_", " ").capitalize()
    words = {"name": name, "title": title, "Class": name.title().replace("_", "")}
    paths = []
    for template, place in FILES.items():
        path = folder / place.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(words), encoding="utf-8"
        )
        paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("name", help="as in compare=[NAME]: a Python name in lower case")
    parser.add_argument("--folder", type=Path, help="where to write it (./NAME)")
    asked = parser.parse_args(arguments)
    folder = asked.folder or Path(asked.name)
    with told():
        checked(asked.name, folder)
        paths = written(asked.name, folder)
        print(NEXT.format(files=", ".join(map(str, paths)), module=paths[0], folder=folder, name=asked.name))


if __name__ == "__main__":
    main()
