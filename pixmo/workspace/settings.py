"""`pixmo.toml`: every setting of a workspace, with its default and its reason."""

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pixmo.errors import SettingsError

FILE_NAME = "pixmo.toml"


@dataclass(frozen=True)
class DatasetSettings:
    """`[dataset]`: what a release says of itself."""

    title: str = "A pixmo dataset"
    homepage: str = ""


@dataclass(frozen=True)
class SpeechSettings:
    """`[speech]`: what turns recordings into transcripts."""

    model: str = "turbo"  # a name openai-whisper knows, or the path of a checkpoint
    language: str = "en"  # ISO 639-1; recordings of one release are in one language
    device: str = "auto"  # auto, cpu, cuda


@dataclass(frozen=True)
class ProbeSettings:
    """`[probe]`: the small model that `validate --train-probe` trains."""

    AT_LEAST: ClassVar = {"steps": 1, "seed": 0}

    steps: int = 700  # optimiser steps of the release's run and of its control's
    seed: int = 0


@dataclass(frozen=True)
class Settings:
    """Every setting of a workspace."""

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)


def load(workspace: Path) -> Settings:
    """The settings in the workspace's `pixmo.toml`; the defaults where there is none.

    Raises:
        SettingsError: the file is not TOML, or holds an unknown key or a value of another type.
    """
    path = workspace / FILE_NAME
    if not path.exists():
        return Settings()
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    sections = {section.name: section for section in dataclasses.fields(Settings)}
    values = {}
    for name, content in data.items():
        known(name, list(sections), f"{path}: section")
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: {name} is a section; write [{name}]")
        values[name] = read_section(sections[name].default_factory, content, f"{path}: [{name}]")
    return Settings(**values)


def read_section(factory: Any, content: dict[str, Any], where: str) -> Any:
    """The section that `factory` makes, with the values of `content`."""
    kinds = {option.name: option.type for option in dataclasses.fields(factory)}
    for name, value in content.items():
        known(name, list(kinds), f"{where} key")
        if type(value) is not kinds[name]:
            kind = getattr(kinds[name], "__name__", kinds[name])
            raise SettingsError(f"{where} {name} = {value!r} is not of type {kind}")
    section = factory(**content)
    for name, low in getattr(factory, "AT_LEAST", {}).items():
        if getattr(section, name) < low:
            raise SettingsError(f"{where} {name} = {getattr(section, name)}: at least {low}")
    return section


def known(name: str, names: list[str], what: str) -> None:
    """Nothing, if `name` is one of `names`; else an error that names the nearest."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
        raise SettingsError(f"{what} {name} is unknown; {hint}")


def template() -> str:
    """A commented `pixmo.toml` with every setting at its default."""
    return """\
# Settings of a pixmo workspace. Every line is optional; what stands here is the default.

[dataset]
title = "A pixmo dataset"   # the heading of a release's card
homepage = ""               # where people find out more

[speech]
model = "turbo"             # an openai-whisper name (downloaded once), or the path of a checkpoint
language = "en"             # ISO 639-1
device = "auto"             # auto, cpu, cuda

[probe]
steps = 700                 # optimiser steps of `pixmo validate --train-probe`
seed = 0
"""
