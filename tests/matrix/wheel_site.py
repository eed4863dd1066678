"""Makes a site of Django's own template on the installed wheel: it builds, searches, shows the dashboard, and
has a worker of Django's tasks index what was saved.

`python wheel_site.py FOLDER`, with the Python of an environment that holds the wheel; FOLDER is empty.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

FILES = {
    "books/__init__.py": "",
    "books/migrations/__init__.py": "",
    "books/models.py": """
from django.db import models

class Book(models.Model):
    title = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=6, decimal_places=2)

    def __str__(self):
        return self.title
""",
    "books/search_documents.py": """
from books.models import Book
from llmrec_plugin.documents import SearchDocument, register

@register
class BookDocument(SearchDocument[Book]):
    model = Book
    text_fields = ["title"]
    filter_fields = ["price"]
""",
    "fill.py": """
from books.models import Book
from django.contrib.auth.models import User

for title in ("Bread at home", "The night sky", "机器学习入门"):
    Book.objects.create(title=title, price=18)
User.objects.create_superuser("editor", password="of a test")
""",
    "visit.py": """
import json
from django.test import Client
from django.urls import reverse

client = Client(headers={"host": "localhost"})
found = json.loads(client.get("/api/search/", {"q": "night"}).content)
assert found["results"][0]["title"] == "The night sky", found
assert client.login(username="editor", password="of a test")
page = client.get(reverse("admin:llmrec_plugin_dashboard_changelist"), {"document": "book"})
assert page.status_code == 200 and "dashboard" in page.content.decode().lower(), page.status_code
page = client.post(reverse("admin:books_book_add"), {"title": "Sourdough", "price": "9"})
assert page.status_code == 302, page.content.decode()
""",
}
SETTINGS = """
INSTALLED_APPS += ["django_tasks_db", "rest_framework", "drf_spectacular", "llmrec_plugin", "books"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
LLMREC = {"ENCODER": "llmrec_plugin.encoders.hashing", "TASKS": "django"}
"""
URLS = """
from django.urls import include
urlpatterns += [path("api/", include("llmrec_plugin.api.urls"))]
"""
ADMIN = """
from books.models import Book
from django.contrib import admin
admin.site.register(Book)
"""
WARNINGS = ",".join(
    ["error::DeprecationWarning", "error::PendingDeprecationWarning"]
    + [f"ignore::DeprecationWarning:pypinyin.{name}_dict" for name in ("pinyin", "phrases")]
)
"""Deprecations are errors but for what a package warns of when it is imported."""


def main(folder: Path) -> None:
    _run(folder, "-m", "django", "startproject", "shop", ".")
    for name, text in {**FILES, "books/admin.py": ADMIN}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name, text in {"shop/settings.py": SETTINGS, "shop/urls.py": URLS}.items():
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)
    _manage(folder, "makemigrations", "books")
    _manage(folder, "check", "--fail-level", "WARNING")
    _manage(folder, "migrate", "--verbosity", "0")
    _manage(folder, "shell", "--command", "import fill")
    _manage(folder, "llmrec", "build")
    printed = _manage(folder, "llmrec", "search", "bread")
    assert re.search(r"1\. Bread at home", printed), printed
    _manage(folder, "shell", "--command", "import visit")
    _manage(folder, "db_worker", "--batch")
    printed = _manage(folder, "llmrec", "search", "sourdough")
    assert re.search(r"1\. Sourdough", printed), printed
    where = "import django, llmrec_plugin; print(f'Django {django.__version__} {llmrec_plugin.__file__}')"
    print(
        f"A site with the wheel builds, searches and shows its dashboard: {_run(folder, '-c', where).strip()}"
    )


def _manage(folder: Path, *words: str) -> str:
    return _run(folder, "manage.py", *words)


def _run(folder: Path, *words: str) -> str:
    """Return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    environment |= {"PYTHONWARNINGS": WARNINGS, "PYTHONDONTWRITEBYTECODE": ""}
    finished = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        sys.exit(f"{' '.join(words)}\n{finished.stdout}\n{finished.stderr}")
    return finished.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
