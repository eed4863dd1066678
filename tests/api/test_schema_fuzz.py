"""What the OpenAPI document allows, and what it does not, is answered as it says, for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, settings
from rest_framework.test import APIClient
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.api.conftest import Site

if TYPE_CHECKING:
    from schemathesis import Case

PROBE = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
BEYOND: list[Any] = [
    # The document does not say which items there are, nor what a site of several kinds of them must be told.
    positive_data_acceptance,
    # REST framework takes a number or a choice that is written as text.
    negative_data_rejection,
]

schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())

pytestmark = pytest.mark.usefixtures("unthrottled")


@schema.parametrize()
@PROBE
def test_every_operation_answers_a_stranger_as_documented(case: Case, site: Site) -> None:
    case.call_and_validate(excluded_checks=BEYOND)


@schema.parametrize()
@PROBE
def test_every_operation_answers_staff_about_what_there_is_as_documented(
    case: Case, site: Site, staff_api: APIClient
) -> None:
    """At addresses that exist, and with `explain`, which others may not use."""
    known = {"placement": "for-you", "document": "product", "item_id": site.key("Red kettle")}
    case.path_parameters.update({name: known[name] for name in case.path_parameters})
    if case.operation.query.get("document"):
        case.query["document"] = "product"
    session = staff_api.cookies[django_settings.SESSION_COOKIE_NAME].value
    case.call_and_validate(excluded_checks=BEYOND, cookies={django_settings.SESSION_COOKIE_NAME: session})
