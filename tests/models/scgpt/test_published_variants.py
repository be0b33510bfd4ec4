"""Every option of published checkpoints against the networks written out from stock layers."""

from functools import partial

import pytest
import torch

from pertura.core.errors import BadDataError
from pertura.models.scgpt.convert import weights_digest
from pertura.models.scgpt.foreign import load_foreign, published_weights, read_weights
from pertura.models.scgpt.own_checkpoint import read_own_checkpoint, write_own_checkpoint
from written_out_networks import PAD, Variant, WrittenOut, published, slow_path

GO = ("gopt_encoder_c", "gopt_encoder_f", "gopt_encoder_p")
POOLED = partial(Variant, flags=False, decoder="plain", classes=2, query=True)
STYLES = ("avg-pool", "avg-pool-official", "w-pool")
CASES = {
    "class head of four layers": (Variant(flags=False, decoder="plain", classes=5, class_layers=4), {}),
    "context norm": (Variant(flags=False, decoder="plain", norm="dsbn", domains=3), {}),
    "batch norm": (Variant(flags=False, decoder="plain", norm="bn", query=True), {}),
    "category values": (Variant(flags=False, decoder="plain", values="category"), {}),
    "scaled tokens": (Variant(flags=False, decoder="plain", values="scaling", query=True), {}),
    "batch labels with zero probabilities": (
        Variant(flags=False, decoder="plain", zeros=True, query=True, batches=3, norm="dsbn", domains=3),
        {},
    ),
    "adaptive bias and Softplus": (
        Variant(activation="Softplus", adaptive=True, zeros=True, classes=1),
        {"decoder_activation": "Softplus", "adaptive_bias": True},
    ),
    "Hardtanh": (Variant(activation="Hardtanh"), {"decoder_activation": "Hardtanh"}),
    "ontology, one part": (Variant(decoder="plain", priors=("gopt_encoder_c",)), {}),
    "ontology, all parts apart": (Variant(decoder="plain", priors=GO), {}),
    "text and ontology": (Variant(decoder="plain", priors=("genept_encoder", "gopt_encoder_f"), classes=1), {}),
    **{f"pooling {style}": (POOLED(pooling=style), {"pooling": style}) for style in STYLES},
}


def asked(variant):
    stream = torch.Generator().manual_seed(3)
    ids = torch.randint(0, PAD, (4, 11), generator=stream)
    padding = torch.zeros(ids.shape, dtype=torch.bool)
    padding[1, 7:], padding[3, 4:] = True, True
    values = torch.rand(ids.shape, generator=stream) * 6
    if variant.values == "category":
        values = values.floor()
    values[0, 2] = 0.0
    flags = torch.randint(0, 2, ids.shape, generator=stream) if variant.flags else None
    return ids.masked_fill(padding, PAD), values.masked_fill(padding, 0.0), flags, padding


@pytest.mark.parametrize("case", CASES)
def test_every_output_equals_that_of_the_network_written_out(case, tmp_path):
    variant, told = CASES[case]
    theirs = WrittenOut(variant).eval()
    checkpoint = load_foreign(published(theirs, tmp_path), **told)
    assert checkpoint.report.is_whole
    assert not checkpoint.report.unexpected
    ids, values, flags, padding = asked(variant)
    there = ~padding
    for batch in range(max(variant.batches, variant.domains, 1)):
        contexts = torch.full((len(ids),), batch)
        with torch.no_grad(), slow_path():
            wanted = theirs(ids, values, flags, padding, batch)
            mine = checkpoint.network(ids, values, flags, padding, contexts)
        for name, one in wanted.items():
            answer = getattr(mine, name)
            if one.shape[:2] == ids.shape:
                answer, one = answer[there], one[there]
            torch.testing.assert_close(answer, one, atol=1e-5, rtol=1e-5, msg=f"{name} of batch {batch}")


@pytest.mark.parametrize("case", CASES)
def test_own_and_back_gives_the_same_tensors(case, tmp_path):
    variant, told = CASES[case]
    folder = published(WrittenOut(variant), tmp_path / "published")
    checkpoint = load_foreign(folder, **told)
    digest = weights_digest(read_weights(folder / "best_model.pt"))
    write_own_checkpoint(checkpoint, tmp_path / "own", digest)
    back = read_own_checkpoint(tmp_path / "own", {})
    assert back.config == checkpoint.config
    assert list(published_weights(back)) == list(read_weights(folder / "best_model.pt"))
    assert weights_digest(published_weights(back)) == digest


def test_cells_of_several_contexts_meet_their_own_statistics(tmp_path):
    variant = Variant(flags=False, decoder="plain", norm="dsbn", domains=3)
    checkpoint = load_foreign(published(WrittenOut(variant), tmp_path))
    ids, values, _, padding = asked(variant)
    mixed = torch.tensor([2, 0, 1, 2])
    with torch.no_grad():
        together = checkpoint.network(ids, values, None, padding, mixed).states
        for i, code in enumerate(mixed.tolist()):
            one = slice(i, i + 1)
            alone = checkpoint.network(ids[one], values[one], None, padding[one], torch.tensor([code])).states
            torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_number_types_survive(kind, tmp_path):
    network = WrittenOut(Variant(decoder="plain", priors=("genept_encoder",)))
    if kind is torch.float64:
        network.genept_encoder["embedding"].double()
    else:
        network.to(kind)
    folder = published(network, tmp_path / "published")
    checkpoint = load_foreign(folder)
    write_own_checkpoint(checkpoint, tmp_path / "own", "")
    before, after = network.state_dict(), published_weights(read_own_checkpoint(tmp_path / "own", {}))
    assert all(before[name].dtype == after[name].dtype and torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"nheads": "eight"}, "nheads is 'eight'"),
        ({"nheads": 3}, "3 heads do not divide"),
        ({"dropout": 7}, "dropout is 7"),
        ({"cell_emb_style": "best"}, "pooling"),
        ({"pad_token": "<none>"}, "pad_token is '<none>'"),
        ({"nlayers": 12}, "nlayers 12 but 2 is stored"),
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(args, said, tmp_path):
    folder = published(WrittenOut(Variant()), tmp_path, args)
    with pytest.raises(BadDataError, match=said):
        load_foreign(folder)
