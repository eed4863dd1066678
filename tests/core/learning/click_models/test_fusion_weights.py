"""Weights of search: planted worlds with a known answer, and luck that is not taken for merit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.evaluation.metrics import ndcg
from llmrec_plugin.learning.click_models.fusion_weights import (
    TEXT_WEIGHTS,
    Candidates,
    Proof,
    Setting,
    click_values,
    first_half,
    graded_values,
    prove,
)
from llmrec_plugin.learning.click_models.position_bias import fit_position_bias
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.ranking import fusion
from llmrec_plugin.types import Hit

SETTINGS = [Setting(text_weight=weight) for weight in TEXT_WEIGHTS]
HALF = TEXT_WEIGHTS.index(0.5)
scores = st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(-3, 3).map(float), max_size=12)


def candidates_of(legs: dict[str, list[Hit]]) -> Candidates:
    ranked = fusion.linear(legs, {"text": 1.0, "vector": 1.0})
    by_key = {item.key: item.contributions for item in ranked}
    keys = sorted(by_key)
    text, vector = (np.array([by_key[key].get(leg, np.nan) for key in keys]) for leg in ("text", "vector"))
    return Candidates(keys, text, vector, np.zeros(len(keys)))


def ranking(candidates: Candidates, row: Values) -> list[str]:
    best = np.argsort(-row, kind="stable")
    return [candidates.keys[place] for place in best.tolist() if row[place] > -np.inf]


@given(text=scores, vector=scores, grades=st.dictionaries(st.sampled_from("abcdxy"), st.integers(0, 3)))
def test_each_setting_ranks_and_is_worth_what_the_real_fusion_makes_of_it(
    text: dict[str, float], vector: dict[str, float], grades: dict[str, int]
) -> None:
    legs = {
        name: [Hit(key, score) for key, score in found.items()]
        for name, found in (("text", text), ("vector", vector))
    }
    candidates = candidates_of(legs)
    rows = candidates.scores(SETTINGS)
    grades = {**grades, "a": 2}
    values = graded_values(rows, candidates, grades)
    for row, value, setting in zip(rows, values, SETTINGS, strict=True):
        asked = {
            name: hits
            for name, hits in legs.items()
            if hits and not (name == "vector" and setting.text_weight == 1.0)
            if not (name == "text" and setting.text_weight == 0.0)
        }
        weights = {"text": setting.text_weight, "vector": 1.0 - setting.text_weight}
        weights = weights if len(asked) > 1 else {"text": 1.0, "vector": 1.0}
        served = [item.key for item in fusion.linear(asked, weights)]
        mine = ranking(candidates, row)
        by_score = {item.key: item.score for item in fusion.linear(asked, weights)}
        assert sorted(mine) == sorted(served)
        assert [by_score[key] for key in mine] == pytest.approx([by_score[key] for key in served])
        assert value == pytest.approx(ndcg(mine, grades, k=10))
        places = [candidates.places[key] for key in served]
        clicked = click_values(row[None, :], places)[0]
        ranks = [mine.index(key) + 1 for key in served]
        assert clicked.tolist() == pytest.approx([1 / np.log2(rank + 1) for rank in ranks])


def test_an_item_that_a_setting_does_not_find_is_worth_nothing_to_its_click() -> None:
    candidates = candidates_of({"text": [Hit("a", 1.0)], "vector": [Hit("b", 1.0)]})
    found = click_values(candidates.scores(SETTINGS), [candidates.places["b"]])[:, 0]
    assert (found[0], found[-1]) == (1.0, 0.0)


def test_taste_is_added_by_its_strength_on_top_of_what_stays() -> None:
    candidates = Candidates(["a", "b"], np.array([0.5, 0.0]), np.array([0.0, 0.2]), np.array([0.0, 0.1]))
    rows = candidates.scores(
        [Setting(text_weight=0.5), Setting(text_weight=0.5, strength=0.4)], np.array([-0.5, 0.5])
    )
    assert rows == pytest.approx(np.array([[0.25, 0.2], [0.05, 0.4]]))


class World:
    """Queries with twenty items; one leg tells which of them are wanted, the other says nothing about it."""

    def __init__(self, tells: str, *, queries: int = 200, seed: int = 7) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.keys = [f"i{number:02}" for number in range(20)]
        self.queries = [f"query {number}" for number in range(queries)]
        self.chooses = first_half(self.queries)
        self.candidates, self.relevance = [], []
        for _ in range(queries):
            legs = {"text": rng.random(20), "vector": rng.random(20)}
            signal = legs.get(tells, rng.random(20))
            self.relevance.append(np.clip(signal**4 + rng.normal(0, 0.05, 20), 0.01, 1.0))
            self.candidates.append(Candidates(self.keys, legs["text"], legs["vector"], np.zeros(20)))

    def judged(self) -> Values:
        values = []
        for one, relevance in zip(self.candidates, self.relevance, strict=True):
            grades = {key: round(3 * found) for key, found in zip(self.keys, relevance.tolist(), strict=True)}
            values.append(graded_values(one.scores(SETTINGS), one, {**grades, "elsewhere": 1}))
        return np.stack(values, axis=1)

    def proof(self, values: Values, current: int = HALF) -> Proof:
        rng = np.random.default_rng(0)
        return prove(values, current=current, chooses=self.chooses, groups=self.queries, rng=rng)


@pytest.mark.parametrize(("tells", "right"), [("text", range(9, 11)), ("vector", range(2))])
def test_judgements_find_the_leg_that_tells(tells: str, right: range) -> None:
    world = World(tells)
    proof = world.proof(world.judged())
    assert proof.proven
    assert proof.setting in right
    assert proof.low > 0.05
    assert proof.after == pytest.approx(proof.before + proof.gain)
    assert proof.cases == (~world.chooses).sum()


@pytest.mark.parametrize("seed", range(5))
def test_where_no_leg_tells_anything_the_current_weight_stays(seed: int) -> None:
    world = World("neither", seed=seed)
    proof = world.proof(world.judged())
    assert not proof.proven
    assert proof.setting == HALF


def test_of_equally_good_settings_the_nearest_is_chosen_and_the_current_one_proves_nothing() -> None:
    values = np.tile([[0.2], [0.5], [0.2], [0.5], [0.5]], 10)
    chooses = np.arange(10) < 5
    groups = list(range(10))
    rng = np.random.default_rng(0)
    proof = prove(values, current=2, chooses=chooses, groups=groups, rng=rng)
    assert (proof.setting, proof.proven) == (1, True)
    same = prove(values, current=3, chooses=chooses, groups=groups, rng=rng)
    assert (same.setting, same.tried, same.proven) == (3, 3, False)


def test_a_gain_must_hold_under_every_assumption() -> None:
    values = np.tile([[0.2], [0.5]], 10)
    proof = prove(
        values,
        current=0,
        chooses=np.arange(10) < 5,
        groups=list(range(10)),
        rng=np.random.default_rng(0),
        under=[values[::-1]],
    )
    assert (proof.setting, proof.tried, proof.proven) == (0, 1, False)


def clicks(world: World, *, lists: int, exponent: float = 1.0, shuffled: bool = False) -> tuple[Values, ...]:
    """Lists ranked by words above all, with some chance in it, of which people look at the first places.

    Returns the values of all settings by clicks as they are, and by clicks that were weighted.
    """
    rng = np.random.default_rng(3)
    pairs, positions, clicked, of_click, queries = [], [], [], [], []
    for _ in range(lists):
        query = int(rng.integers(len(world.queries)))
        one = world.candidates[query]
        order = np.argsort(-(0.8 * one.text + 0.2 * one.vector + rng.normal(0, 0.15, 20)))
        relevance = rng.permutation(world.relevance[query]) if shuffled else world.relevance[query]
        for place, item in enumerate(order.tolist(), start=1):
            hit = bool(rng.random() < relevance[item] * place**-exponent)
            pairs.append(query * 20 + item)
            positions.append(place)
            clicked.append(hit)
            if hit:
                of_click.append((query, item, place))
                queries.append(query)
    bias = fit_position_bias(pairs, positions, clicked)
    values = np.concatenate(
        [click_values(world.candidates[query].scores(SETTINGS), [item]) for query, item, _ in of_click],
        axis=1,
    )
    weights = bias.weights([place for *_, place in of_click])
    world.queries = [world.queries[query] for query in queries]
    world.chooses = first_half(world.queries)
    return values, values * (weights / weights.mean())


def test_clicks_tell_the_right_leg_only_once_their_places_are_accounted_for() -> None:
    world = World("vector")
    current = TEXT_WEIGHTS.index(0.4)
    plain, weighted = clicks(world, lists=3000)
    naive = world.proof(plain, current)
    assert naive.setting == current  # people clicked what words had put in front of them
    proof = world.proof(weighted, current)
    assert proof.proven
    assert proof.setting <= 2


def test_shuffled_clicks_change_nothing() -> None:
    world = World("vector")
    _, weighted = clicks(world, lists=3000, shuffled=True)
    assert not world.proof(weighted, TEXT_WEIGHTS.index(0.8)).proven


def test_a_query_is_always_in_the_same_half_and_the_halves_are_alike() -> None:
    names = [f"query {number}" for number in range(1000)]
    half = first_half(names)
    assert half.tolist() == first_half([name.upper() for name in names]).tolist()
    assert 430 < half.sum() < 570
