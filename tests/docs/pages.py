"""The commands that a page gives: every line of its shell blocks, and what it quotes that begins like one."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = ("", "bash", "console", "sh")  # how a block of commands is opened
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`((?:spiritsafe|python\s-m|pip|make)\s[^`]+)`")
HEREDOC = re.compile(r"<<'(\w+)'")


@dataclass(frozen=True)
class Command:
    """``line`` as it stands on the page, a here-document with it; ``words`` as a shell splits it."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        return shlex.split(HEREDOC.split(self.line)[0], comments=True)

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)[:90]}"


def commands() -> list[Command]:
    """Of all pages in their order; one that several pages give, once."""
    found: dict[str, Command] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = [line for kind, block in FENCED.findall(text) if kind in SHELL for line in _lines(block)]
        quoted = [" ".join(span.split()) for span in QUOTED.findall(FENCED.sub("", text))]
        for line in blocks + quoted:
            command = Command(page.stem, line)
            if command.words:
                found.setdefault(" ".join(command.words) + line.partition("\n")[2], command)
    return list(found.values())


def _lines(block: str) -> Iterator[str]:
    """Lines that go on after a backslash are one, and so is a here-document with its text."""
    rest = iter(block.replace("\\\n", " ").splitlines())
    for line in rest:
        if ends := HEREDOC.search(line):
            more = []
            while (text := next(rest)) != ends[1]:
                more.append(text)
            line = "\n".join([line, *more, ends[1]])
        yield line.removeprefix("$ ")
