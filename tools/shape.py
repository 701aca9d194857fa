"""How long functions and files are, and how much of what is public states its contract.

    python -m tools.shape [--strict]

Counts the Python of the three distributions, by folder. A body is counted from its first line after the docstring to
its last. With `--strict`, exit 1 if the project is out of shape.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOTS = ("bot", "sandbox_worker/src/sandbox_worker", "local_discord/src/local_discord")
LONGEST_BODY_P90 = 15
LONGEST_FILE = 300
LEAST_DOCUMENTED = 0.80

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Shape:
    """Of one file, or of several together."""

    bodies: list[int] = field(default_factory=list)
    public: int = 0
    documented: int = 0
    long_files: list[str] = field(default_factory=list)

    def add(self, other: Shape) -> None:
        self.bodies += other.bodies
        self.public += other.public
        self.documented += other.documented
        self.long_files += other.long_files

    def percentile(self, share: float) -> int:
        """The length that this share of the bodies does not exceed, in lines; 0 without any."""
        ordered = sorted(self.bodies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0

    @property
    def share_documented(self) -> float:
        return self.documented / self.public if self.public else 1.0

    def faults(self) -> Iterator[str]:
        """A sentence for each rule that is broken."""
        if (p90 := self.percentile(0.9)) > LONGEST_BODY_P90:
            yield f"the 90th percentile of function bodies is {p90} lines; {LONGEST_BODY_P90} at most"
        if self.share_documented < LEAST_DOCUMENTED:
            yield f"{self.share_documented:.0%} of public definitions have a docstring; {LEAST_DOCUMENTED:.0%} at least"
        for file in self.long_files:
            yield f"{file}; {LONGEST_FILE} lines at most"


def measure(text: str, name: str) -> Shape:
    """Of the source of one file. What is defined inside a function is not public, whatever it is called."""
    tree, lines = ast.parse(text), text.count("\n")
    shape = Shape([_body(node) for node in ast.walk(tree) if isinstance(node, Function)])
    for definition in _public(tree.body):
        shape.public += 1
        shape.documented += ast.get_docstring(definition) is not None
    if lines > LONGEST_FILE:
        shape.long_files.append(f"{name} has {lines} lines")
    return shape


def _public(body: Sequence[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _body(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _by_folder(repository: Path) -> dict[str, Shape]:
    folders: dict[str, Shape] = {}
    for root in ROOTS:
        for path in sorted((repository / root).rglob("*.py")):
            inside = path.relative_to(repository / root).parts[:-1]
            folder = "/".join((Path(root).name, *inside[:1]))
            shape = measure(path.read_text(encoding="utf-8"), str(path.relative_to(repository)))
            folders.setdefault(folder, Shape()).add(shape)
    return folders


def _row(folder: str, shape: Shape) -> str:
    p50, p90, longest = shape.percentile(0.5), shape.percentile(0.9), max(shape.bodies, default=0)
    return f"{folder:<28}{len(shape.bodies):>10}{p50:>6}{p90:>6}{longest:>6}{shape.share_documented:>13.0%}\n"


def main() -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(description="Print how long functions and files are.")
    parser.add_argument("--strict", action="store_true", help="exit 1 if the project is out of shape")
    strict = parser.parse_args().strict
    total = Shape()
    sys.stdout.write(f"{'folder':<28}{'functions':>10}{'p50':>6}{'p90':>6}{'max':>6}{'documented':>13}\n")
    for folder, shape in _by_folder(Path(__file__).parents[1]).items():
        sys.stdout.write(_row(folder, shape))
        total.add(shape)
    sys.stdout.write(_row("all", total))
    faults = list(total.faults())
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if strict and faults else 0


if __name__ == "__main__":
    sys.exit(main())
