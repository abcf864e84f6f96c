"""The demo: the main job on the sample, from files to verdict, and what came of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import jiwer

from pixmo.dataset.manifest import FILE_NAME, Manifest
from pixmo.dataset.reader import Release
from pixmo.demo.sample import make_sample
from pixmo.execution.progress import Progress
from pixmo.images.store import add_images
from pixmo.label.ingest import ingest
from pixmo.release.build import build_release
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.engines import open_recogniser
from pixmo.speech.transcribe import transcribe
from pixmo.speech.written import add_written
from pixmo.text import normalise
from pixmo.validate import suspects
from pixmo.validate.checks import Checks, check_release
from pixmo.validate.probe import ProbeOptions, train_probe
from pixmo.validate.release_report import write_copy
from pixmo.validate.verdict import Verdict
from pixmo.workspace.settings import Settings
from pixmo.workspace.workspace import Workspace

VERSION = "v1"


@dataclass(frozen=True)
class Summary:
    """What the demo ends with."""

    root: Path
    set_aside: dict[str, int]
    manifest: Manifest
    recordings: int
    words: int  # spoken in them
    word_error_rate: float
    checks: Checks
    verdict: Verdict

    def text(self) -> str:
        """The summary as a person reads it, one screen."""
        places = Workspace(self.root, Settings())  # under the name that the folder was given
        release = places.releases / VERSION
        lines = ["", "Set aside on the way in"]
        lines += [f"  {count:>5}  {reason}" for reason, count in self.set_aside.items()]
        lines += ["", "Kept, dropped and flagged; # stands for a number or an id"]
        for subset in self.manifest.subsets:
            kept = sum(subset.rows.values())
            lines += ["", f"{subset.name}: {kept} of {subset.candidates} rows kept"]
            lines += [
                f"  {count:>5}  {reason}  ({step.step}: {step.then.replace('_', ' ')})"
                for step in subset.funnel
                for reason, count in step.reasons.items()
            ]
        lines += [
            "",
            f"Word error rate of {self.recordings} recordings against what was spoken in them"
            f" ({self.words} words): {100 * self.word_error_rate:.1f} %",
            "",
            self.checks.text(),
            "",
            self.verdict.text(),
            "",
            "Look at",
            f"  release  {release}",
            f"  card     {release / 'README.md'}",
            f"  report   {release / 'report.html'}",
            f"  probe    {places.runs / f'probe-{VERSION}'}",
            f"  next     cd {quote(str(self.root))} && pixmo status",
        ]
        return "\n".join(lines)


def run_demo(
    folder: Path, scenes: int, seed: int, progress: Progress, say: Callable[[str], None]
) -> Summary:
    """The sample is in `folder` and the main job is done on it; what was done before is kept.

    `say` is told what begins. Raises whatever a step raises.
    """
    say(f"1/6  the sample: {scenes} pictures, people who describe, answer and point → {folder}")
    make_sample(folder, scenes, seed, progress)
    workspace = Workspace.open(folder)
    say("2/6  pixmo images add images/ · label ingest exports/ · transcripts add")
    add_images(workspace, workspace.images, progress)
    ingest(workspace, [workspace.exports], progress)
    add_written(workspace, folder / "transcripts/written.jsonl")
    say("3/6  pixmo transcribe audio/")
    transcribe(workspace, workspace.audio, open_recogniser(workspace), progress)
    write_captions(workspace, progress)
    say(f"4/6  pixmo build-release {VERSION}")
    root = workspace.releases / VERSION
    if not (root / FILE_NAME).is_file():
        build_release(workspace, VERSION, progress)
    release = Release.open(root, workspace.local_images(), workspace.unpacked)
    say(f"5/6  pixmo validate {VERSION}")
    checks = check_release(root, workspace.local_images())
    say(f"6/6  pixmo validate {VERSION} --train-probe")
    settings = workspace.settings.probe
    options = ProbeOptions(steps=settings.steps, seed=settings.seed)
    runs = workspace.runs / f"probe-{VERSION}"
    verdict = train_probe(release, options, runs, progress)
    write_copy(runs, release, verdict)
    suspects.remember(workspace, VERSION, verdict.key, runs / suspects.FILE_NAME)
    heard = transcripts_heard(workspace)
    lines = (folder / "truth/spoken.jsonl").read_text("utf-8").splitlines()
    spoken = {row["file_name"]: normalise(row["text"]) for row in map(json.loads, lines)}
    return Summary(
        root=folder,
        set_aside=set_aside_by_reason(workspace),
        manifest=release.manifest,
        recordings=len(spoken),
        words=sum(len(text.split()) for text in spoken.values()),
        word_error_rate=float(
            jiwer.wer(list(spoken.values()), [heard.get(name, "") for name in spoken])
        ),
        checks=checks,
        verdict=verdict,
    )


def transcripts_heard(workspace: Workspace) -> dict[str, str]:
    """What the recogniser heard in each recording, by file name, normalised."""
    with workspace.connect() as connection:
        rows = connection.execute(
            "select recordings.path, text from current_transcripts"
            " join recordings using (recording_sha256)"
        ).fetchall()
    return {Path(path).name: normalise(text) for path, text in rows}


def set_aside_by_reason(workspace: Workspace) -> dict[str, int]:
    """How many pieces of input were set aside, by stage and reason."""
    with workspace.connect() as connection:
        rows = connection.execute(
            "select stage || ': ' || reason as why, count(*) from set_aside"
            " group by why order by why"
        ).fetchall()
    return {str(why): int(count) for why, count in rows}
