"""The network against the official classes' own outputs on official-format checkpoints with random weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError, MissingError
from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.foreign import ForeignCheckpoint, load_foreign, read_weights, save_foreign
from pertura.models.scgpt.names import layout_of, to_own
from pertura.models.scgpt.network import ScGPTNetwork, ScGPTOutput

REFERENCE = Path(__file__).parents[2] / "reference/scgpt"
CASES = ("pretrained", "generator_pad0", "generator_pad2", "scgenept_ncbi")
NAMED = {
    "out_mlm_output": "expression",
    "out_cell_emb": "cell_embedding",
    "out_cls_output": "class_logits",
    "out_mvc_output": "query_expression",
    "encoded": "states",
}


def golden(case: str) -> dict[str, torch.Tensor]:
    with np.load(REFERENCE / case / "golden.npz") as stored:
        return {name: torch.from_numpy(np.asarray(stored[name])) for name in stored.files}


def answer(checkpoint: ForeignCheckpoint, wanted: dict[str, torch.Tensor]) -> ScGPTOutput:
    with torch.no_grad():
        return checkpoint.network(
            wanted["src"], wanted["values"], wanted.get("pert_flags"), wanted.get("key_padding_mask")
        )


@pytest.mark.parametrize("case", CASES)
def test_outputs_equal_the_official_ones_where_there_is_a_gene(case):
    wanted = golden(case)
    output = answer(load_foreign(REFERENCE / case), wanted)
    there = ~wanted.get("key_padding_mask", torch.zeros(wanted["src"].shape, dtype=torch.bool))
    compared = 0
    for name, ours in NAMED.items():
        if name in wanted:
            mine, theirs = getattr(output, ours), wanted[name]
            if mine.shape[:2] == there.shape:
                mine, theirs = mine[there], theirs[there]
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("case", CASES)
def test_a_published_checkpoint_comes_back_key_for_key(case, tmp_path):
    checkpoint = load_foreign(REFERENCE / case)
    save_foreign(checkpoint, tmp_path)
    before = torch.load(REFERENCE / case / "best_model.pt", weights_only=True)
    after = torch.load(tmp_path / "best_model.pt", weights_only=True)
    assert list(before) == list(after)
    assert all(before[name].dtype == after[name].dtype for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("old", "new"), [("Wqkv.", "in_proj_"), ("Wqkv.", "_impl.Wqkv."), ("", "")])
def test_every_naming_of_attention_loads_to_the_same_network(old, new, tmp_path):
    """The third case is the prefix that distributed training leaves."""
    folder = tmp_path / "renamed"
    shutil.copytree(REFERENCE / "generator_pad2", folder)
    weights = torch.load(folder / "best_model.pt", weights_only=True)
    if new:
        renamed = {
            name.replace(old, new).replace(
                "self_attn.out_proj", "self_attn._impl.out_proj" if "_impl" in new else "self_attn.out_proj"
            ): one
            for name, one in weights.items()
        }
    else:
        renamed = {f"module.{name}": one for name, one in weights.items()}
    torch.save(renamed, folder / "best_model.pt")
    mine, theirs = load_foreign(folder), load_foreign(REFERENCE / "generator_pad2")
    for name, one in theirs.network.state_dict().items():
        assert torch.equal(mine.network.state_dict()[name], one)
    save_foreign(mine, tmp_path / "back")
    assert list(read_weights(tmp_path / "back/best_model.pt")) == list(renamed)


def test_what_a_checkpoint_is_is_told_by_its_keys():
    configs = {case: load_foreign(REFERENCE / case).config for case in CASES}
    assert [configs[case].flags for case in CASES] == [False, True, True, True]
    assert [configs[case].flag_pad for case in CASES] == [None, 0, 2, 2]
    assert [configs[case].decoder for case in CASES] == ["plain", "affine", "affine", "plain"]
    assert [configs[case].final_norm for case in CASES] == [False, False, False, True]
    assert configs["scgenept_ncbi"].priors[0].trainable
    assert load_foreign(REFERENCE / "pretrained").report.unexpected == ("flag_encoder.weight",)


def altered(tmp_path: Path, change) -> Path:
    folder = tmp_path / "altered"
    shutil.copytree(REFERENCE / "generator_pad2", folder)
    weights = torch.load(folder / "best_model.pt", weights_only=True)
    change(weights)
    torch.save(weights, folder / "best_model.pt")
    return folder


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("encoder.embedding.weight", "gene table"),
        ("decoder.coeff_decoder.fc.2.bias", "missing"),
        ("transformer_encoder.layers.1.norm1.weight", "missing"),
    ],
)
def test_a_checkpoint_with_a_hole_is_refused(tmp_path, key, said):
    with pytest.raises(BadDataError, match=said):
        load_foreign(altered(tmp_path, lambda weights: weights.pop(key)))


def test_a_table_of_another_vocabulary_is_refused(tmp_path):
    def shrink(weights):
        weights["encoder.embedding.weight"] = weights["encoder.embedding.weight"][:50].clone()

    with pytest.raises(BadDataError, match="vocabulary"):
        load_foreign(altered(tmp_path, shrink))


def test_a_prior_that_is_not_stored_is_asked_for_by_name(tmp_path):
    def add(weights):
        weights["gene_prior.projection.weight"] = torch.randn(32, 7)
        weights["gene_prior.projection.bias"] = torch.randn(32)

    with pytest.raises(MissingError, match=r"gene_prior.*7 wide"):
        load_foreign(altered(tmp_path, add))


def test_padding_changes_nothing_in_either_mode():
    checkpoint, wanted = load_foreign(REFERENCE / "pretrained", dropout=0.0), golden("pretrained")
    padding, ids, values = wanted["key_padding_mask"], wanted["src"].clone(), wanted["values"].clone()
    first = answer(checkpoint, wanted)
    ids[padding], values[padding] = 3, 17.0
    for mode in (True, False):
        network = checkpoint.network.train(mode)
        with torch.no_grad():
            other = network(ids, values, None, padding)
        torch.testing.assert_close(other.states, first.states, atol=1e-5, rtol=1e-5)


def test_cells_that_share_their_genes_may_share_the_row_of_ids():
    checkpoint, wanted = load_foreign(REFERENCE / "scgenept_ncbi"), golden("scgenept_ncbi")
    shared = wanted["src"][:1]
    whole = {**wanted, "src": shared.expand(len(wanted["values"]), -1)}
    one, each = answer(checkpoint, {**wanted, "src": shared}), answer(checkpoint, whole)
    torch.testing.assert_close(one.expression, each.expression, atol=1e-6, rtol=1e-6)


def test_the_whole_human_generator_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = ScGPTNetwork(ScGPTConfig(classes=1))
    assert round(sum(one.numel() for one in network.parameters()) / 1e6, 2) == 51.86


def test_own_names_cover_every_published_key_but_the_flag_encoder():
    for case in CASES:
        weights = read_weights(REFERENCE / case / "best_model.pt")
        _, rest = to_own(weights, layout_of(weights))
        assert set(rest) <= {"flag_encoder.weight"}


def test_a_training_step_equals_the_official_one():
    for case in ("generator_pad0", "generator_pad2"):
        wanted, checkpoint = golden(case), load_foreign(REFERENCE / case, dropout=0.0)
        network = checkpoint.network.train()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
        output = network(wanted["src"], wanted["values"], wanted["pert_flags"])
        loss = torch.nn.functional.mse_loss(output.expression, wanted["target"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        torch.testing.assert_close(loss.detach(), wanted["loss"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(norm, wanted["grad_norm"], atol=1e-5, rtol=1e-5)
        expected = {name.partition("|")[2]: one for name, one in wanted.items() if name.startswith("after_step|")}
        assert expected
        own, rest = to_own(expected, layout_of(expected))
        assert not rest
        for name, one in own.items():
            torch.testing.assert_close(network.state_dict()[name], one, atol=1e-5, rtol=1e-5)
