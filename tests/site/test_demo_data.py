"""The demo's data: what the shipped files hold, how they are made, and what load_demo makes of them."""

from __future__ import annotations

import gzip
import json
import lzma
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import build_online_retail, build_school_learners
from fixtures.departments import department_of
from fixtures.titles import readable_title
from project.shop.purchase_file import Purchase, PurchasedLine, read_purchases, write_purchases
from project.storefront.middleware import ViewAsMiddleware
from tests.support.demo_files import FIXTURES, cut_fixtures, demo_environment, manage, read_products

START = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def read_lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


def test_the_shop_holds_all_usable_purchases_of_the_source() -> None:
    purchases = list(read_purchases(FIXTURES / "shop_purchases.xz"))
    lines = [line for purchase in purchases for line in purchase.lines]
    products = read_products()
    assert len(products) == 3657
    assert len({purchase.customer for purchase in purchases}) == 4334
    assert (len(purchases), len(lines)) == (18_399, 386_244)
    assert {line.product for line in lines} == set(range(3657))
    assert min(line.quantity for line in lines) == 1
    assert (purchases[0].at, purchases[-1].at.date().isoformat()) == (START, "2011-12-09")


def test_the_shop_fixture_is_small() -> None:
    assert (FIXTURES / "shop_purchases.xz").stat().st_size < 1_000_000


@st.composite
def invoices(draw: st.DrawFn) -> list[Purchase]:
    count = draw(st.integers(1, 6))
    numbers = sorted(draw(st.lists(st.integers(1, 999_999), min_size=count, max_size=count, unique=True)))
    return [
        Purchase(
            number,
            START + timedelta(minutes=draw(st.integers(0, 600_000))),
            draw(st.integers(1, 20_000)),
            tuple(
                PurchasedLine(product, draw(st.integers(1, 90_000)))
                for product in sorted(draw(st.sets(st.integers(0, 4000), min_size=1, max_size=8)))
            ),
        )
        for number in numbers
    ]


@settings(max_examples=25)
@given(purchases=invoices())
def test_purchases_are_read_as_they_were_written(
    purchases: list[Purchase], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("purchases") / "purchases.xz"
    write_purchases(path, purchases)
    assert list(read_purchases(path)) == purchases


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.xz"
    path.write_bytes(lzma.compress(b"number 1 2\n"))
    with pytest.raises(ValueError, match=r"other\.xz does not hold the columns start, number"):
        list(read_purchases(path))


@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "White Hanging Heart T-Light Holder"),
        ("SET OF 6 T-LIGHTS  WITH HEARTS", "Set of 6 T-Lights with Hearts"),
        ("ROLL WRAP 50'S CHRISTMAS", "Roll Wrap 50's Christmas"),
        ("POPPY'S PLAYHOUSE KITCHEN", "Poppy's Playhouse Kitchen"),
        ("FOLK ART GREETING CARD,pack/12", "Folk Art Greeting Card, Pack/12"),
        ("I LOVE LONDON MINI BACKPACK", "I Love London Mini Backpack"),
        ("THE KING GIFT BAG 25x24x12cm", "The King Gift Bag 25x24x12cm"),
        ("PINK/WHITE CHRISTMAS TREE 60CM", "Pink/White Christmas Tree 60cm"),
        ("3D TRADITIONAL CHRISTMAS STICKERS", "3D Traditional Christmas Stickers"),
        ("NURSERY A,B,C PAINTED LETTERS", "Nursery A, B, C Painted Letters"),
        ("DOORMAT KEEP CALM AND COME IN", "Doormat Keep Calm and Come In"),
        ("SILVER/M.O.P PENDANT", "Silver/M.O.P Pendant"),
    ],
)
def test_titles_read_well(description: str, title: str) -> None:
    assert readable_title(description) == title


