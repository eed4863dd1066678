"""What a WSGI server serves."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()

from llmrec_plugin.services.serving import warm_up  # noqa: E402  (needs the apps to be loaded)

warm_up()
