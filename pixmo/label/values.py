"""Single values of a task or an annotation, each of the right kind or refused."""

import math
import re
from dataclasses import dataclass
from typing import Any, TypeGuard

SHA256 = re.compile(r"[0-9a-f]{64}")

Json = dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    """Why an annotation is no row."""

    reason: str  # the same words for the same kind of fault
    detail: str = ""


class Refused(Exception):  # noqa: N818 - not an error: a verdict on its way out of a deep call
    """Carries a refusal from where it is found to `parse`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, detail)


def image_of(data: Json) -> str:
    """The image that a task is about."""
    sha256 = data.get("image_sha256")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise Refused("task names no image", f"image_sha256 is {brief(sha256)}")
    return sha256


def text_of(data: Json, key: str) -> str:
    """A text in the task's data."""
    text = data.get(key)
    if not is_text(text) or not text.strip():
        raise Refused(f"task names no {key.replace('_', ' ')}", f"{key} is {brief(text)}")
    return text


def annotator_of(user: object) -> str:
    """A stable name for a Label Studio user: a number in exports, an object elsewhere."""
    email = None
    if isinstance(user, dict):
        email = user.get("email")
        user = user.get("id")
    if isinstance(user, int) and not isinstance(user, bool):
        return f"annotator-{user}"
    if is_text(email) and email.strip():
        return email
    raise Refused("no annotator", f"completed_by is {brief(user)}")


def lead_time_of(seconds: object) -> float | None:
    """Label Studio's estimate of the time spent; it need not have one."""
    if seconds is None:
        return None
    number = as_number(seconds)
    if number is None:
        raise Refused("malformed annotation", f"lead_time is {brief(seconds)}")
    return number


def as_number(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_text(value: object) -> TypeGuard[str]:
    """Whether `value` is text that can be written in UTF-8; JSON can name half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def brief(value: object, characters: int = 60) -> str:
    """`value` in a few printable characters."""
    text = ascii(value)
    return text if len(text) <= characters else text[: characters - 1] + "…"
