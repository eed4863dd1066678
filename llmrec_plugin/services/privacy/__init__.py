"""Consent, and the rights that follow from it: to read, to take along, to be forgotten."""

from llmrec_plugin.services.privacy.consent import consent_of, may_personalise, set_consent
from llmrec_plugin.services.privacy.erasure import EraseReport, erase_user
from llmrec_plugin.services.privacy.export import export_user

__all__ = ["EraseReport", "consent_of", "erase_user", "export_user", "may_personalise", "set_consent"]
