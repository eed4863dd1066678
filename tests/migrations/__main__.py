"""`python -m tests.migrations`: write down the hashes of the migrations, and a filled database, anew.

Before a release, when its tables are final; what was released is never written again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connections

import llmrec_plugin

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "llmrec_plugin" / "migrations"
HASHES = Path(__file__).with_name("frozen.sha256")


def hashes() -> dict[str, str]:
    """Path from the root -> hash, as `sha256sum` has it."""
    files = sorted(MIGRATIONS.glob("[0-9]*.py"))
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def dump_of(release: str) -> Path:
    return Path(__file__).with_name(f"filled-{release}.sql")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", type=Path, help="a dump: upgrade and use it, and say what came of it")
    dump = parser.parse_args().upgrade
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "site.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.migrations.settings"
        os.environ["LLMREC_TEST_DB"] = str(database)
        os.environ["LLMREC_TEST_DATA"] = f"{folder}/indexes"
        django.setup()
        if dump is not None:
            from tests.migrations import upgraded

            print(json.dumps(upgraded.report(dump, database)))
        else:
            write(database)


def write(database: Path) -> None:
    from tests.migrations import filled

    call_command("migrate", run_syncdb=True, verbosity=0)
    filled.fill()
    connections.close_all()
    target = dump_of(llmrec_plugin.__version__.partition(".dev")[0])
    target.write_text(filled.dump(database), encoding="utf-8")
    HASHES.write_text("".join(f"{value}  {name}\n" for name, value in hashes().items()), encoding="utf-8")
    print(f"{HASHES.name}, {target.name}: {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
