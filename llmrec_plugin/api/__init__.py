"""The REST interface: `path("api/", include("llmrec_plugin.api.urls"))`."""
