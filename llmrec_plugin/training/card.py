"""The model card of a tuned encoder: what it was made from and what it is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from llmrec_plugin.training.base import BaseModel, TrainingData, TrainingOptions, TrainingReport

UNKNOWN_LICENSE = "unknown"


def model_card(
    base: BaseModel, data: TrainingData, options: TrainingOptions, report: Mapping[str, Any]
) -> str:
    """Markdown with the front matter that model hubs read."""
    license_name = base.license or UNKNOWN_LICENSE
    losses = "\n".join(f"| {name} | {value:.4f} |" for name, value in report["valid_loss"].items())
    facts = "\n".join(f"| {name} | {value} |" for name, value in data.facts.items())
    changed = {
        one.name: getattr(options, one.name)
        for one in fields(options)
        if getattr(options, one.name) != one.default
    }
    return f"""---
library_name: sentence-transformers
base_model: {json.dumps(base.name)}
license: {json.dumps(license_name)}
pipeline_tag: sentence-similarity
---

# {base.name}, tuned on a site's own events

Made by `llmrec train --encoder`. The licence of the base model ({license_name}) holds for it, and what was
learned from the site's events belongs to the site.

## Data

| | |
|---|---|
{facts}
| pairs to learn from | {len(data.train)} |
| pairs to stop by, all later | {len(data.valid)} |
| texts | {len(data.texts)} |

No user is in the data: pairs are of texts only.

## Training

Loss: {options.loss}; method: {options.method}; {report["steps"]} steps ({report["epochs"]:.2f} epochs) in
{report["seconds"]:.0f} s; ended by: {report["stopped"]}; best at step {report["best_step"]}.

Options other than the defaults: `{json.dumps(changed, sort_keys=True)}`

| loss on the later pairs | |
|---|---|
{losses}

What it is worth to visitors is measured by the site that made it, on events later than these, and stands in
the report of its row in the site's admin (tuned encoders).
"""


def report_json(report: TrainingReport, options: TrainingOptions, base: BaseModel) -> str:
    """The same for machines."""
    whole = {**asdict(report), "options": asdict(options), "base": base.name}
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"
