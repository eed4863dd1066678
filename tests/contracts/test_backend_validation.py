"""What all our engines say of names, vectors and values that they refuse, word by word."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.backends.validation import check_name, check_query, unit_vectors
from llmrec_plugin.contracts.backend_model import DIMENSIONS, SCHEMA, document, unit
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, InvalidVector
from llmrec_plugin.types import EngineQuery, Terms, Vector


def refused(vector: Vector) -> tuple[str, str]:
    """What is said of an item with this vector, and of a query."""
    with pytest.raises(InvalidVector) as of_item:
        unit_vectors([document("1"), document("bad", vector=vector)], DIMENSIONS)
    with pytest.raises(InvalidVector) as of_query:
        check_query(EngineQuery(vector=vector), SCHEMA)
    return str(of_item.value), str(of_query.value)


def test_a_name_that_cannot_name_an_index_is_told_with_what_could() -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_name("Shop items")
    assert str(raised.value) == (
        "'Shop items' cannot name an index: use at most 128 lower-case letters, digits, '-', '_' and '.', "
        'a letter or digit first. It is made of LLMREC["INDEX_PREFIX"] and the label of the document.'
    )


def test_a_vector_of_other_dimensions_is_told_with_its_shape_and_that_of_the_index() -> None:
    assert refused(unit(1)[:7]) == (
        "The vector of item 'bad' has the shape (7,), the index holds vectors of 8 dimensions.",
        "The query's vector has the shape (7,), the index holds vectors of 8 dimensions.",
    )


@pytest.mark.parametrize(
    ("vector", "what"),
    [
        (np.zeros(DIMENSIONS, np.float32), "has the length 0"),
        (unit(1) * np.float32(1.5), "has the length 1.5"),
        (np.full(DIMENSIONS, np.nan, np.float32), "is not finite"),
        (np.full(DIMENSIONS, np.inf, np.float32), "is not finite"),
    ],
    ids=["zero", "too long", "NaN", "infinite"],
)
def test_a_vector_without_unit_length_is_told_with_the_length_it_has(vector: Vector, what: str) -> None:
    assert refused(vector) == (
        f"The vector of item 'bad' {what}; encoders must return unit vectors.",
        f"The vector of the query {what}; encoders must return unit vectors.",
    )


def test_a_filter_of_an_unknown_field_is_told_with_the_fields_there_are() -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_query(EngineQuery(filters=(Terms(field="colour", values=("red",)),)), SCHEMA)
    assert str(raised.value) == (
        "'colour' is no filter field of the index; it has brand, in_stock, price, released."
    )
    assert raised.value.parameter == "colour"
