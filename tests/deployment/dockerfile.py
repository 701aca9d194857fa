"""The Dockerfile, read: its stages, and what the last one says to whoever runs it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_KNOWN = frozenset("CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK RUN STOPSIGNAL USER VOLUME WORKDIR".split())

PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Python's official image has."""


class Instruction(NamedTuple):
    """One of them: its name in capitals, and all that stands behind it on one line."""

    name: str
    value: str


@dataclass(slots=True)
class Stage:
    """From a FROM to the next one. `name` is what others call it, or its number."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def of(self, name: str) -> list[str]:
        """The values of all instructions of that name."""
        return [instruction.value for instruction in self.instructions if instruction.name == name]

    def words(self, name: str) -> list[str]:
        """Of the last one, which is written in JSON, so that no shell stands between: `ENTRYPOINT ["run"]`."""
        words: list[str] = json.loads(self.of(name)[-1])
        return words

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(" ".join(self.of("ENV")))

    @property
    def healthcheck(self) -> list[str]:
        """The command."""
        words: list[str] = json.loads(self.of("HEALTHCHECK")[-1].partition("CMD ")[2])
        return words


def environment_of(value: str) -> dict[str, str]:
    """Of an ENV: `NAME=value`, with spaces between."""
    pairs = (pair.split("=", 1) for pair in value.split())
    return {name: text.replace("$PATH", PATH) for name, text in pairs}


def read_stages(path: Path) -> list[Stage]:
    """In their order; `ValueError` for an instruction that nobody here knows."""
    stages: list[Stage] = []
    for name, value in read_instructions(path.read_text()):
        if name not in _KNOWN:
            raise ValueError(f"{path}: {name} is not understood")
        if name == "FROM":
            _, _, alias = value.partition(" AS ")
            stages.append(Stage(alias or str(len(stages))))
        else:
            stages[-1].instructions.append(Instruction(name, value))
    return stages


def read_instructions(text: str) -> list[Instruction]:
    """Without comments, and with continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in joined if line.strip()]
