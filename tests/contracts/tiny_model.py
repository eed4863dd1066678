"""Makes small sentence-transformers folders with drawn weights: one token per byte, 32 numbers per vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def make_tiny_model(
    folder: Path, *, static: bool = False, fourier: bool = False, offset: float = 0.0
) -> Path:
    """`static`: word vectors without layers; `fourier`: layers that torch runs in float32 only;
    `offset`: added to every number, then taken away at the end."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding

    torch.manual_seed(7)
    tokenizer = _byte_tokenizer()
    modules: list[Any]
    if static:
        modules = [StaticEmbedding(tokenizer, embedding_dim=32)]
    else:
        bare = folder.parent / f"{folder.name}-bare"
        _save_layers(bare, tokenizer, offset, fourier=fourier)
        modules = [Transformer(str(bare)), Pooling(32, "mean")]
    if offset:
        last = Dense(32, 32, bias=True, activation_function=torch.nn.Identity())
        with torch.no_grad():
            last.linear.weight.copy_(torch.eye(32))
            last.linear.bias.fill_(-offset)
        modules.append(last)
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def make_tiny_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """Reads pairs of texts, and knows nothing of them."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    tokenizer = _byte_tokenizer()
    model = BertForSequenceClassification(
        BertConfig(**_sizes(tokenizer), num_attention_heads=2, num_labels=labels)
    )
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(8) if weights.ndim > 1 else None
    model.save_pretrained(folder)
    _save_tokenizer(folder, tokenizer)
    return folder


def add_word_guesser(folder: Path) -> Path:
    """Give the model a head that guesses masked words, with drawn weights."""
    from transformers import BertForMaskedLM, BertModel

    inner = BertModel.from_pretrained(folder, add_pooling_layer=False)
    whole = BertForMaskedLM(inner.config)
    whole.bert = inner
    whole.save_pretrained(folder)
    return folder


def _save_layers(folder: Path, tokenizer: Any, offset: float, *, fourier: bool) -> None:
    import torch
    from transformers import BertConfig, BertModel, FNetConfig, FNetModel

    sizes = _sizes(tokenizer)
    model = (
        FNetModel(FNetConfig(**sizes)) if fourier else BertModel(BertConfig(**sizes, num_attention_heads=2))
    )
    with torch.no_grad():
        for weights in model.parameters():  # the usual scale of 0.02 would make all texts alike
            weights.mul_(8) if weights.ndim > 1 else None
        model.encoder.layer[-1].output.LayerNorm.bias.fill_(offset)
    model.save_pretrained(folder)
    _save_tokenizer(folder, tokenizer)


def _sizes(tokenizer: Any) -> dict[str, int]:
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }


def _save_tokenizer(folder: Path, tokenizer: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=64,
    ).save_pretrained(folder)


def _byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    alphabet = ["<pad>", "<unk>", "<s>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {letter: number for number, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return tokenizer
