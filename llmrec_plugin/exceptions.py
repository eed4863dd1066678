"""Every way this package fails, in one tree; each message names the cause and the cure.

LlmrecError
├── ConfigurationError          settings, documents or rows that cannot work as written
│   ├── DocumentError           a SearchDocument or UserDocument that contradicts its model
│   └── EncoderMismatch         the encoder at hand is not the one the vectors were made with
├── NotFound                    a label, item, placement or version that does not exist
│   ├── ItemNotFound            the item that a list is about is not to be found, or not by this document
│   └── NotBuilt                a document without a live index: `manage.py llmrec build`
├── InvalidRequest              what the caller asked cannot be answered; says which parameter
│   └── InvalidCursor           a cursor that is malformed, forged or past its lifetime
│       └── CursorOfAnother     a cursor that another visitor was given
├── InvalidVector               zero, non-finite or wrongly sized vectors
├── IndexConflict               an index of that name exists with another schema
├── LeaseLost                   somebody else holds the lock, or took it over
├── TrainingStopped             a training ran into its time budget, or was told to end
├── BackendUnavailable          the search engine does not answer
│   └── IndexDamaged            what is there under the name of an index cannot be read, and never will
├── EvaluationFailed            the process that measures broke off
├── EncoderUnavailable          the text encoder cannot be loaded or does not answer
└── TrainingFailed              an encoder could not be tuned; the live model is untouched
"""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "ConfigurationError",
    "CursorOfAnother",
    "DocumentError",
    "EncoderMismatch",
    "EncoderUnavailable",
    "EvaluationFailed",
    "IndexConflict",
    "IndexDamaged",
    "InvalidCursor",
    "InvalidRequest",
    "InvalidVector",
    "ItemNotFound",
    "LeaseLost",
    "LlmrecError",
    "NotBuilt",
    "NotFound",
    "TrainingFailed",
    "TrainingStopped",
]


class LlmrecError(Exception):
    """Base of all errors of this package; `code` is stable and safe to show to API clients."""

    code = "error"


class ConfigurationError(LlmrecError):
    code = "configuration"


class DocumentError(ConfigurationError):
    code = "document"


class EncoderMismatch(ConfigurationError):
    code = "encoder_mismatch"


class NotFound(LlmrecError):
    code = "not_found"


class ItemNotFound(NotFound):
    pass


class NotBuilt(NotFound):
    code = "not_built"


class InvalidRequest(LlmrecError):
    """`parameter` names what the caller sent wrong; empty when it is the request as a whole."""

    code = "invalid_request"

    def __init__(self, message: str, *, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


class InvalidCursor(InvalidRequest):
    code = "invalid_cursor"

    def __init__(self, message: str) -> None:
        super().__init__(message, parameter="cursor")


class CursorOfAnother(InvalidCursor):
    code = "not_found"


class InvalidVector(LlmrecError):
    code = "invalid_vector"


class IndexConflict(LlmrecError):
    code = "index_conflict"


class LeaseLost(LlmrecError):
    code = "lease_lost"


class TrainingStopped(LlmrecError):
    code = "training_stopped"


class BackendUnavailable(LlmrecError):
    code = "backend_unavailable"


class IndexDamaged(BackendUnavailable):
    code = "index_damaged"


class EncoderUnavailable(LlmrecError):
    code = "encoder_unavailable"


class EvaluationFailed(LlmrecError):
    code = "evaluation_failed"


class TrainingFailed(LlmrecError):
    code = "training_failed"
