"""The prompt of the language-model writer: what the model is told of an image's transcripts."""

import json
from collections.abc import Sequence
from pathlib import Path

from pixmo.language_models import prompt_files
from pixmo.language_models.prompt_files import Message, PromptFile, Section, user_says

SECTIONS = {
    "System": Section(),
    "Transcripts": Section(takes=frozenset(["count"]), needs=frozenset(["transcripts"])),
    "Malformed": Section(),
    "Unsupported": Section(needs=frozenset(["unsupported"])),
    "Left out": Section(needs=frozenset(["lost"])),
}


class Prompt(PromptFile):
    """The writer's prompt file."""

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


def load(name: str, own: Path) -> Prompt:
    """The prompt called `name`: from `prompts/` in the folder `own`, else the one that ships.

    Raises:
        SettingsError: there is none, or it is not written as a prompt is.
    """
    found = prompt_files.load(name, own, SECTIONS, "[caption] prompt")
    return Prompt(found.name, found.sha256, found.sections)
