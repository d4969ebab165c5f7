"""A digest of the code that a result depends on: comments, docstrings and formatting aside.

Dependencies are read from the source, so code found at run time by a computed name is not seen. Libraries do not
count here; the manifest records their versions.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from spiritsafe.errors import UserError

OURS = frozenset({"spiritsafe", "teacher", "student", "attacks", "defenses"})
LIBRARIES = frozenset({"datasets", "hydra", "numpy", "pandas", "peft", "scipy", "sklearn", "torch", "transformers"})


class Import(NamedTuple):
    """``from module import name``, or all of a module."""

    module: str
    name: str | None = None


def code_digest(*components: object) -> str:
    """Digest of the modules that define the components and, transitively, of those of ours that they import.

    A component is a class, function, module, instance, ``functools.partial`` or a dotted name as in ``_target_``.
    Ours are the packages of this repository, the component's own top-level package, and what lies outside the
    installed libraries. A name imported from a package counts as the module its ``__init__`` takes it from.
    """
    pending = [_origin(component) for component in components]
    own = OURS | {module.partition(".")[0] for module, _ in pending}
    for component, (module, _) in zip(components, pending, strict=True):
        if _counts(module.partition(".")[0], own) and not _source(module):
            raise UserError(f"cannot read the code of {component!r}: define it in a file that can be imported")
    seen = set(pending)
    digests = {module: "" for module, _ in pending}
    while pending:
        module, name = pending.pop()
        if not _counts(module.partition(".")[0], own):
            continue
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            if source := _source(".".join(parts[:depth])):
                digests[source.module] = source.digest
        if source := _source(module):
            found = set(source.leads_to(name)) - seen
            seen |= found
            pending += found
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class _Source:
    """One module: a digest of its normalised code, and what each name it imports stands for."""

    module: str
    is_package: bool
    digest: str
    imports: tuple[tuple[str, Import], ...]

    def leads_to(self, name: str | None) -> list[Import]:
        """What someone depends on who takes ``name`` from here."""
        if name and self.is_package:
            if taken := [wanted for bound, wanted in self.imports if bound == name]:
                return taken
            if _find(f"{self.module}.{name}"):
                return [Import(f"{self.module}.{name}")]
        return [wanted for _, wanted in self.imports]


def _origin(component: object) -> Import:
    if isinstance(component, str):
        parts = component.split(".")
        for depth in range(len(parts), 0, -1):
            if all(parts) and _find(".".join(parts[:depth])):
                return Import(".".join(parts[:depth]), parts[depth] if depth < len(parts) else None)
        raise UserError(
            f"cannot find the code of {component!r}: is it spelled right, and its package installed? "
            "A module in a folder of yours is found with PYTHONPATH=<folder>"
        )
    if isinstance(component, ModuleType):
        return Import(component.__name__)
    if isinstance(component, functools.partial):
        return _origin(component.func)
    defined = component if hasattr(component, "__qualname__") else type(component)
    return Import(defined.__module__)


def _counts(package: str, own: frozenset[str]) -> bool:
    if package in OURS:
        return True
    if package in sys.stdlib_module_names or package in LIBRARIES:
        return False
    if package in own:
        return True
    spec = _find(package)
    places = [spec.origin or "", *(spec.submodule_search_locations or [])] if spec else []
    return bool(places) and not any({"site-packages", "dist-packages"} & set(Path(place).parts) for place in places)


def _find(module: str) -> ModuleSpec | None:
    """Where a module is, without running its packages."""
    package, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a script run as __main__
        origin = getattr(sys.modules[package], "__file__", None)
        spec = importlib.util.spec_from_file_location(package, origin) if origin else None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec


def _source(module: str) -> _Source | None:
    spec = _find(module)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    stat = Path(spec.origin).stat()
    is_package = spec.submodule_search_locations is not None
    return _parse(spec.name, is_package, spec.origin, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _parse(module: str, is_package: bool, path: str, modified: int, size: int) -> _Source:
    content = Path(path).read_bytes()
    if not path.endswith(".py"):  # compiled
        return _Source(module, is_package, hashlib.sha256(content).hexdigest(), ())
    tree = _Normaliser().visit(ast.parse(content, path))
    package = module if is_package else module.rpartition(".")[0]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Source(module, is_package, digest, tuple(_imports(tree, package)))


def _imports(tree: ast.AST, package: str) -> Iterator[tuple[str, Import]]:
    """Each import of a module, also inside functions, with the name it binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, Import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield alias.asname or alias.name, Import(base, None if alias.name == "*" else alias.name)


class _Normaliser(ast.NodeTransformer):
    """Drops what does nothing when the code runs."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"} else node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        return None if names & {"__all__", "__version__"} else node
