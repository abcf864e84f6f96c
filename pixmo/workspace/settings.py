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
    contact: str = ""  # who answers questions, and takes requests to withdraw


@dataclass(frozen=True)
class SpeechSettings:
    """`[speech]`: what turns recordings into transcripts."""

    NOT_EMPTY: ClassVar = ("model", "language", "device")
    ONE_OF: ClassVar = {"engine": ("pixmo", "faster-whisper")}
    AT_LEAST: ClassVar = {"batch": 0}

    model: str = "turbo"  # a name openai-whisper knows, or the path of a checkpoint
    language: str = "en"  # ISO 639-1; recordings of one release are in one language
    device: str = "auto"  # auto, cpu, cuda
    engine: str = "pixmo"  # pixmo: Whisper in batches; faster-whisper: CTranslate2, an extra
    batch: int = 0  # windows of 30 s heard at once; 0: as many as fit
    word_times: bool = False  # when each word was said, too; slower


@dataclass(frozen=True)
class RecordSettings:
    """`[record]`: the page on which annotators speak."""

    AT_LEAST: ClassVar = {"min_seconds": 1, "max_seconds": 1, "recordings_per_image": 1}
    URLS: ClassVar = ("public_url",)

    consent: str = ""  # a text file in the workspace; empty: the one that ships
    questions: str = ""  # a text file in the workspace, a question a line; empty: likewise
    min_seconds: float = 60.0
    max_seconds: float = 90.0
    recordings_per_image: int = 3  # by as many annotators
    public_url: str = ""  # where annotators reach it, of a server behind a proxy


@dataclass(frozen=True)
class CaptionSettings:
    """`[caption]`: what turns transcripts into captions."""

    NOT_EMPTY: ClassVar = ("base_url", "prompt")
    ONE_OF: ClassVar = {"writer": ("cleaner", "language-model")}
    AT_LEAST: ClassVar = {
        "temperature": -1,
        "max_tokens": 1,
        "seed": -1,
        "concurrency": 1,
        "timeout_seconds": 1,
        "input_price": 0,
        "output_price": 0,
        "max_unsupported_share": 0,
        "max_lost_share": 0,
    }

    writer: str = "cleaner"  # cleaner: offline; language-model: the server at base_url
    base_url: str = "http://localhost:8000/v1"  # where vLLM listens unless told otherwise
    model: str = ""  # as the server calls it
    prompt: str = "caption"  # pipelines/prompts/<prompt>.md, the workspace's own first
    temperature: float = 0.0  # -1: not sent, for models that take only their own
    max_tokens: int = 1024  # of an answer
    seed: int = 0  # -1: not sent
    concurrency: int = 8  # requests at a time
    timeout_seconds: float = 120.0  # for one answer
    input_price: float = 0.0  # of a million tokens, in any currency; 0: unknown
    output_price: float = 0.0
    max_unsupported_share: float = 0.2  # of a caption's words; above it the model is asked again
    max_lost_share: float = 0.5  # of what the transcripts say; above it, likewise


@dataclass(frozen=True)
class LabelStudioSettings:
    """`[label_studio]`: the server with the annotators, and how it gets the images."""

    NOT_EMPTY: ClassVar = ("url",)
    URLS: ClassVar = ("url", "s3_endpoint")
    ONE_OF: ClassVar = {"images": ("local-files", "s3", "url")}

    url: str = "http://localhost:8080"
    images: str = "local-files"  # the server's own files; s3: a bucket; url: each's image_url
    document_root: str = ""  # the server's; empty: label-studio/ in this workspace
    bucket: str = ""  # for s3: s3://bucket/prefix; keys come from AWS_ACCESS_KEY_ID and the like
    s3_endpoint: str = ""  # of another store than Amazon's


@dataclass(frozen=True)
class AnswerSettings:
    """`[answer]`: the language model that answers people's questions, from words alone."""

    NOT_EMPTY: ClassVar = ("base_url", "prompt")
    AT_LEAST: ClassVar = {
        "max_rounds": 1,
        "temperature": -1,
        "max_tokens": 1,
        "concurrency": 1,
        "timeout_seconds": 1,
    }

    base_url: str = "http://localhost:8000/v1"
    model: str = ""  # as the server calls it
    prompt: str = "ama"  # pipelines/prompts/<prompt>.md, the workspace's own first
    max_rounds: int = 3  # answers to one question, until it is given up
    temperature: float = 0.0  # -1: not sent, for models that take only their own
    max_tokens: int = 512  # of an answer
    concurrency: int = 8  # requests at a time
    timeout_seconds: float = 120.0  # for one answer


