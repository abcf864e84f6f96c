"""What annotators see, read from `annotation_ui/*.xml`: the controls whose answers can occur."""

import functools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.resources import shared

VARIABLE = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Control:
    """Something an annotator answers with; its name is unique across the configs."""

    subset: str  # the config's stem: ama, cap, points or questions
    name: str  # `from_name` in a result
    to_name: str
    type: str  # `type` in a result: keypoint, choices or textarea
    choices: frozenset[str]  # what a choice stores; empty for other types


@dataclass(frozen=True)
class Interface:
    """One labelling config."""

    subset: str
    controls: tuple[Control, ...]
    variables: frozenset[str]  # keys of the task's data that are shown


def read_interface(path: Path) -> Interface:
    """The controls and variables of one config.

    Raises:
        LabelError: the file is no XML.
    """
    return read_interface_text(path.read_text("utf-8"), path.stem, str(path))


def read_interface_text(text: str, subset: str, name: str) -> Interface:
    """As `read_interface`, of a config's text; `name` stands for it in an error."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise LabelError(f"{name} is not XML ({error}); mend the labelling config") from error
    values = [value for element in root.iter() for value in element.attrib.values()]
    variables = frozenset(name for value in values for name in VARIABLE.findall(value))
    return Interface(subset, tuple(find_controls(root, subset)), variables)


def find_controls(root: ElementTree.Element, subset: str) -> Iterator[Control]:
    """The elements that point `toName` another: those are the ones answered."""
    for element in root.iter():
        if "toName" not in element.attrib:
            continue
        choices = [choice.get("alias") or choice.get("value") for choice in element.iter("Choice")]
        yield Control(
            subset=subset,
            name=element.attrib["name"],
            to_name=element.attrib["toName"],
            type=element.tag.lower(),
            choices=frozenset(choice for choice in choices if choice),
        )


@functools.cache
def interfaces() -> dict[str, Interface]:
    """The configs that ship, by their subsets; `questions` is what `ama` begins with."""
    return {path.stem: read_interface(path) for path in configs()}


def configs() -> list[Path]:
    """The files of the configs whose annotations become rows."""
    return [*sorted(shared("annotation_ui").glob("*.xml")), config("questions")]


def config(subset: str) -> Path:
    """The file of a subset's config."""
    folder = ("ama",) if subset == "questions" else ()
    return shared("annotation_ui", *folder, f"{subset}.xml")


@functools.cache
def controls() -> dict[str, Control]:
    """Every control of every config, by its name."""
    return {
        control.name: control
        for interface in interfaces().values()
        for control in interface.controls
    }
