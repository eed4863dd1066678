"""Figures for machines and for people, also where there is none."""

from __future__ import annotations

import json
import math

import numpy as np

from llmrec_plugin.figures import figure, jsonable


def test_what_json_cannot_say_is_null() -> None:
    values = {"a": math.nan, 1: [np.float64("inf"), np.int64(3)], "b": (True, "x", None), "c": np.zeros(2)}
    found = jsonable(values)
    assert found == {"a": None, "1": [None, 3], "b": [True, "x", None], "c": [0.0, 0.0]}
    assert json.dumps(found, allow_nan=False)


def test_what_is_unknown_is_a_dash() -> None:
    assert [figure(0.12345), figure(0.12345, ".0%"), figure(None)] == ["0.1235", "12%", "–"]
