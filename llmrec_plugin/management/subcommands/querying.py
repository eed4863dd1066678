"""search, similar and recommend: see in a terminal what visitors see."""

from __future__ import annotations

from argparse import ArgumentParser

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.management.output import Output, page_payload
from llmrec_plugin.management.subcommands.base import (
    Options,
    Subcommand,
    document_argument,
    no_arguments,
    single_label,
)
from llmrec_plugin.models import SynonymSuggestion
from llmrec_plugin.services import recommendations
from llmrec_plugin.services import search as search_service
from llmrec_plugin.services.curation.placements import get_placement
from llmrec_plugin.services.explorer import word_attribution
from llmrec_plugin.services.items.filter_parsing import read_filters
from llmrec_plugin.services.recommendations import pipeline
from llmrec_plugin.services.search import autocomplete, popular_queries
from llmrec_plugin.services.search_quality import synonym_mining
from llmrec_plugin.types import Filter, ResultPage, SearchRequest

SHOWN_WORDS = 20


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=int, default=10, metavar="N", help="items of the list, at most (default: 10)"
    )
    parser.add_argument("--user", metavar="KEY", help="as this user sees it")
    parser.add_argument("--explain", action="store_true", help="show what each score is made of")


def _show(page: ResultPage, options: Options, output: Output) -> bool:
    output.page(page, explain=options["explain"])
    output.finish(page_payload(page, explain=options["explain"]))
    return not page.degraded


def _limit(options: Options) -> int:
    limit: int = options["limit"]
    if not 1 <= limit <= 100:
        raise InvalidRequest(f"--limit is {limit}; it must lie between 1 and 100.", parameter="limit")
    return limit


def _search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("text", help="what to look for")
    document_argument(parser)
    parser.add_argument("--sort", default="", metavar="FIELD", help="by a number or date; -FIELD: descending")
    _list_arguments(parser)


def _search(options: Options, output: Output) -> bool:
    request = SearchRequest(
        document=single_label(options),
        text=options["text"],
        user_key=options["user"],
        limit=_limit(options),
        sort=options["sort"],
        explain=options["explain"],
    )
    return _show(search_service.search(request), options, output)


def _suggest_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("text", help="what has been typed so far")
    document_argument(parser)
    parser.add_argument(
        "--limit", type=int, default=8, metavar="N", help="of each kind, at most (default: 8)"
    )


def _suggest(options: Options, output: Output) -> bool:
    found = autocomplete.suggest(options["text"], document=single_label(options), limit=options["limit"])
    for text in found.queries:
        output.line(f"     {text}")
    for rank, item in enumerate(found.items, start=1):
        output.line(f"{rank:>3}. {item.title}  [{item.document} {item.item_id}]")
    if not (found.queries or found.items):
        output.line("Nothing begins like that.")
    items = [{"document": item.document, "id": item.item_id, "title": item.title} for item in found.items]
    output.finish({"queries": found.queries, "items": items, "degraded": found.degraded})
    return not found.degraded


def _count_queries(options: Options, output: Output) -> bool:
    counted = popular_queries.count_queries()
    for label, count in counted.items():
        output.line(f"{label}: {count} popular searches")
    output.finish(counted)
    return True


def _suggest_synonyms(options: Options, output: Output) -> bool:
    counted = synonym_mining.suggest_all()
    for label, count in counted.items():
        output.line(f"{label}: {count} suggestions to decide on")
        for row in SynonymSuggestion.objects.filter(document=label, state=SynonymSuggestion.State.OPEN):
            output.line(f"     {row}: {row.visitors} visitors")
    output.finish(counted)
    return True


def _similar_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("document", metavar="LABEL")
    parser.add_argument("id", metavar="ID", help="primary key of the item")
    parser.add_argument(
        "--also-bought", action="store_true", help="by other people's behaviour instead of by content"
    )
    _list_arguments(parser)


def _similar(options: Options, output: Output) -> bool:
    find = recommendations.also_bought if options["also_bought"] else recommendations.similar
    page = find(options["document"], options["id"], user_key=options["user"], limit=_limit(options))
    return _show(page, options, output)


def _recommend_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--placement", default="for-you", metavar="NAME", help="default: for-you")
    parser.add_argument("--item", metavar="ID", help="the item that the list is about")
    parser.add_argument("--basket", nargs="+", metavar="ID", help="items in the basket")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="only such items; repeatable",
    )
    document_argument(parser)
    _list_arguments(parser)


def _recommend(options: Options, output: Output) -> bool:
    page = recommendations.recommend(
        options["placement"],
        user_key=options["user"],
        document=options["document"],
        item_id=options["item"],
        limit=_limit(options),
        filters=_filters(options),
        basket=options["basket"],
        explain=options["explain"],
    )
    return _show(page, options, output)


def _filters(options: Options) -> tuple[Filter, ...]:
    """Return the filters that were given, checked against what the placement shows; raises InvalidRequest for
    what is no filter of it."""
    values: dict[str, list[str]] = {}
    for text in options["filter"]:
        name, sign, value = text.partition("=")
        if not sign:
            raise InvalidRequest(f"--filter {text}: write FIELD=VALUE.", parameter="filter")
        values.setdefault(name, []).append(value)
    if not values:
        return ()
    label = pipeline.label_of(get_placement(options["placement"]), options["document"])
    return read_filters(values, registry.get(label).filter_kinds())


def _explain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("text", help="the query")
    parser.add_argument("id", metavar="ID", help="primary key of the item")
    document_argument(parser)


def _explain(options: Options, output: Output) -> bool:
    found = word_attribution.explain_words(single_label(options), options["text"], options["id"])
    output.line(f"{found.title}: cosine {found.cosine:.3f}")
    for what, pieces in (("query", found.query), ("item", found.item)):
        output.line()
        rows = [
            (piece.text, f"{piece.value:+.3f}") for piece in word_attribution.strongest(pieces, SHOWN_WORDS)
        ]
        output.table([f"word of the {what}", "cosine"], rows)
    output.finish(
        {
            "title": found.title,
            "cosine": found.cosine,
            "query": [piece._asdict() for piece in found.query if piece.value is not None],
            "item": [piece._asdict() for piece in found.item if piece.value is not None],
        }
    )
    return True


COMMANDS = [
    Subcommand("search", "Search as a visitor does.", _search_arguments, _search),
    Subcommand(
        "explain", "Which words make a query and an item near in meaning.", _explain_arguments, _explain
    ),
    Subcommand("suggest", "What completes a half-typed search.", _suggest_arguments, _suggest),
    Subcommand(
        "count-queries", "Count what many visitors search for, to suggest it.", no_arguments, _count_queries
    ),
    Subcommand(
        "suggest-synonyms",
        "Look for words that visitors use for the same thing; editors decide in the admin.",
        no_arguments,
        _suggest_synonyms,
    ),
    Subcommand("similar", "Items like this one.", _similar_arguments, _similar),
    Subcommand("recommend", "What a placement shows a user.", _recommend_arguments, _recommend),
]
