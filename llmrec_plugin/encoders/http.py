"""Encodes through a server with an OpenAI-compatible `/embeddings`, such as TEI, vLLM, Ollama or OpenAI."""

from __future__ import annotations

import json
import logging
import os
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np

from llmrec_plugin import extras
from llmrec_plugin.conf import get_settings
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.identity import encoder_id
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector
from llmrec_plugin.options import Positive, Rule, Seconds, at_least
from llmrec_plugin.types import Matrix

try:
    import httpx
except ImportError as error:
    raise ConfigurationError(extras.missing("http", "An encoder on a server", error=error)) from error

logger = logging.getLogger(__name__)

_RETRIED_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 20.0
_PAUSE_AFTER_FAILED_QUERY = 5.0
"""Seconds in which further queries fail at once: a search must not wait for a server that is down."""


@dataclass(frozen=True, kw_only=True)
class Options:
    model: Annotated[str, Rule(bool, ""), "the name by which the server knows the model"]
    """Name that the server knows the model by."""
    api_key_env: str = ""
    """Name of the environment variable that holds the API key; or put `api_key` into the options."""
    dimensions: Positive | None = None
    """Length of the vectors, asked of the server as well; None: as the model gives, found by a request."""
    query_prompt: str = ""
    document_prompt: str = ""
    revision: str = ""
    """Any text: change it when the server's model was exchanged under the same name."""
    max_characters: Positive = 2000
    """Longer texts are cut, since servers refuse what exceeds their limit in tokens."""
    batch_size: Positive = 64
    timeout: Seconds = 30.0
    """Seconds for one request with documents."""
    query_timeout: Seconds = 3.0
    """Seconds for a query, retries included."""
    retries: Annotated[int, at_least(0)] = 3


def build(spec: EncoderSpec) -> HttpEncoder:
    options = spec.read(Options)
    url = _endpoint(spec.name)
    return HttpEncoder(url, _api_key(spec, options), options)


