"""The tables of an index file, and what the file says about itself."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import asdict, dataclass
from functools import cached_property

from llmrec_plugin.backends.embedded.codec import Codec
from llmrec_plugin.backends.embedded.terms import TOKENIZER
from llmrec_plugin.exceptions import IndexDamaged
from llmrec_plugin.types import FilterKind, IndexSchema

LAYOUT = 2
"""Raised with every change of the tables: a file of another layout is built anew, not migrated."""

BREADTH = " starts"
"""Kept like a filter field of numbers, which no declared one can be called: how many starts an item has."""

_TABLES = """
CREATE TABLE about (layout INTEGER NOT NULL, uid TEXT NOT NULL, dtype TEXT NOT NULL, schema TEXT NOT NULL);
CREATE TABLE state (sequence INTEGER NOT NULL, purged INTEGER NOT NULL, live INTEGER NOT NULL,
    next_id INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0, 0, 1);
CREATE TABLE doc (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
    digest TEXT NOT NULL, sequence INTEGER NOT NULL, deleted REAL);
CREATE INDEX doc_sequence ON doc (sequence);
CREATE INDEX doc_deleted ON doc (deleted) WHERE deleted IS NOT NULL;
CREATE TABLE vector (doc INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE filter (doc INTEGER NOT NULL, field INTEGER NOT NULL, value NOT NULL,
    PRIMARY KEY (doc, field, value)) WITHOUT ROWID;
CREATE VIRTUAL TABLE text USING fts5({columns}, tokenize='{tokenizer}');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(text, 'row');
CREATE VIRTUAL TABLE exact USING fts5({columns}, tokenize='{tokenizer}');
CREATE VIRTUAL TABLE exact_vocabulary USING fts5vocab(exact, 'row');
CREATE VIRTUAL TABLE starts USING fts5(term, tokenize='{tokenizer}', prefix='1 2 3');
CREATE VIRTUAL TABLE starts_vocabulary USING fts5vocab(starts, 'row');
"""


@dataclass(frozen=True)
class Layout:
    """What does not change about an index file as long as it exists."""

    uid: str
    """Tells this file from any other of its name, before or after."""
    schema: IndexSchema
    codec: Codec

    @cached_property
    def columns(self) -> dict[str, str]:
        """Column of the text table by text field."""
        return {field: f"t{number}" for number, field in enumerate(self.schema.text_fields)}

    @cached_property
    def filter_numbers(self) -> dict[str, int]:
        return {field: number for number, field in enumerate((*self.schema.filters, BREADTH))}

    def kind_of(self, name: str) -> FilterKind:
        """Of a filter field, or of BREADTH."""
        return self.schema.filters.get(name, "number")


@dataclass(frozen=True, slots=True)
class State:
    """What every write changes, as of one transaction."""

    sequence: int
    """Of the newest write; a row's own sequence is that of the write that changed it last."""
    purged: int
    """The highest sequence of a tombstone that is gone: who has seen less must read all anew."""
    live: int
    """Items that can be found."""
    next_id: int
    """Ids are never used twice."""


def create_tables(connection: sqlite3.Connection, schema: IndexSchema, codec: Codec) -> None:
    """Within the caller's transaction."""
    columns = ", ".join(f"t{number}" for number in range(max(1, len(schema.text_fields))))
    for statement in _TABLES.format(columns=columns, tokenizer=TOKENIZER).split(";\n"):
        connection.execute(statement)
    described = json.dumps({**asdict(schema), "filters": dict(schema.filters)})
    connection.execute(
        "INSERT INTO about VALUES (?, ?, ?, ?)", (LAYOUT, uuid.uuid4().hex, codec.name, described)
    )


def read_layout(connection: sqlite3.Connection) -> Layout | None:
    """None: the file is empty, its maker has not come to the end of it yet."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone() is None:
        return None
    layout, uid, dtype, described = connection.execute(
        "SELECT layout, uid, dtype, schema FROM about"
    ).fetchone()
    if layout != LAYOUT:
        raise IndexDamaged(
            f"The index file was made by another version of llmrec_plugin (layout {layout}, not {LAYOUT}): "
            "build a new one with `manage.py llmrec build`."
        )
    schema = json.loads(described)
    schema["text_fields"] = tuple(schema["text_fields"])
    return Layout(uid=uid, schema=IndexSchema(**schema), codec=Codec(dtype))


def read_state(connection: sqlite3.Connection) -> State:
    return State(*connection.execute("SELECT sequence, purged, live, next_id FROM state").fetchone())
