"""Which network a request comes from, as a short hash: so that one machine does not pass for a crowd.

A visitor's key costs nothing to renew. What others are told of visitors, such as how many viewed an item this
week, therefore counts the visitors of one network once.
"""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from llmrec_plugin.types.results import NETWORK_DIGITS

SALT = "llmrec_plugin.network"
PREFIXES = {4: 24, 6: 48}
"""Bits of an address that its holder cannot easily change; of a private network's address all count."""


def network_hash(request: HttpRequest) -> str:
    """Return NETWORK_DIGITS hexadecimal digits that are the same for all addresses of a network."""
    network = _network(client_address(request))
    return salted_hmac(SALT, network, algorithm="sha256").hexdigest()[:NETWORK_DIGITS]


def client_address(request: HttpRequest) -> str:
    """Return the address that the request came from, empty where there is none.

    Behind REST_FRAMEWORK["NUM_PROXIES"] proxies, what the outermost of them saw. Where the site says nothing,
    a proxy in the same machine or private network is believed, and nobody beyond it.
    """
    direct = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = [
        part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()
    ]
    proxies = getattr(settings, "REST_FRAMEWORK", {}).get("NUM_PROXIES")
    if proxies is None:
        proxies = 1 if _is_private(direct) else 0
    return forwarded[-min(proxies, len(forwarded))] if proxies and forwarded else direct


def _is_private(address: str) -> bool:
    """Return whether it is that of a machine nearby; a socket of the same machine has none."""
    parsed = _parsed(address)
    return parsed is None or parsed.is_private


def _network(address: str) -> str:
    parsed = _parsed(address)
    if parsed is None or parsed.is_private:
        return address
    return str(ipaddress.ip_network((parsed, PREFIXES[parsed.version]), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
