"""Ratings find the strengths that votes were drawn from, and their intervals cover them."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from pixmo.evaluate import preference
from pixmo.evaluate.preference import ELO_PER_NAT, MEAN_ELO, PRIOR_VOTES, Vote, ratings

STRENGTH = {"best": 1150.0, "good": 1050.0, "fair": 950.0, "poor": 850.0}


def drawn(questions: int, seed: int, people: int = 1) -> list[Vote]:
    """Votes of models of known strength, a pair for each question, each by so many people."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.combinations(STRENGTH, 2))
    votes = []
    for number in range(questions):
        first, second = pairs[rng.integers(len(pairs))]
        odds = 10 ** ((STRENGTH[first] - STRENGTH[second]) / 400)
        for _ in range(people):
            won = float(rng.random() < odds / (1 + odds))
            votes.append(Vote(str(number), first, second, won))
    return votes


def test_ratings_are_the_likeliest() -> None:
    votes = [*drawn(300, 0), Vote("x", "poor", "best", 0.5)]
    names = list(STRENGTH)

    def unlikelihood(strength: np.ndarray) -> float:
        total = 0.0
        for vote in votes:
            difference = strength[names.index(vote.first)] - strength[names.index(vote.second)]
            total += np.logaddexp(0, -difference) * vote.won
            total += np.logaddexp(0, difference) * (1 - vote.won)
        for one, other in itertools.combinations(strength, 2):
            total += PRIOR_VOTES / 2 * np.logaddexp(0, one - other)
            total += PRIOR_VOTES / 2 * np.logaddexp(0, other - one)
        return total + strength.mean() ** 2  # only differences count

    likeliest = minimize(unlikelihood, np.zeros(len(names)), tol=1e-10).x
    found = {rating.model: rating.elo for rating in ratings(votes)}
    expected = MEAN_ELO + ELO_PER_NAT * (likeliest - likeliest.mean())
    assert [found[name] for name in names] == pytest.approx(list(expected), abs=0.1)


def test_the_strongest_comes_first_with_its_votes() -> None:
    votes = drawn(4000, 1)
    found = ratings(votes)
    assert [rating.model for rating in found] == list(STRENGTH)
    assert sum(rating.votes for rating in found) == 2 * len(votes)
    best = [vote for vote in votes if "best" in (vote.first, vote.second)]
    won = sum(vote.won if vote.first == "best" else 1 - vote.won for vote in best)
    assert (found[0].votes, found[0].won) == (len(best), pytest.approx(won / len(best)))


def test_intervals_cover_the_truth_also_where_one_question_has_many_votes() -> None:
    covered = [
        rating.low <= STRENGTH[rating.model] <= rating.high
        for seed in range(40)
        for rating in ratings(drawn(120, seed, people=3), seed)
    ]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_people_who_agree_on_a_question_are_no_more_votes() -> None:
    votes = drawn(100, 3)
    (once, *_), (often, *_) = ratings(votes), ratings(votes * 5)
    # Counted as people who know nothing of each other they would leave 0.45 of it.
    assert 0.9 < (often.high - often.low) / (once.high - once.low) < 1.2


def test_who_won_every_vote_has_a_rating() -> None:
    best, worst = ratings([Vote(str(i), "a", "b", 1.0) for i in range(20)])
    assert (best.model, worst.model) == ("a", "b")
    assert best.elo - worst.elo == pytest.approx(400 * np.log10(20.25 / 0.25))


def test_a_model_of_few_votes_has_an_interval_all_the_same() -> None:
    """Also where none of its questions is drawn again."""
    found = ratings([Vote("1", "a", "b", 1.0), Vote("2", "b", "c", 1.0)])
    assert [rating.model for rating in found] == ["a", "b", "c"]
    assert all(rating.low <= rating.elo <= rating.high for rating in found)


def test_a_long_chain_of_models_is_rated_to_its_ends() -> None:
    """Where each met its neighbours alone, a difference is that of the two's own votes."""
    names = [f"model {n:02}" for n in range(20)]
    votes = [
        Vote(f"{first} {n}", first, second, float(n < 15))
        for first, second in itertools.pairwise(names)
        for n in range(20)
    ]
    found = ratings(votes)
    assert [one.model for one in found] == names
    step = 400 * np.log10(15.25 / 5.25)
    assert [one.elo for one in found] == pytest.approx([1000 + step * (9.5 - n) for n in range(20)])


def test_ratings_that_are_not_found_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preference, "MOST_STEPS", 2)
    with pytest.raises(ValueError, match="the ratings are not found in 2 steps"):
        ratings(drawn(100, 0))


def test_models_that_no_vote_connects_are_named() -> None:
    with pytest.raises(ValueError, match="no vote compares a with c, d"):
        ratings([Vote("1", "a", "b", 1.0), Vote("2", "c", "d", 0.0)])
    with pytest.raises(ValueError, match="there is no vote"):
        ratings([])
