"""What network a published checkpoint holds, told by its keys and shapes; `args.json` and keywords say the rest."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from pertura.core.errors import BadDataError
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.config import Pooling, PriorConfig, ScGPTConfig, ValueStyle
from pertura.models.scgpt.names import Layout

HEADS, DROPOUT = 8, 0.2


@dataclass(frozen=True)
class Told:
    """What neither keys nor `args.json` can tell; None is the published models' value."""

    decoder_activation: str | None = None
    adaptive_bias: bool = False
    pooling: Pooling | None = None
    value_style: ValueStyle | None = None
    flag_pad: int | None = None
    heads: int | None = None
    dropout: float | None = None


def recognise(
    own: Mapping[str, Tensor], layout: Layout, args: Mapping[str, Any], pad_id: int, told: Told
) -> ScGPTConfig:
    """Return the configuration of the network whose weights (under our names) these are.

    Raises `BadDataError` where the gene table is missing, or `args.json` contradicts the shapes.
    """
    if "genes.table.weight" not in own:
        raise BadDataError(
            "there is no gene table (encoder.embedding.weight); a random one would answer with noise",
            remedy="give the whole checkpoint",
        )
    try:
        config = _config(own, layout, args, pad_id, told)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadDataError(f"{place}: {first['msg'].lower()}", remedy="check args.json and the keywords") from error
    _check_against(config, args)
    return config


def _config(own: Mapping[str, Tensor], layout: Layout, args: Mapping[str, Any], pad_id: int, told: Told) -> ScGPTConfig:
    vocab_size, width = own["genes.table.weight"].shape
    bins = _rows(own, "values.tokens.table.weight", _whole(args, "n_bins", 51))
    return ScGPTConfig(
        vocab_size=vocab_size,
        pad_id=pad_id,
        width=width,
        heads=told.heads or _whole(args, "nheads", HEADS),
        hidden=_rows(own, "encoder.layers.0.linear1.weight", width),
        layers=_count(own, r"encoder\.layers\.(\d+)\."),
        dropout=_share(args, "dropout", DROPOUT) if told.dropout is None else told.dropout,
        value_style=_value_style(own, told),
        bins=bins,
        category_pad=_category_pad(own, args, bins),
        flags="flags.weight" in own,
        flag_pad=_flag_pad(own, told),
        decoder="affine" if "decoder.coefficient.maps.0.weight" in own else "plain",
        decoder_activation=told.decoder_activation,
        adaptive_bias=told.adaptive_bias,
        explicit_zero="decoder.zero.maps.0.weight" in own,
        query_decoder="query_decoder.query.weight" in own,
        context_labels=_rows(own, "context_labels.table.weight", 0),
        input_norm=_input_norm(own, layout),
        norm_contexts=_count(own, r"input_norm\.norms\.(\d+)\."),
        classes=_rows(own, "class_head.last.weight", 0),
        class_layers=_count(own, r"class_head\.maps\.(\d+)\.") + 1,
        pooling=told.pooling or args.get("cell_emb_style", "cls"),
        priors=tuple(_prior(own, layout, i) for i in range(len(layout.priors))),
        final_norm="final_norm.weight" in own,
    )


def check_vocab(vocab: Vocab, config: ScGPTConfig) -> None:
    """Raise `BadDataError` where the vocabulary names rows that the gene table does not have."""
    last = max(vocab.ids.values())
    if last >= config.vocab_size:
        raise BadDataError(
            f"the vocabulary (special tokens included) goes to id {last}, the gene table has {config.vocab_size} rows",
            remedy="vocab.json and weights belong to different models",
        )


def _whole(args: Mapping[str, Any], name: str, otherwise: int) -> int:
    found = args.get(name, otherwise)
    if type(found) is not int or found < 1:
        raise BadDataError(f"args.json says {name} is {found!r}, which is no number of them")
    return found


def _share(args: Mapping[str, Any], name: str, otherwise: float) -> float:
    found = args.get(name, otherwise)
    if type(found) not in (int, float) or not 0 <= found < 1:
        raise BadDataError(f"args.json says {name} is {found!r}, which is no share")
    return float(found)


def _category_pad(own: Mapping[str, Tensor], args: Mapping[str, Any], bins: int) -> int | None:
    """The bin of padding, whose vector is never trained; `args.json` may count it from the end."""
    pad = args.get("pad_value")
    if "values.tokens.table.weight" not in own or type(pad) is not int or not -bins <= pad < bins:
        return None
    return pad % bins


def _rows(own: Mapping[str, Tensor], name: str, otherwise: int) -> int:
    return int(own[name].shape[0]) if name in own else otherwise


def _count(own: Iterable[str], pattern: str) -> int:
    """Return how many numbered parts there are."""
    return len({match[1] for name in own if (match := re.match(pattern, name))})


def _value_style(own: Mapping[str, Tensor], told: Told) -> ValueStyle:
    found: ValueStyle = "scaling"
    if "values.linear1.weight" in own:
        found = "continuous"
    elif "values.tokens.table.weight" in own:
        found = "category"
    if told.value_style not in (None, found):
        raise BadDataError(
            f"the checkpoint's values are {found}, not {told.value_style}", remedy="leave value_style out"
        )
    return found


def _flag_pad(own: Mapping[str, Tensor], told: Told) -> int | None:
    """The row of a padding flag is zero from the beginning and is never trained."""
    if told.flag_pad is not None or "flags.weight" not in own:
        return told.flag_pad
    return next((row for row in (0, 2) if not own["flags.weight"][row].any()), None)


def _input_norm(own: Mapping[str, Tensor], layout: Layout) -> Any:
    if not any(name.startswith("input_norm.") for name in own):
        return "none"
    return "context" if any(name.removeprefix(layout.prefix).startswith("dsbn.") for name in layout.order) else "batch"


def _prior(own: Mapping[str, Tensor], layout: Layout, place: int) -> PriorConfig:
    beginning = layout.priors[place][0]
    projection = own.get(f"priors.{place}.projection.weight")
    if projection is None:
        raise BadDataError(f"the prior {beginning} has no projection", remedy="give the whole checkpoint")
    return PriorConfig(
        name=beginning,
        width=int(projection.shape[1]),
        placement="scgenept" if f"priors.{place}.norm.weight" in own else "token",
        trainable=f"priors.{place}.table" in own,
        bias=f"priors.{place}.projection.bias" in own,
    )


def _check_against(config: ScGPTConfig, args: Mapping[str, Any]) -> None:
    stated = {"embsize": config.width, "d_hid": config.hidden, "nlayers": config.layers}
    wrong = {name: (args[name], found) for name, found in stated.items() if name in args and args[name] != found}
    if wrong:
        said = ", ".join(f"{name} {one} but {found} is stored" for name, (one, found) in wrong.items())
        raise BadDataError(f"args.json says {said}", remedy="args.json and weights belong to different models")
    if config.width % config.heads:
        raise BadDataError(f"{config.heads} heads do not divide a width of {config.width}", remedy="give heads=")
