"""Settings that know the models of the demo and of the tests: for the type checker alone."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.hostapp", "taggit", "modelcluster", "parler", "tests.strangers"]
SOLD_FIELDS = ""
