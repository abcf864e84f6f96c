"""The command line; help lists the commands in the order of these modules."""

from pixmo.cli import (
    collect,
    label,
    look,
    model,
    preference,
    provenance,
    publish,
    recipes,
    record,
    release,
    train,
    validate,
    withdraw,
)

__all__ = [
    "collect",
    "label",
    "look",
    "model",
    "preference",
    "provenance",
    "publish",
    "recipes",
    "record",
    "release",
    "train",
    "validate",
    "withdraw",
]
