"""What a language model is told: files with one section for each thing said to it."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixmo.errors import ResourceError, SettingsError
from pixmo.hashing import sha256_bytes
from pixmo.resources import shared

FOLDER = "prompts"
HEADING = re.compile(r"^# +(.+?) *$", re.MULTILINE)

Message = dict[str, str]


@dataclass(frozen=True)
class Section:
    """What a section of a prompt file is given."""

    takes: frozenset[str] = field(default_factory=frozenset)  # and may leave out
    needs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class PromptFile:
    """A prompt file, read and checked."""

    name: str
    sha256: str  # of the file's bytes: its version
    sections: dict[str, str]

    def say(self, section: str, **values: object) -> str:
        """A section with its values put in."""
        return string.Template(self.sections[section]).substitute(values)


def user_says(content: str) -> Message:
    """A message to the model."""
    return {"role": "user", "content": content}


def load(name: str, own: Path, sections: Mapping[str, Section], setting: str) -> PromptFile:
    """The prompt called `name`: from `prompts/` in the folder `own`, else the one that ships.

    `sections` are those that it has, in this order; `setting` is what names it, in messages.

    Raises:
        SettingsError: there is none, or it is not written as a prompt is.
    """
    path = find(f"{name}.md", own, sections, setting)
    data = path.read_bytes()
    try:
        _, *parts = HEADING.split(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: {error}") from error
    headings, texts = parts[::2], [text.strip() for text in parts[1::2]]
    if headings != list(sections) or not all(texts):
        raise SettingsError(
            f"{path} has the sections {', '.join(headings) or 'none'}; a prompt has, in this order"
            f" and none of them empty: {', '.join(f'# {section}' for section in sections)}"
        )
    found = dict(zip(headings, texts, strict=True))
    for section, text in found.items():
        check(section, text, sections[section], path)
    return PromptFile(name, sha256_bytes(data), found)


def find(file: str, own: Path, sections: Mapping[str, Section], setting: str) -> Path:
    """The prompt file in the workspace's own folder, else in the one that ships.

    Raises:
        SettingsError: it is in neither.
    """
    mine = own / FOLDER / file
    if mine.is_file():
        return mine
    try:
        return shared("pipelines", FOLDER, file)
    except ResourceError:
        there = sorted(
            path.stem
            for path in shared("pipelines", FOLDER).glob("*.md")
            if HEADING.findall(path.read_text("utf-8")) == list(sections)
        )
        raise SettingsError(
            f"{setting}: there is no {mine}, and none called {file} ships with pixmo;"
            f" there is {', '.join(there)}"
        ) from None


def check(section: str, text: str, given: Section, path: Path) -> None:
    """Nothing, if the section takes what it is given.

    Raises:
        SettingsError: a placeholder is unknown or missing, or a dollar sign stands alone.
    """
    template = string.Template(text)
    known = given.takes | given.needs
    if not template.is_valid():
        raise SettingsError(f"{path}: # {section}: a dollar sign is written $$")
    names = set(template.get_identifiers())
    if unknown := sorted(names - known):
        takes = ", ".join(f"${name}" for name in sorted(known)) or "nothing"
        raise SettingsError(f"{path}: # {section}: ${unknown[0]} is unknown; it takes {takes}")
    if missing := sorted(given.needs - names):
        raise SettingsError(f"{path}: # {section} does not say ${missing[0]}")
