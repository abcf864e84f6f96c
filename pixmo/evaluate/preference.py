"""Human preference: how strong each model is, from votes between two answers to one question.

Source: Bradley and Terry 1952; the scale is Elo's (400 points are odds of ten to one, the mean is
1000). A tie is half a vote for either, as in Molmo's human evaluation (arXiv 2409.17146).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixmo.evaluate.statistics import CONFIDENCE

VERSION = 2  # counted up when the same votes would give another rating
ELO_PER_NAT = 400 / np.log(10)
MEAN_ELO = 1000.0
RESAMPLES = 400
# Half a vote that every two models that were compared are alike, so that a model that won every
# vote has a rating all the same; it weighs nothing beside tens of votes.
PRIOR_VOTES = 0.5
MOST_STEPS, TOLERANCE = 100, 1e-9  # the latter in nats

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Vote:
    """Somebody's preference between the answers of two models to one question."""

    question: str
    first: str
    second: str
    won: float  # by the first: 1, 0, or 0.5 for a tie


@dataclass(frozen=True)
class Rating:
    """How strong a model is."""

    model: str
    elo: float
    low: float  # of the interval that covers the true rating 95 times in 100
    high: float
    votes: int
    won: float  # share of its votes, ties as a half


def ratings(votes: Sequence[Vote], seed: int = 0) -> list[Rating]:
    """Every model's rating, the strongest first.

    The interval is a bootstrap over questions, of which several people's votes are no independent
    ones (cluster bootstrap; Cameron, Gelbach, Miller 2008).

    Raises:
        ValueError: there is no vote, or votes connect no path between some of the models, or the
            ratings cannot be found.
    """
    names = sorted({name for vote in votes for name in (vote.first, vote.second)})
    places = {name: place for place, name in enumerate(names)}
    questions = sorted({vote.question for vote in votes})
    by_question = np.zeros((len(questions), len(names), len(names)))
    rows = {question: row for row, question in enumerate(questions)}
    for vote in votes:
        one, other = places[vote.first], places[vote.second]
        by_question[rows[vote.question], one, other] += vote.won
        by_question[rows[vote.question], other, one] += 1 - vote.won
    wins = by_question.sum(axis=0)
    check_connected(names, wins)
    found = elo(wins)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(questions), (RESAMPLES, len(questions)))
    again = np.stack([elo(by_question[some].sum(axis=0), wins) for some in drawn])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(again, [tail, 1 - tail], axis=0)
    counts = wins.sum(axis=1) + wins.sum(axis=0)
    rated = [
        Rating(
            model=name,
            elo=float(found[i]),
            low=float(low[i]),
            high=float(high[i]),
            votes=int(counts[i]),
            won=float(wins[i].sum() / counts[i]),
        )
        for i, name in enumerate(names)
    ]
    return sorted(rated, key=lambda rating: -rating.elo)


def elo(wins: Floats, compared: Floats | None = None) -> Floats:
    """The ratings under which the wins, shape = (models, models), row over column, are likeliest.

    `compared` says between which models the prior's votes are; default: where there are wins.

    Raises:
        ValueError: they are not found in MOST_STEPS.
    """
    from scipy.special import expit

    compared = wins if compared is None else compared
    won = wins + PRIOR_VOTES / 2 * ((compared + compared.T) > 0)
    met = won + won.T
    nats = np.zeros(len(wins))
    # Newton's steps up the likelihood, which is concave: one that does not climb is halved.
    for _ in range(MOST_STEPS):
        share = expit(nats[:, None] - nats[None, :])
        slope = (won - met * share).sum(axis=1)
        curvature = met * share * share.T
        # The mean stays 0, for only differences count: ones make the matrix regular.
        steepness = np.diag(curvature.sum(axis=1)) - curvature + 1.0
        step = np.linalg.solve(steepness, slope)
        before = likelihood(won, nats)
        while np.abs(step).max() > TOLERANCE and likelihood(won, nats + step) < before:
            step /= 2
        nats += step
        if np.abs(step).max() <= TOLERANCE:
            rated: Floats = MEAN_ELO + ELO_PER_NAT * nats
            return rated
    raise ValueError(f"the ratings are not found in {MOST_STEPS} steps")


def likelihood(won: Floats, nats: Floats) -> float:
    """The logarithm of how likely the wins are under strengths in nats."""
    return float(-(won * np.logaddexp(0, nats[None, :] - nats[:, None])).sum())


def check_connected(names: Sequence[str], wins: Floats) -> None:
    """Nothing, if votes connect all models, be it over others.

    Raises:
        ValueError: they do not, or there is none.
    """
    from scipy.sparse.csgraph import connected_components

    if not names:
        raise ValueError("there is no vote")
    parts, label = connected_components(wins + wins.T, directed=False)
    if parts > 1:
        apart = [name for name, part in zip(names, label, strict=True) if part != label[0]]
        raise ValueError(f"no vote compares {names[0]} with {', '.join(apart)}, not over others")