@pytest.mark.parametrize(
    ("title", "department"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "lighting"),
        ("EASTER BUNNY WREATH", "easter"),
        ("RING OF ROSES BIRTHDAY CARD", "stationery"),
        ("RED ENAMEL FLOWER RING", "jewellery"),
        ("FRENCH LATTICE CUSHION COVER", "textiles"),
        ("JUMBO BAG RED RETROSPOT", "bags"),
        ("SKULLS", "decor"),
        ("BICYCLE PUNCTURE REPAIR KIT", "gifts"),
    ],
)
def test_the_department_is_told_from_the_name(title: str, department: str) -> None:
    assert department_of(title) == department


SOURCE = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,2,2010-12-01 08:26:00,2.95,17850.0,United Kingdom
536366,22633,HAND WARMER UNION JACK,6,2010-12-01 08:28:00,1.85,17850.0,United Kingdom
536367,85123A,CREAM HANGING HEART T-LIGHT HOLDER,1,2010-12-02 09:00:00,2.55,13047.0,United Kingdom
536368,POST,POSTAGE,1,2010-12-02 09:01:00,18,13047.0,France
C536369,22633,HAND WARMER UNION JACK,-6,2010-12-02 09:02:00,1.85,17850.0,United Kingdom
536370,22633,HAND WARMER UNION JACK,6,2010-12-02 09:03:00,1.85,,United Kingdom
536371,22633,HAND WARMER UNION JACK,1,2010-12-02 09:04:00,0,13047.0,United Kingdom
"""


def test_the_builder_keeps_what_customers_bought_and_says_what_it_drops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with gzip.open(tmp_path / "source.csv.gz", "wt", encoding="utf-8") as out:
        out.write(SOURCE)
    monkeypatch.setattr(build_online_retail, "HERE", tmp_path)
    build_online_retail.main(tmp_path / "source.csv.gz")
    assert read_products(tmp_path / "shop_products.csv") == [
        {
            "code": "22633",
            "title": "Hand Warmer Union Jack",
            "description": "",
            "department": "bath",
            "price": "1.85",
        },
        {
            "code": "85123A",
            "title": "White Hanging Heart T-Light Holder",
            "description": "Also sold as Cream Hanging Heart T-Light Holder.",
            "department": "lighting",
            "price": "2.55",
        },
    ]
    first, second, third = read_purchases(tmp_path / "shop_purchases.xz")
    # Two lines of one product on one invoice are one line of 6 + 2.
    assert first == Purchase(536365, START, 17850, (PurchasedLine(1, 8),))
    assert second.lines == (PurchasedLine(0, 6),)
    assert third.customer == 13047
    output = capsys.readouterr().out
    assert "4 usable rows -> 2 products, 2 customers, 3 invoices, 3 lines" in output
    dropped = {"not a product": 1, "cancelled": 1, "no customer": 1, "nothing paid": 1}
    assert output.strip().endswith(f"dropped {dropped}")


def test_courses_are_half_english_half_chinese_and_prerequisites_make_sense() -> None:
    courses = {course["code"]: course for course in read_lines("school_courses.jsonl")}
    languages = Counter(course["language"] for course in courses.values())
    assert len(courses) >= 130
    assert abs(languages["en"] - languages["zh"]) <= 5
    for course in courses.values():
        for code in course.get("prerequisites", ()):
            before = courses[code]
            assert before["level"] <= course["level"], (course["code"], code)
            assert before["language"] == course["language"], (course["code"], code)

    def ancestors(code: str, seen: tuple[str, ...] = ()) -> None:
        assert code not in seen, f"a circle through {code}"
        for before in courses[code].get("prerequisites", ()):
            ancestors(before, (*seen, code))

    for code in courses:
        ancestors(code)


def test_the_school_has_the_courses_that_the_documentation_speaks_of() -> None:
    courses = read_lines("school_courses.jsonl")
    titles = {course["title"] for course in courses}
    assert {"机器学习入门", "Introduction to Machine Learning"} <= titles
    assert any("清华大学" in course["description"] for course in courses)
    assert any("<p>" in course["description"] for course in courses)


def test_learners_are_drawn_again_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_school_learners, "HERE", tmp_path)
    courses = (FIXTURES / "school_courses.jsonl").read_bytes()
    (tmp_path / "school_courses.jsonl").write_bytes(courses)
    build_school_learners.main()
    drawn = (tmp_path / "school_learners.jsonl").read_text(encoding="utf-8")
    assert drawn == (FIXTURES / "school_learners.jsonl").read_text(encoding="utf-8")


def test_some_learners_have_interests_but_no_enrolment_yet() -> None:
    learners = read_lines("school_learners.jsonl")
    assert len(learners) >= 200
    assert sum(not learner["enrolments"] for learner in learners) == len(learners) // 12
    assert all(learner["interests"] for learner in learners)


FACTS = """
import json
from django.contrib.auth.models import User
from django.db.models import Max
from django.utils import timezone
from llmrec_plugin.models import Interaction
from project.school.models import Course, Enrolment
from project.shop.models import Invoice, InvoiceLine, Product
from django.test import Client
visitor = Client(SERVER_NAME="localhost")
def visit(path):
    answer = visitor.get(path)
    return [answer.status_code, "index is not built yet" in answer.content.decode()]
