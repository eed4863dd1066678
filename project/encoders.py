"""`python -m project.encoders` loads each encoder of the site once, so that DATA_DIR holds what they need."""

from __future__ import annotations

import django


def main() -> None:
    django.setup()
    from llmrec_plugin.documents import registry
    from llmrec_plugin.encoders import load_encoder

    for spec in {document.encoder_spec().name: document.encoder_spec() for document in registry}.values():
        print(spec.name, load_encoder(spec).id)  # noqa: T201


if __name__ == "__main__":
    main()
