"""A site on what `pip install llmrec-plugin` brings and nothing else: it checks, migrates, indexes, searches.

`--hide name …`: modules that it does as if they were not installed. Run by the tests with everything hidden
that an extra brings, and by `make package` in an environment where nothing is there to be hidden (`--bare`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import types
from io import StringIO
from typing import Any

BREAD, TSINGHUA = "Bread bakers", "清华大学 readers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hide", nargs="*", default=[])
    parser.add_argument("--bare", action="store_true", help="fail where the package of an extra is installed")
    options = parser.parse_args()
    for name in options.hide:
        sys.modules[name] = None  # type: ignore[assignment]  # the way to have an import fail
    from llmrec_plugin import extras

    if options.bare and (there := [extra for extra in extras.PACKAGES if extras.is_installed(extra)]):
        sys.exit(f"This environment is not bare: {', '.join(there)}.")
    with tempfile.TemporaryDirectory() as folder:
        _configure(folder)
        told = _tour()
    print(json.dumps(told, ensure_ascii=False, indent=1))
    if not _is_well(told):
        sys.exit("A site without extras does not work.")


def _is_well(told: dict[str, Any]) -> bool:
    found = [next(iter(told[language]), "") for language in ("english", "chinese")]
    mistakes = [message for message in told["checks"] if message.startswith("llmrec_plugin.E")]
    return found == [BREAD, TSINGHUA] and not mistakes


def _configure(folder: str) -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="of a test",
        BASE_DIR=folder,
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "llmrec_plugin", _app()],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        ROOT_URLCONF="bare",
        LLMREC={"ENCODER": "llmrec_plugin.encoders.hashing"},
    )
    django.setup()


def _app() -> str:
    """An app without files: its models are those of `auth`, its urls none."""
    module = types.ModuleType("bare")
    module.__file__ = __file__
    module.__path__ = []
    module.urlpatterns = []  # type: ignore[attr-defined]
    sys.modules["bare"] = module
    return "bare"


def _tour() -> dict[str, Any]:
    """What a developer sees on their first day."""
    from django.contrib.auth.models import Group
    from django.core.checks import run_checks
    from django.core.management import call_command

    from llmrec_plugin import receivers
    from llmrec_plugin.documents import SearchDocument, register

    @register
    class GroupDocument(SearchDocument[Group]):
        model = Group
        label = "group"
        text_fields = {"name": 1}

    receivers.connect()
    told = [f"{message.id}: {message.msg} {message.hint}" for message in run_checks()]
    call_command("migrate", verbosity=0)
    Group.objects.create(name=BREAD)
    call_command("llmrec", "build", stdout=StringIO())
    Group.objects.create(name=TSINGHUA)
    call_command("llmrec", "drain", stdout=StringIO())  # a script has no response after which it is done
    return {
        "checks": told,
        "english": _found("baker"),
        "chinese": _found("清华"),
        "schedule": _refusal("schedule"),
        "urls": _refusal("import"),
    }


def _found(text: str) -> list[str]:
    from django.core.management import call_command

    printed = StringIO()
    call_command("llmrec", "search", text, "--json", stdout=printed)
    return [item["title"] for item in json.loads(printed.getvalue())["results"]]


def _refusal(what: str) -> str:
    """What is said by a command, or by the addresses of REST, that need an extra; empty: they work."""
    from django.core.management import call_command

    try:
        if what == "schedule":
            call_command("llmrec", "schedule", stdout=StringIO())
        else:
            import llmrec_plugin.api.urls  # noqa: F401
    except Exception as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main()
