"""Reads a Dockerfile as far as tests need it: its stages, and what stands in each."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """One stage: the image or stage that it begins with, and its instructions in order, such as ("COPY", "a b")."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [text for name, text in self.instructions if name == keyword]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [part.partition("=") for text in self.all("ENV") for part in shlex.split(text)]
        return {name: value for name, _, value in pairs}

    @property
    def ports(self) -> set[int]:
        return {int(port) for text in self.all("EXPOSE") for port in text.split()}

    def command(self, keyword: str) -> list[str]:
        """ENTRYPOINT or CMD, in its JSON form."""
        found: list[str] = json.loads(self.all(keyword)[-1])
        return found


def read_dockerfile(path: Path = ROOT / "Dockerfile") -> dict[str, Stage]:
    """The stages by name, their base images with the arguments' defaults put in."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in lines:
        keyword, _, rest = line.partition(" ")
        if keyword == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            known = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base)
            stages[name] = Stage(name, known)
        else:
            list(stages.values())[-1].instructions.append((keyword, rest.strip()))
    return stages
