"""What gunicorn serves while it is measured; started with the environment of the benchmark."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from llmrec_plugin.services.serving import warm_up  # noqa: E402  (needs the apps to be loaded)

warm_up()
