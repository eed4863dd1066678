"""From keys to ids and back, any number at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def as_json(values: Iterable[object]) -> str:
    """For `json_each`, which takes any number of values as one parameter; exact for integers and text."""
    return json.dumps(values.tolist() if isinstance(values, np.ndarray) else list(values))


def keys_of(connection: sqlite3.Connection, ids: Ids) -> dict[int, str]:
    """Of those ids whose item can be found."""
    return dict(
        connection.execute(
            "SELECT doc.id, doc.key FROM json_each(?) AS given CROSS JOIN doc ON doc.id = given.value"
            " WHERE doc.deleted IS NULL",
            (as_json(ids),),
        )
    )


def ids_of(connection: sqlite3.Connection, keys: Iterable[str]) -> Ids:
    """Of those keys whose item can be found."""
    rows = connection.execute(
        "SELECT doc.id FROM json_each(?) AS given CROSS JOIN doc ON doc.key = given.value"
        " WHERE doc.deleted IS NULL",
        (as_json(keys),),
    )
    return np.array([id_ for (id_,) in rows], np.int64)
