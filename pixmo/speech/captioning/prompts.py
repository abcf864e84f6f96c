"""Prompts of the language-model writer: files with one section for each thing said to the model."""

import json
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixmo.errors import ResourceError, SettingsError
from pixmo.hashing import sha256_bytes
from pixmo.resources import shared

FOLDER = "prompts"
HEADING = re.compile(r"^# +(.+?) *$", re.MULTILINE)
# Each section of a prompt file, with what it may and must be given.
SECTIONS: dict[str, frozenset[str]] = {
    "System": frozenset(),
    "Transcripts": frozenset(("transcripts", "count")),
    "Malformed": frozenset(),
    "Unsupported": frozenset(("unsupported",)),
    "Left out": frozenset(("lost",)),
}
REQUIRED = {"Transcripts": "transcripts", "Unsupported": "unsupported", "Left out": "lost"}

Message = dict[str, str]


@dataclass(frozen=True)
class Prompt:
    """A prompt file, read and checked."""

    name: str
    sha256: str  # of the file's bytes: its version
    sections: dict[str, str]

    def opening(self, transcripts: Sequence[str]) -> list[Message]:
        """What the model is told first: its task, and the transcripts as JSON."""
        # A transcript cannot end the block it stands in: it has no `<` of its own.
        data = json.dumps(list(transcripts), ensure_ascii=False, indent=0).replace("<", "\\u003c")
        user = self.say("Transcripts", transcripts=data, count=len(transcripts))
        return [{"role": "system", "content": self.say("System")}, user_says(user)]

    def malformed(self) -> Message:
        """What the model is told after an answer that is not the JSON object asked for."""
        return user_says(self.say("Malformed"))

    def unsupported(self, words: Sequence[str]) -> Message:
        """What the model is told after a caption that says more than the transcripts."""
        return user_says(self.say("Unsupported", unsupported=", ".join(words)))

    def left_out(self, words: Sequence[str]) -> Message:
        """What the model is told after a caption that says too little of the transcripts."""
        return user_says(self.say("Left out", lost=", ".join(words)))

    def say(self, section: str, **values: object) -> str:
        """A section with its values put in."""
        return string.Template(self.sections[section]).substitute(values)


def user_says(content: str) -> Message:
    """A message to the model."""
    return {"role": "user", "content": content}


def load(name: str, own: Path) -> Prompt:
    """The prompt called `name`: from `prompts/` in the folder `own`, else the one that ships.

    Raises:
        SettingsError: there is none, or it is not written as a prompt is.
    """
    path = find(f"{name}.md", own)
    data = path.read_bytes()
    try:
        _, *parts = HEADING.split(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: {error}") from error
    headings, texts = parts[::2], [text.strip() for text in parts[1::2]]
    if headings != list(SECTIONS) or not all(texts):
        raise SettingsError(
            f"{path} has the sections {', '.join(headings) or 'none'}; a prompt has, in this order"
            f" and none of them empty: {', '.join(f'# {section}' for section in SECTIONS)}"
        )
    sections = dict(zip(headings, texts, strict=True))
    for section, text in sections.items():
        check(section, text, path)
    return Prompt(name, sha256_bytes(data), sections)


def find(file: str, own: Path) -> Path:
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
        there = sorted(path.stem for path in shared("pipelines", FOLDER).glob("*.md"))
        raise SettingsError(
            f"[caption] prompt: there is no {mine}, and none called {file} ships with pixmo;"
            f" there is {', '.join(there)}"
        ) from None


def check(section: str, text: str, path: Path) -> None:
    """Nothing, if the section takes what it is given.

    Raises:
        SettingsError: a placeholder is unknown or missing, or a dollar sign stands alone.
    """
    template = string.Template(text)
    known = SECTIONS[section]
    if not template.is_valid():
        raise SettingsError(f"{path}: # {section}: a dollar sign is written $$")
    names = set(template.get_identifiers())
    if unknown := sorted(names - known):
        takes = ", ".join(f"${name}" for name in sorted(known)) or "nothing"
        raise SettingsError(f"{path}: # {section}: ${unknown[0]} is unknown; it takes {takes}")
    if (required := REQUIRED.get(section)) and required not in names:
        raise SettingsError(f"{path}: # {section} does not say ${required}")
