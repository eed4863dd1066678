"""The model card of a tuned encoder: what it was made from and what it is worth."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from llmrec_plugin.figures import figure
from llmrec_plugin.training.base import BaseModel, EncoderTrainingReport, TrainingData, TrainingOptions

logger = logging.getLogger(__name__)

UNKNOWN_LICENSE = "unknown"
WORTH = "## What it is worth"
COLUMNS = ("train_loss", "valid_loss", "metric")


def model_card(
    base: BaseModel, data: TrainingData, options: TrainingOptions, report: Mapping[str, Any]
) -> str:
    """Markdown with the front matter that model hubs read."""
    license_name = base.license or UNKNOWN_LICENSE
    losses = "\n".join(f"| {name} | {value:.4f} |" for name, value in report["valid_loss"].items())
    curve = "\n".join(
        "| " + " | ".join(figure(row[name], ".4g") for name in ("step", *COLUMNS)) + " |"
        for row in report["curve"]
    )
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

| step | training loss | loss on the later pairs | {report["metric"]} on the later pairs |
|---|---|---|---|
{curve}

{WORTH}

Not measured yet: the site that made it measures it on events later than these.
"""


def tell_worth(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write into the card of the model in `folder` what the site measured; a card that cannot be written
    stays as it is. `figures` are those of the verdict."""
    path = folder / "README.md"
    rows = {figures["metric"]: figures, **figures["guard_rails"]}
    table = "\n".join(
        f"| {name} | {figure(row['before'], '.4g')} | {figure(row['after'], '.4g')} |"
        for name, row in rows.items()
    )
    told = (
        f"On the site's {figures['cases']} latest events, which nothing was learned from or chosen by, each "
        "with the best that is made of its vectors. "
        f"Gain {figures['gain']:+.4f} (interval {figures['low']:+.4f} to {figures['high']:+.4f}).\n\n"
        f"| | before | tuned |\n|---|---|---|\n{table}\n"
    )
    try:
        known = path.read_text(encoding="utf-8").partition(WORTH)[0]
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(f"{known}{WORTH}\n\n{told}", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        logger.warning("the card of an encoder stays as it was error=%s", type(error).__name__)


def report_json(report: EncoderTrainingReport, options: TrainingOptions, base: BaseModel) -> str:
    """The same for machines."""
    whole = {**asdict(report), "options": asdict(options), "base": base.name}
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"
