"""`python -m project.healthcheck`: ends with 1 unless the web server of this container answers."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

PATH = "/api/health/live/"
SECONDS = 4.0


def main() -> int:
    """Asks as a proxy would: under a name that the site answers to."""
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*") or "localhost"
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=SECONDS)
    try:
        connection.request("GET", PATH, headers={"Host": host})
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
