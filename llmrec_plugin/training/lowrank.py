"""Low-rank additions (LoRA, by peft) to the layers of a model, and merging them into its weights."""

from __future__ import annotations

from typing import Any

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError

NAMES = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "Wqkv")
"""What the two matrices of attention that are added to are called in the usual architectures."""


def add_low_rank(model: Any, *, rank: int, layers: int) -> None:
    """Freeze the model and add trainable matrices of that rank; `layers`: to the last so many, 0: to all."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigurationError(
            extras.missing("train", 'The training option method = "lora"', error=error) + ' Or choose "full".'
        ) from error
    transformer = model.transformers_model
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=_targets(transformer, layers),
    )
    inject_adapter_in_model(config, transformer)


def _targets(transformer: Any, layers: int) -> list[str]:
    """Full names of the modules that are added to."""
    found = [name for name, _ in transformer.named_modules() if name.rpartition(".")[2] in NAMES]
    numbers = {name: [int(part) for part in name.split(".") if part.isdigit()] for name in found}
    if not found or (layers and not all(numbers.values())):
        raise ConfigurationError(
            'The training option method "lora" knows no matrices of attention in '
            f'{type(transformer).__name__}. Choose "full".'
        )
    if not layers:
        return found
    last = max(number[0] for number in numbers.values())
    return [name for name in found if numbers[name][0] > last - layers]


def merge_low_rank(model: Any) -> None:
    """Add what was learned to the weights and leave a plain model; one without additions stays as it is."""
    transformer = model.transformers_model
    for name, module in list(transformer.named_modules()):
        if hasattr(module, "lora_A"):
            module.merge()
            parent = transformer.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], module.get_base_layer())
