"""What a card says of captions: who spoke, who wrote, and what made captions of it."""

from pixmo.release.content import Content, SubsetContent
from pixmo.text import listed

ALOUD = "describe it aloud for a minute or more"
CLEANER = "cleaner"  # writers so named change no word that a person did not say
KINDS = {
    "spoken": "speech alone",
    "written": "written descriptions alone",
    "both": "speech and written descriptions",
}


def how_captions_come_about(cap: SubsetContent) -> str:
    """What people do, and what becomes of it."""
    told = {
        (True, False): ALOUD,
        (False, True): "describe it in writing",
        (True, True): f"{ALOUD}, or in writing",
    }[is_any_spoken(cap), is_any_written(cap)]
    heard = "the recordings are transcribed, and " if is_any_spoken(cap) else ""
    made_from = "transcripts" if heard else "descriptions"
    return (
        f"people look at an image and {told}; {heard}a caption is written from all {made_from} of"
        " an image."
    )


def how_captions_were_made(content: Content) -> str:
    """Who spoke and who wrote, said as it is."""
    cap = content.subset("cap")
    if cap is None:
        return "This version holds no captions."
    kinds = {kind: rows for kind, rows in count_kinds(cap).items() if rows}
    counts = [f"{rows:,} from {KINDS[kind]}" for kind, rows in kinds.items()]
    lines = [f"Captions: {listed(counts)}."]
    if is_any_spoken(cap):
        lines.append(
            "Spoken descriptions were recorded and transcribed; each row names its recordings by"
            " sha256."
        )
    if is_any_written(cap):
        lines.append(
            "Written descriptions were never spoken: nothing but their text says that a person"
            " saw the image."
        )
    if len(kinds) > 1:
        lines.append("`transcript_sources` tells them apart, row by row.")
    names = [writer for (writer,) in cap.rows.query("distinct writer", "order by writer")]
    lines.append(f"Captions were written from them by {listed([f'`{name}`' for name in names])}.")
    if any(name.startswith(CLEANER) for name in names):
        lines.append("A cleaner is a program with fixed rules, no language model.")
    return " ".join(lines)


def limits_of_captions(cap: SubsetContent) -> str:
    """What may be wrong in captions."""
    heard = ", and so are mistakes of speech recognition that no step caught"
    return (
        "Captions say what somebody saw: miscounts, mistaken names and guesses of theirs are in"
        f" them{heard if is_any_spoken(cap) else ''}."
    )


def is_any_spoken(cap: SubsetContent) -> bool:
    """Whether a caption comes from speech, alone or among others."""
    kinds = count_kinds(cap)
    return kinds["spoken"] + kinds["both"] > 0


def is_any_written(cap: SubsetContent) -> bool:
    """Whether a caption comes from a written description, alone or among others."""
    kinds = count_kinds(cap)
    return kinds["written"] + kinds["both"] > 0


def count_kinds(cap: SubsetContent) -> dict[str, int]:
    """How many captions come from speech alone, from writing alone, from both."""
    kinds = dict.fromkeys(KINDS, 0)
    for sources, rows in cap.rows.query(
        "list_sort(list_distinct(transcript_sources)) as sources, count(*)", "group by sources"
    ):
        kind = "both" if len(sources) > 1 else "spoken" if "speech" in sources else "written"
        kinds[kind] += rows
    return kinds
