"""A small copy of the demo's data, so that tests can load it in seconds."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from project.shop.purchase_file import Purchase, PurchasedLine, read_purchases, write_purchases

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"


def read_products(path: Path = FIXTURES / "shop_products.csv") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cut_fixtures(target: Path, *, every: int) -> None:
    """Each `every`-th invoice with the products on it, and the whole school."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("school_courses.jsonl", "school_learners.jsonl"):
        shutil.copy(FIXTURES / name, target / name)
    purchases = list(read_purchases(FIXTURES / "shop_purchases.xz"))[::every]
    kept = sorted({line.product for purchase in purchases for line in purchase.lines})
    new_row = {old: new for new, old in enumerate(kept)}
    write_purchases(target / "shop_purchases.xz", [_renumbered(purchase, new_row) for purchase in purchases])
    products = read_products()
    with (target / "shop_products.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(products[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(products[row] for row in kept)


def _renumbered(purchase: Purchase, new_row: dict[int, int]) -> Purchase:
    lines = tuple(PurchasedLine(new_row[line.product], line.quantity) for line in purchase.lines)
    return Purchase(purchase.number, purchase.at, purchase.customer, lines)


def demo_environment(folder: Path) -> dict[str, str]:
    """Settings of a demo site of its own in `folder`, without any model of language."""
    hashing = "llmrec_plugin.encoders.hashing"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DEBUG": "1",
        "DATABASE_PATH": str(folder / "demo.sqlite3"),
        "LLMREC_DATA_DIR": str(folder / "index"),
        "DEMO_FIXTURES": str(folder / "fixtures"),
        "LLMREC_ENCODER": hashing,
        "SHOP_ENCODER": hashing,
    }


def manage(*arguments: str, environment: dict[str, str]) -> str:
    """Output of one command of the demo site; AssertionError with all it wrote when it fails."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
