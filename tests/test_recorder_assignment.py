"""Who is handed which image: compared with a slow reference, event by event."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.speech.recorder.assignment import AWAY_SECONDS, MOST_SKIPS, Assignment

PEOPLE = ("anna", "ben", "carl", "dora")


class Reference:
    """The same rules, written as they are said; everything is looked through each time."""

    def __init__(self, images: int, per_image: int) -> None:
        self.images = [f"image {number}" for number in range(images)]
        self.per_image = per_image
        self.recorded: defaultdict[str, set[str]] = defaultdict(set)
        self.skipped: defaultdict[str, set[str]] = defaultdict(set)
        self.at: dict[str, tuple[str, float]] = {}

    def need(self, image: str) -> int:
        return len(self.recorded[image]) + sum(one == image for one, _ in self.at.values())

    def may_get(self, annotator: str, now: float) -> set[str]:
        """The images that it would be right to hand out."""
        self.at = {who: lease for who, lease in self.at.items() if lease[1] > now}
        if annotator in self.at:
            return {self.at[annotator][0]}
        open_ = [
            image
            for image in self.images
            if self.need(image) < self.per_image
            and annotator not in self.recorded[image] | self.skipped[image]
            and len(self.skipped[image]) < MOST_SKIPS
        ]
        least = min(map(self.need, open_), default=0)
        return {image for image in open_ if self.need(image) == least}

    def may_go_on_with(self, annotator: str, image: str) -> bool:
        """Whether somebody who is at nothing may be at this image, which they were at before."""
        return (
            image in self.images
            and annotator not in self.recorded[image] | self.skipped[image]
            and len(self.skipped[image]) < MOST_SKIPS
        )

    def leave(self, annotator: str, image: str) -> None:
        if annotator in self.at and self.at[annotator][0] == image:
            del self.at[annotator]


@settings(max_examples=300, deadline=None)
@given(
    images=st.integers(1, 5),
    per_image=st.integers(1, 3),
    events=st.lists(
        st.tuples(
            st.sampled_from(("next", "record", "skip", "wait", "keep")), st.sampled_from(PEOPLE)
        ),
        max_size=60,
    ),
)
def test_images_are_handed_out_as_the_slow_reference_would(
    images: int, per_image: int, events: list[tuple[str, str]]
) -> None:
    reference = Reference(images, per_image)
    assignment = Assignment(per_image)
    assignment.add(reference.images)
    given_last: dict[str, str] = {}
    now = 0.0
    for what, who in events:
        now += AWAY_SECONDS / 2 + 1 if what == "wait" else 1.0
        if what == "next":
            right = reference.may_get(who, now)
            image = assignment.next(who, now)
            assert image in right if right else image is None
            if image is not None:
                reference.at[who] = (image, now + AWAY_SECONDS)
                given_last[who] = image
        elif what == "keep":
            image = given_last.get(who, "")
            assignment.keep(who, now, image)
            at = reference.at.get(who, (image,))[0]
            if who in reference.at or reference.may_go_on_with(who, image):
                reference.at[who] = (at, now + AWAY_SECONDS)
        elif what == "record" and who in given_last:
            assignment.record(who, given_last[who])
            reference.leave(who, given_last[who])
            reference.recorded[given_last[who]].add(who)
        elif what == "skip" and who in given_last:
            assignment.skip(who, given_last[who])
            reference.leave(who, given_last[who])
            reference.skipped[given_last[who]].add(who)


def test_the_fewest_recordings_come_first_and_then_the_order_of_arrival() -> None:
    assignment = Assignment(2)
    assignment.add(["one", "two", "three"])
    assignment.record("ben", "one")
    assert assignment.next("anna", 0) == "two"
    assignment.record("anna", "two")
    assert assignment.next("anna", 1) == "three"
    assignment.record("anna", "three")
    assert assignment.next("anna", 2) == "one"
    assignment.record("anna", "one")
    assert assignment.next("anna", 3) is None
    assignment.add(["four"])
    assert assignment.next("anna", 4) == "four"


def test_two_at_once_are_at_different_images_and_nobody_waits_for_who_went_away() -> None:
    assignment = Assignment(1)
    assignment.add(["one", "two"])
    assert {assignment.next("anna", 0), assignment.next("ben", 0)} == {"one", "two"}
    assert assignment.next("carl", 1) is None
    assignment.keep("ben", AWAY_SECONDS)
    assert assignment.next("carl", AWAY_SECONDS + 1) == "one"  # anna's
    assignment.record("anna", "one")  # came back, and what she said counts
    assert assignment.has_recorded("anna", "one")
