"""Commands that make a release."""

from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.cli.recipes import DONE


@app.command("build-release")
def build_release(
    version: Annotated[str, typer.Argument(help="The release's name, such as v1.")],
    images: Annotated[
        str,
        typer.Option(
            help="How images travel: url (those without one as files), embedded in the rows, or as"
            " files.",
            metavar="url|embedded|files",
        ),
    ] = "url",
    force: Annotated[
        bool,
        typer.Option("--force", help="Embed or copy images whatever their licence says."),
    ] = False,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Judge every row and write a release.

    The recipes in pipelines/ decide; a release that exists is never changed.

    Embedded or as files travel images without a source URL, and those whose licence is among
    free_licenses in pixmo.toml; the others stay named by URL, and the card counts them.

    What was dropped or set apart, and why, stands in dropped/ and apart/, in the card's funnel and
    in report.html.

    Example: pixmo build-release v1
    """
    from pixmo.curate.recipe import load
    from pixmo.dataset import manifest
    from pixmo.release.build import build_release as build
    from pixmo.release.images import mode
    from pixmo.text import counted

    opened = open_workspace(workspace)
    release = build(opened, version, show.Bars(), mode(images), force)
    built = manifest.read(release)
    dataset = opened.settings.dataset
    if not (dataset.contact or dataset.homepage):
        show.warn(
            f"the card of {version} can name nobody to ask, or to ask for a withdrawal: say who it"
            f" is as [dataset] contact in {show.here(opened.root / 'pixmo.toml')}"
        )
    for subset in built.subsets:
        if not subset.rows:
            show.warn(f"{subset.name} keeps none of its {counted(subset.candidates, 'row')}")
    if json:
        show.as_json(built)
        return
    show.say("rows kept, dropped, set apart and flagged; # stands for a number or an id")
    for subset in built.subsets:
        kept = sum(subset.rows.values())
        show.say(f"{subset.name}: {kept} of {counted(subset.candidates, 'row')} kept")
        own = load(subset.stem, opened.recipes).files_in(opened.recipes)
        if own:
            show.say(f"  by the workspace's own {', '.join(map(show.here, own))}")
        for step in subset.funnel:
            for reason, count in step.reasons.items():
                show.say(f"  {count:>6} {DONE[step.then]} by {step.step}: {reason}")
    show.say(f"release  {show.here(release)}")
    show.say(f"card     {show.here(release / 'README.md')}")
    show.say(f"report   {show.here(release / 'report.html')}")