def days_ago(model):
    return (timezone.now().date() - model.objects.aggregate(last=Max("created"))["last"].date()).days
items = [*Product.objects.all(), *Course.objects.all()]
for item in items:
    item.full_clean(validate_unique=False)
print(json.dumps({
    "events": [Interaction.objects.filter(kind=kind).count() for kind in ("purchase", "enrol")],
    "rows": [InvoiceLine.objects.count(), Enrolment.objects.count()],
    "days_ago": [days_ago(Invoice), days_ago(Enrolment)],
    "valid": len(items),
    "unbuilt": [visit(path) for path in ("/search/?q=mug", items[0].get_absolute_url(), "/")],
    "logins": [user.username for user in User.objects.all() if user.has_usable_password()],
}))
"""


@dataclass(frozen=True)
class Loaded:
    """A demo site with a cut catalogue."""

    first: str
    """What load_demo said."""
    second: str
    """What it said when it was run again."""
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("demo")
    cut_fixtures(folder / "fixtures", every=120)
    environment = demo_environment(folder)
    manage("migrate", "--verbosity=0", environment=environment)
    first, second = (manage("load_demo", environment=environment) for _ in range(2))
    facts = manage("shell", "--no-imports", "--command", FACTS, environment=environment)
    return Loaded(first, second, json.loads(facts))


def test_load_demo_says_what_it_loaded_and_leaves_it_alone_the_second_time(loaded: Loaded) -> None:
    assert "153 courses, 240 learners, 1502 enrolments (loaded)" in loaded.first
    assert "admin: user admin, password admin" in loaded.first
    assert loaded.second.count("(there already)") == 2
    for word in ("(loaded)", "taken over", "password"):
        assert word not in loaded.second


def test_every_row_of_the_site_is_known_as_an_event(loaded: Loaded) -> None:
    assert loaded.facts["events"] == loaded.facts["rows"]


def test_the_last_purchase_and_enrolment_fell_on_the_day_before_loading(loaded: Loaded) -> None:
    purchase, enrolment = loaded.facts["days_ago"]
    assert purchase in (1, 2)  # 2: loaded just before midnight
    assert enrolment in (1, 2)


def test_sample_users_cannot_log_in(loaded: Loaded) -> None:
    assert loaded.facts["logins"] == ["admin"]


def test_every_product_and_course_is_valid(loaded: Loaded) -> None:
    assert loaded.facts["valid"] > 153


def test_without_an_index_the_pages_say_how_to_build_one(loaded: Loaded) -> None:
    search, item, home = loaded.facts["unbuilt"]
    assert search == item == [200, True]
    assert home[0] == 200


def test_viewing_as_somebody_else_is_off_outside_the_demo() -> None:
    with override_settings(DEMO=False), pytest.raises(MiddlewareNotUsed):
        ViewAsMiddleware(lambda request: HttpResponse())
