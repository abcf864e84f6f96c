"""Every error that a person can cause, as one tree.

    PixmoError
    ├── SettingsError      pixmo.toml or an option is wrong
    ├── WorkspaceError     a folder or table of the workspace cannot be used as asked
    ├── SchemaError        rows or files do not keep a schema's promise
    ├── ImageError         an image cannot be read
    ├── HeldOutError       evaluation data cannot be read
    ├── SpeechError        no recording, or no recogniser, can be used
    │   ├── AudioError     one recording cannot be decoded
    │   └── ModelError     the recogniser cannot be loaded
    ├── LanguageModelError a language model behind a server cannot be used
    ├── LabelError         a Label Studio export or config cannot be used
    │   └── ServerAwayError  Label Studio does not answer just now
    ├── RecipeError        a recipe or one of its SQL steps is wrong
    ├── ReleaseError       a release cannot be built, read or trusted
    ├── PublishError       a place cannot take a release, or cannot be read
    ├── TrainingError      a model cannot be trained or loaded
    ├── EvaluationError    answers, votes or a benchmark cannot be read, or are to other tasks
    ├── ExecutionError     a process that shared the work was killed
    └── ResourceError      a file that ships with pixmo is missing

A message says what happened, to which file or row, and what to do next, in one line. The command
line prints that line and exits with status 1; a traceback reaching a user is a bug.
"""


class PixmoError(Exception):
    """Something a person can put right; the message says how."""


class SettingsError(PixmoError):
    """A setting is unknown, of the wrong type or out of range."""


class WorkspaceError(PixmoError):
    """A workspace folder or table cannot be used as asked."""


class SchemaError(PixmoError):
    """Rows or files do not keep a schema's promise."""


class ImageError(PixmoError):
    """An image cannot be read."""


class HeldOutError(PixmoError):
    """Evaluation data cannot be read."""


class SpeechError(PixmoError):
    """No recording, or no recogniser, can be used."""


class AudioError(SpeechError):
    """One recording cannot be decoded."""


class ModelError(SpeechError):
    """The recogniser cannot be loaded."""


class LanguageModelError(PixmoError):
    """A language model behind a server cannot be used."""


class LabelError(PixmoError):
    """A Label Studio export or config cannot be used."""


class ServerAwayError(LabelError):
    """Label Studio does not answer just now; the same may work later."""


class RecipeError(PixmoError):
    """A recipe or one of its SQL steps is wrong."""


class ReleaseError(PixmoError):
    """A release cannot be built, read or trusted."""


class PublishError(PixmoError):
    """A place cannot take a release, or cannot be read."""


class TrainingError(PixmoError):
    """A model cannot be trained or loaded."""


class EvaluationError(PixmoError):
    """Answers, votes or a benchmark cannot be read, or are to other tasks."""


class ResourceError(PixmoError):
    """A file that ships with pixmo is missing."""


class ExecutionError(PixmoError):
    """A process that shared the work was killed."""