class HttpEncoder:
    """A client of one model on one server; may be used by several threads at once."""

    def __init__(self, url: str, api_key: str, options: Options) -> None:
        self._url = url
        self._api_key = api_key
        self._options = options
        self._queries_fail_until = 0.0
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers)
        weakref.finalize(self, _close, self._client, os.getpid())
        self.dimensions = options.dimensions or self._measure()
        self.id = encoder_id(
            options.model.rsplit("/", 1)[-1],
            url,
            options.model,
            options.revision,
            options.query_prompt,
            options.document_prompt,
            options.max_characters,
            self.dimensions,
        )

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        options = self._options
        patience = (options.timeout + _LONGEST_PAUSE) * (options.retries + 1)
        parts = [texts[i : i + options.batch_size] for i in range(0, len(texts), options.batch_size)]
        return np.concatenate(
            [self._embed(part, options.document_prompt, time.monotonic() + patience) for part in parts]
        )

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        now = time.monotonic()
        if now < self._queries_fail_until:
            raise EncoderUnavailable(f"{self._url} failed a moment ago; it is tried again in a few seconds.")
        try:
            return self._embed(texts, self._options.query_prompt, now + self._options.query_timeout)
        except EncoderUnavailable:
            self._queries_fail_until = time.monotonic() + _PAUSE_AFTER_FAILED_QUERY
            raise

    def _measure(self) -> int:
        """Length of the server's vectors."""
        limit = time.monotonic() + self._options.timeout
        return len(self._vectors(["length of a vector"], self._options.query_prompt, limit)[0])

    def _embed(self, texts: Sequence[str], prompt: str, limit: float) -> Matrix:
        vectors = self._vectors(texts, prompt, limit)
        lengths = {len(vector) for vector in vectors}
        if lengths != {self.dimensions}:
            raise InvalidVector(
                f"{self._url} returned vectors of {', '.join(map(str, sorted(lengths)))} numbers where "
                f"{self.dimensions} were expected: the server runs another model than {self.id}."
            )
        try:
            return np.array(vectors, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InvalidVector(f"{self._url} returned vectors that are not numbers: {error}.") from error

    def _vectors(self, texts: Sequence[str], prompt: str, limit: float) -> list[list[float]]:
        """One per text, in order; `limit` is when to give up, on the monotonic clock."""
        # An empty input is an error to OpenAI.
        inputs = [_encodable(prompt + text[: self._options.max_characters]) or " " for text in texts]
        body: dict[str, Any] = {"model": self._options.model, "input": inputs, "encoding_format": "float"}
        if self._options.dimensions is not None:
            body["dimensions"] = self._options.dimensions
        content = self._post_until(body, limit)
        try:
            rows = json.loads(content)["data"]
            ordered = {row.get("index", place): list(row["embedding"]) for place, row in enumerate(rows)}
            if sorted(ordered) != list(range(len(texts))) or len(rows) != len(texts):
                raise ValueError(f"{len(rows)} vectors are numbered {sorted(ordered)[:5]}…")
            return [ordered[place] for place in range(len(texts))]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EncoderUnavailable(
                f"{self._url} did not answer with {len(texts)} vectors like an OpenAI-compatible "
                f"/embeddings: {type(error).__name__} {error} in {self._excerpt(content)}"
            ) from error

    def _post_until(self, body: dict[str, Any], limit: float) -> bytes:
        """The content of a good answer; retries what may pass, as long as there is time for it."""
        pause = _FIRST_PAUSE
        for attempt in range(self._options.retries + 1):
            wait = pause
            try:
                status, headers, content = self._post(
                    body, min(self._options.timeout, limit - time.monotonic())
                )
            except httpx.InvalidURL as error:
                raise ConfigurationError(f"The encoder's URL {self._url} is malformed: {error}.") from error
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__} {self._redacted(str(error))}"
            else:
                if status == 200:
                    return content
                problem = self._complaint(status, content)
                if status not in _RETRIED_STATUS:
                    break
                wait = max(pause, _seconds(headers.get("retry-after", "")))
            if attempt == self._options.retries or wait > min(_LONGEST_PAUSE, limit - time.monotonic()):
                break
            logger.warning("encoder retry: url=%s attempt=%d problem=%s", self._url, attempt + 1, problem)
            time.sleep(wait)
            pause *= 2
        raise EncoderUnavailable(f"{self._url} gave no vectors: {problem}")

    def _post(self, body: dict[str, Any], seconds: float) -> tuple[int, httpx.Headers, bytes]:
        """httpx limits each wait for a part of the answer; `seconds` limits all of them."""
        end = time.monotonic() + seconds
        content = bytearray()
        with self._client.stream("POST", self._url, json=body, timeout=max(seconds, 0.001)) as response:
            for part in response.iter_bytes():
                content += part
                if time.monotonic() > end:
                    raise httpx.ReadTimeout(f"the answer took longer than {seconds:.1f} s")
        return response.status_code, response.headers, bytes(content)

    def _complaint(self, status: int, content: bytes) -> str:
        advice = ""
        if status in (401, 403):
            advice = "The API key is missing or refused: set the option api_key_env. "
        elif status == 404:
            advice = "Is the path right (usually it ends in /v1), and the option model? "
        return f"status {status}. {advice}{self._excerpt(content)}".rstrip()

    def _excerpt(self, content: bytes) -> str:
        return self._redacted(content[:300].decode("utf-8", "replace"))

    def _redacted(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _endpoint(name: str) -> str:
    """The address of /embeddings below the encoder's URL."""
    try:
        parts = urlsplit(name)
        usable = bool(parts.hostname) and not (
            parts.username or parts.password or parts.query or parts.fragment
        )
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            "The encoder's URL must be like http://host:port/v1, without credentials or a query: "
            "an API key goes into the option api_key_env."
        )
    url = name.rstrip("/")
    return url if url.endswith("/embeddings") else f"{url}/embeddings"


def _api_key(spec: EncoderSpec, options: Options) -> str:
    """From the environment, the spec, or, for a spec that was stored without it, the settings."""
    settings = get_settings()
    if options.api_key_env:
        key = os.environ.get(options.api_key_env, "")
        if not key:
            raise ConfigurationError(
                f'The option api_key_env names the environment variable "{options.api_key_env}", '
                "which is not set."
            )
    else:
        key = spec.secret
        if not key and spec.name == settings.ENCODER:
            key = str(settings.ENCODER_OPTIONS.get("api_key") or "")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError(f'The API key of the encoder "{spec.name}" has characters that no key has.')
    return key


def _close(client: httpx.Client, owner: int) -> None:
    """Only where the client was opened: after a fork its lock may be held by a thread that is gone."""
    if os.getpid() == owner:
        client.close()


def _encodable(text: str) -> str:
    """Without lone surrogates, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()


def _seconds(header: str) -> float:
    """Of a Retry-After header; 0 for a date, which is left to the growing pauses."""
    return float(header) if header.isdigit() else 0.0
