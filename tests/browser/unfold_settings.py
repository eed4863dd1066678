"""The demo site with a theme for its admin."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as PLAIN

INSTALLED_APPS = ["unfold", *PLAIN]