@dataclass(frozen=True)
class CurateSettings:
    """`[curate]`: what judging rows may use."""

    AT_LEAST: ClassVar = {"memory_limit_gb": 0.5, "cache_gb": 0}

    memory_limit_gb: float = 4.0  # of DuckDB; what does not fit goes to the disk
    cache_gb: float = 20.0  # of results kept for the next build or try, in .cache/curate

    @property
    def cache_bytes(self) -> int:
        """What may be kept."""
        return int(self.cache_gb * 1e9)


@dataclass(frozen=True)
class ReleaseSettings:
    """`[release]`: what a release holds of people's voices and of other people's images."""

    ONE_OF: ClassVar = {"thumbnails": ("all", "free")}

    audio: bool = False  # a few recordings in report.html; a voice tells who spoke
    thumbnails: str = "all"  # in report.html; free: only of images that may travel
    # Those under which a copy may be given on. An image without a source URL travels anyhow.
    free_licenses: str = (
        "CC0-1.0 CC-PDM-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0"
        " CC-BY-SA-2.0 CC-BY-SA-3.0 CC-BY-SA-4.0"
    )


@dataclass(frozen=True)
class ProbeSettings:
    """`[probe]`: the small model that `validate --train-probe` trains."""

    AT_LEAST: ClassVar = {"steps": 1, "seed": 0}

    steps: int = 1100  # optimiser steps of each of the three runs
    seed: int = 0


@dataclass(frozen=True)
class EvaluateSettings:
    """`[evaluate]`: how `pixmo evaluate` asks a server, and the judge of captions."""

    NOT_EMPTY: ClassVar = ("prompt", "judge_base_url", "judge_prompt")
    AT_LEAST: ClassVar = {
        "longest_side": 32,
        "temperature": -1,
        "max_tokens": 1,
        "concurrency": 1,
        "timeout_seconds": 1,
        "judge_temperature": -1,
        "judge_max_tokens": 1,
    }

    prompt: str = "answer"  # pipelines/prompts/<prompt>.md, the workspace's own first
    longest_side: int = 1536  # pixels; a larger image is sent smaller
    temperature: float = 0.0  # -1: not sent, for models that take only their own
    max_tokens: int = 1024  # of an answer
    concurrency: int = 8  # requests at a time, of the judge, too
    timeout_seconds: float = 120.0  # for one answer, of the judge, too
    judge_base_url: str = "http://localhost:8000/v1"
    judge_model: str = ""  # as the server calls it
    judge_prompt: str = "judge"  # pipelines/prompts/<judge_prompt>.md
    judge_temperature: float = 0.0  # -1: not sent
    judge_max_tokens: int = 4096  # of a reply


@dataclass(frozen=True)
class Settings:
    """Every setting of a workspace."""

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    caption: CaptionSettings = field(default_factory=CaptionSettings)
    label_studio: LabelStudioSettings = field(default_factory=LabelStudioSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)
    curate: CurateSettings = field(default_factory=CurateSettings)
    release: ReleaseSettings = field(default_factory=ReleaseSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)


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
    values = {}
    for name, value in content.items():
        known(name, list(kinds), f"{where} key")
        values[name] = float(value) if kinds[name] is float and type(value) is int else value
        if type(values[name]) is not kinds[name]:
            kind = getattr(kinds[name], "__name__", kinds[name])
            raise SettingsError(f"{where} {name} = {value!r} is not of type {kind}")
    section = factory(**values)
    for name, low in getattr(factory, "AT_LEAST", {}).items():
        if not getattr(section, name) >= low:  # nan is not, either
            raise SettingsError(f"{where} {name} = {getattr(section, name)}: at least {low}")
    for name, choices in getattr(factory, "ONE_OF", {}).items():
        if getattr(section, name) not in choices:
            raise SettingsError(
                f'{where} {name} = "{getattr(section, name)}": one of {", ".join(choices)}'
            )
    for name in getattr(factory, "NOT_EMPTY", ()):
        if not getattr(section, name):
            default = getattr(factory(), name)
            raise SettingsError(f'{where} {name} is empty; the default is "{default}"')
    for name in getattr(factory, "URLS", ()):
        url = getattr(section, name)
        if url and not url.startswith(("http://", "https://")):
            raise SettingsError(f'{where} {name} = "{url}": a URL begins with https:// or http://')
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
contact = ""                # who answers questions, and takes requests to withdraw

