"""Suites that hold what a site writes of its own to what the plugin counts on; for pytest, never for serving.

A test module inherits the contract of the role and says what is to be tested: docs/extending.md shows each.
Needs the extra `contracts`: pytest, pytest-django and hypothesis.
"""

from pkgutil import iter_modules

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError

if not extras.is_installed("contracts"):
    raise ConfigurationError(extras.missing("contracts", "llmrec_plugin.contracts"))

import pytest

# An assertion that fails shows both sides, as in test modules of the site.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