[speech]
model = "turbo"             # an openai-whisper name (downloaded once), or the path of a checkpoint
language = "en"             # ISO 639-1
device = "auto"             # auto, cpu, cuda
engine = "pixmo"            # pixmo, or faster-whisper (pip install 'pixmo[faster-whisper]')
batch = 0                   # windows of 30 s heard at once; 0: as many as fit
word_times = false          # when each word was said, too; slower

[record]
consent = ""                # a text file in this workspace; "": the one that ships
questions = ""              # a text file in this workspace, a question a line; "": likewise
min_seconds = 60.0
max_seconds = 90.0
recordings_per_image = 3    # by as many annotators
public_url = ""             # where annotators reach it behind a proxy: https://example.org/speak

[caption]
writer = "cleaner"          # cleaner: offline; language-model: the server at base_url
base_url = "http://localhost:8000/v1"  # anything that speaks OpenAI's chat completions
model = ""                  # as that server calls it; a key comes from OPENAI_API_KEY only
prompt = "caption"          # pipelines/prompts/<prompt>.md, this workspace's own first
temperature = 0.0           # -1: not sent, for models that take only their own
max_tokens = 1024           # of an answer
seed = 0                    # -1: not sent
concurrency = 8             # requests at a time
timeout_seconds = 120.0     # for one answer
input_price = 0.0           # of a million tokens, in any currency; 0: unknown
output_price = 0.0
max_unsupported_share = 0.2 # of a caption's words; above it the model is asked again
max_lost_share = 0.5        # of what the transcripts say; above it, likewise

[label_studio]
url = "http://localhost:8080"
images = "local-files"      # the server's own files; s3: a bucket; url: each image's image_url
document_root = ""          # its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT; "": label-studio/ here
bucket = ""                 # for s3: s3://bucket/prefix; keys as AWS_ACCESS_KEY_ID and the like
s3_endpoint = ""            # of another store than Amazon's

[answer]
base_url = "http://localhost:8000/v1"  # who answers people's questions; words only, no image
model = ""                  # as that server calls it; a key comes from OPENAI_API_KEY only
prompt = "ama"              # pipelines/prompts/<prompt>.md, this workspace's own first
max_rounds = 3              # answers to one question, until it is given up
temperature = 0.0           # -1: not sent, for models that take only their own
max_tokens = 512            # of an answer
concurrency = 8             # requests at a time
timeout_seconds = 120.0     # for one answer

[curate]
memory_limit_gb = 4.0       # of DuckDB; what does not fit goes to the disk
cache_gb = 20.0             # of results kept for the next build or try, in .cache/curate

[release]
audio = false               # a few recordings in report.html; a voice tells who spoke
thumbnails = "all"          # in report.html; free: only of images that may travel
# Under which a copy of an image may be given on; one without a source URL travels anyhow.
free_licenses = \"\"\"\\
CC0-1.0 CC-PDM-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 \\
CC-BY-SA-2.0 CC-BY-SA-3.0 CC-BY-SA-4.0\"\"\"

[probe]
steps = 1100                # optimiser steps of each run of `pixmo validate --train-probe`
seed = 0

[evaluate]
prompt = "answer"           # pipelines/prompts/<prompt>.md, this workspace's own first
longest_side = 1536         # pixels; a larger image is sent smaller
temperature = 0.0           # -1: not sent, for models that take only their own
max_tokens = 1024           # of an answer
concurrency = 8             # requests at a time, of the judge, too
timeout_seconds = 120.0     # for one answer, of the judge, too
judge_base_url = "http://localhost:8000/v1"  # who judges captions with --judge; text only
judge_model = ""            # as that server calls it; a key comes from OPENAI_API_KEY only
judge_prompt = "judge"      # pipelines/prompts/<judge_prompt>.md
judge_temperature = 0.0     # -1: not sent
judge_max_tokens = 4096     # of a reply
"""
