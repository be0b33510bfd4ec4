"""A protein's vector is the mean over its own residues, however it is batched, cut in windows, or interrupted.

The models have random weights, so that every claim is checked against the model itself, called one protein at a time.
"""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import EsmConfig, EsmModel, EsmTokenizer

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.encoders import esm
from pertura.priors.encoders.esm import CELLFLOW, EsmEncoder, Reading
from pertura.priors.encoders.vector_cache import VectorCache
from pertura.priors.encoders.windows import windows

ALPHABET = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
RESIDUES = "LAGVSERTIDPKQNFYMHWC"
CLOSE = {"rtol": 1e-4, "atol": 2e-6}
"""Numbers computed in another batch agree within float32 rounding."""
SHORT = Reading(longest=24, overlap=6, tokens=90)


def proteins(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(RESIDUES), size=length)) for length in lengths]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a tiny model, as the hub lays it out."""
    folder = tmp_path_factory.mktemp("model") / "esm2_tiny"
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=33,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        pad_token_id=1,
        mask_token_id=32,
        token_dropout=True,
        emb_layer_norm_before=False,
        initializer_range=0.5,
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(ALPHABET))
    return folder


@pytest.fixture(scope="module")
def network(model):
    return EsmModel.from_pretrained(model, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def tokenizer(model):
    return EsmTokenizer.from_pretrained(model)


@pytest.fixture
def encoder(model, tmp_path):
    return lambda name="cache", **options: EsmEncoder(str(model), cache=tmp_path / name, **options)


@torch.inference_mode()
def tokens_of(network, tokenizer, sequence, **options):
    """The last layer for one protein alone, special tokens included."""
    return network(**tokenizer(sequence, return_tensors="pt", **options)).last_hidden_state[0].double().numpy()


def test_a_vector_is_the_mean_over_the_residues_alone(encoder, network, tokenizer):
    sequences = proteins([3, 17, 40])
    expected = [tokens_of(network, tokenizer, one)[1:-1].mean(axis=0) for one in sequences]
    found = encoder().encode(sequences)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_special_tokens_would_change_it(encoder, network, tokenizer):
    sequence = proteins([5])
    with_specials = tokens_of(network, tokenizer, sequence[0]).mean(axis=0)
    assert np.abs(encoder().encode(sequence)[0] - with_specials).max() > 1e-2


def test_batched_equals_one_by_one_and_the_order_has_no_influence(encoder):
    sequences = proteins([9, 2, 30, 31, 9, 64, 12, 5])
    together = encoder("a").encode(sequences)
    alone = encoder("b")
    np.testing.assert_allclose(together, np.concatenate([alone.encode([one]) for one in sequences]), **CLOSE)
    np.testing.assert_array_equal(encoder("c").encode(sequences[::-1]), together[::-1])


def test_a_repeated_protein_has_one_vector(encoder):
    first, second = proteins([8, 9])
    table = encoder().encode([first, second, first])
    np.testing.assert_array_equal(table[0], table[2])
    assert encoder().encode([]).shape == (0, 0)


def test_padding_has_no_influence(encoder, network, tokenizer):
    short, long = proteins([4, 60])
    table = encoder(reading=Reading(tokens=4096)).encode([short, long])
    np.testing.assert_allclose(table[0], tokens_of(network, tokenizer, short)[1:-1].mean(axis=0), **CLOSE)


@pytest.mark.parametrize("residues", [1, 23, 24, 25, 42, 43, 100, 1000])
def test_windows_cover_each_residue_once_and_read_as_much_as_they_may(residues):
    found = windows(residues, 24, 6)
    assert [one for window in found for one in range(window.first, window.last)] == list(range(residues))
    assert all(window.start <= window.first < window.last <= window.stop for window in found)
    assert {window.length for window in found} == {min(residues, 24)}
    for one, two in pairwise(found):
        shared = one.stop - two.start
        assert shared >= 6
        assert one.stop - one.last == pytest.approx(shared / 2, abs=0.5)
    assert all(two.start - one.start == 18 for one, two in pairwise(found[:-1]))


def test_windows_that_would_not_advance_are_refused():
    with pytest.raises(UsageError, match="overlap by 24"):
        windows(100, 24, 24)


@pytest.mark.parametrize("residues", [24, 25, 61, 150])
def test_pooling_over_windows_equals_its_definition(encoder, network, tokenizer, residues):
    (sequence,) = proteins([residues])
    rows = []
    for one in windows(residues, 24, 6):
        read = tokens_of(network, tokenizer, sequence[one.start : one.stop])[1:-1]
        rows.append(read[one.first - one.start : one.last - one.start])
    assert sum(map(len, rows)) == residues
    found = encoder(reading=SHORT).encode([sequence])
    np.testing.assert_allclose(found[0], np.concatenate(rows).mean(axis=0), **CLOSE)


def test_long_and_short_proteins_together_equal_each_alone(encoder):
    sequences = proteins([70, 5, 24, 25, 130, 24])
    together = encoder("a", reading=SHORT).encode(sequences)
    apart = [encoder("b", reading=SHORT).encode([one])[0] for one in sequences]
    np.testing.assert_allclose(together, apart, **CLOSE)


def cellflow(network, tokenizer, sequences):
    """CellFlow 0.0.9: shortest first, each over the tokens after the first, up to a limit that only shrinks."""
    limit, vectors = 1022, {}
    for one in sorted(sequences, key=len):
        hidden = tokens_of(network, tokenizer, one, truncation=True, max_length=1022)
        limit = min(limit, len(one))
        vectors[one] = hidden[1 : limit + 1].mean(axis=0)
    return [vectors[one] for one in sequences]


@pytest.mark.parametrize("lengths", [[7, 5, 30], [1019, 1021, 40], [1020, 1100], [1021, 1022, 1300], [1100]])
def test_the_truncation_of_cellflow_equals_its_definition(encoder, network, tokenizer, lengths):
    sequences = proteins(lengths)
    made = encoder(compat=CELLFLOW)
    assert made.name == "esm2:esm2_tiny as cellflow-0.0.9"
    np.testing.assert_allclose(made.encode(sequences), cellflow(network, tokenizer, sequences), **CLOSE)


def test_the_truncation_of_cellflow_follows_the_shortest_of_each_list(encoder):
    first, second, third = proteins([6, 12, 40])
    made = encoder(compat=CELLFLOW)
    by_six, by_twelve = made.encode([first, third])[1], made.encode([second, third])[1]
    assert np.abs(by_six - by_twelve).max() > 1e-3
    np.testing.assert_array_equal(made.encode([first, third])[1], by_six)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(encoder, monkeypatch):
    sequences = proteins([70, 5, 24, 25, 130, 24, 6, 6, 7, 31])
    expected = encoder("whole", reading=SHORT).encode(sequences)
    keep = VectorCache.keep
    for stop_after in (1, 4, len(sequences) - 2):
        kept, batches = [], []

        def cut(cache, text, vector, kept=kept, stop_after=stop_after):
            keep(cache, text, vector)
            kept.append(text)
            if len(kept) == stop_after:
                raise KeyboardInterrupt

        made = encoder(f"cut {stop_after}", reading=SHORT)
        with monkeypatch.context() as patched:
            patched.setattr(VectorCache, "keep", cut)
            with pytest.raises(KeyboardInterrupt):
                made.encode(sequences)
        sums = esm.Network.sums

        def counted(network, read, spans, sums=sums, batches=batches):
            batches.append(read)
            return sums(network, read, spans)

        with monkeypatch.context() as patched:
            patched.setattr(esm.Network, "sums", counted)
            np.testing.assert_array_equal(made.encode(sequences), expected)
        assert stop_after < 8 or kept[0] not in {one for batch in batches for one in batch}


def test_what_is_kept_needs_no_model(encoder, monkeypatch):
    sequences = proteins([5, 6])
    expected = encoder().encode(sequences)
    monkeypatch.setattr(esm.Network, "loaded", None)
    np.testing.assert_array_equal(encoder().encode(sequences), expected)


def test_other_windows_do_not_take_what_is_kept(encoder):
    sequences = proteins([60])
    assert not np.array_equal(encoder().encode(sequences), encoder(reading=SHORT).encode(sequences))


KILLED = """
import os, signal, sys
from pathlib import Path
from pertura.priors.encoders.esm import EsmEncoder, Reading
from pertura.priors.encoders.vector_cache import VectorCache

keep, kept = VectorCache.keep, []
def keep_and_die(cache, text, vector):
    keep(cache, text, vector)
    kept.append(text)
    if len(kept) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "die":
    VectorCache.keep = keep_and_die
made = EsmEncoder(sys.argv[1], cache=Path(sys.argv[2]), reading=Reading(24, 6, 90))
sys.stdout.buffer.write(made.encode(sys.argv[4:]).tobytes())
"""


@pytest.mark.proof
def test_a_process_that_was_killed_goes_on_with_the_same_bytes(model, tmp_path):
    sequences = proteins([70, 5, 24, 25, 130, 24, 6, 6])

    def run(cache, how):
        command = [sys.executable, "-c", KILLED, str(model), str(tmp_path / cache), how, *sequences]
        return subprocess.run(command, capture_output=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})

    assert run("cut", "die").returncode == -9
    assert run("cut", "live").stdout == run("whole", "live").stdout != b""


def test_letters_without_a_token_are_named(encoder):
    with pytest.raises(BadDataError, match=r"'\*', 'J', 'l'"):
        encoder().encode(["MKl", "MJ*"])
    with pytest.raises(BadDataError, match="sequence 1 is empty"):
        encoder().encode(["MK", ""])


def test_rare_residues_have_tokens(encoder):
    assert np.isfinite(encoder().encode(["MXBUZO"])).all()


def test_a_checkpoint_without_its_weights_is_refused(model, tmp_path):
    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    other.mkdir()
    for one in model.iterdir():
        (other / one.name).write_bytes(one.read_bytes())
    weights = load_file(other / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadDataError, match=r"1 weights are not there: encoder\.layer\.1\.output\.dense\.weight"):
        EsmEncoder(str(other), cache=tmp_path / "cache").encode(["MK"])


def test_an_absent_package_says_how_to_get_it(encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingError, match=r"pertura\[protein\]"):
        encoder().encode(["MK"])


def test_an_absent_model_is_missing(tmp_path, monkeypatch):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(MissingError, match="cannot be loaded"):
        EsmEncoder(str(tmp_path / "nothing"), cache=tmp_path / "cache").encode(["MK"])


def test_short_names_are_those_of_the_hub():
    assert EsmEncoder("esm2_t6_8M_UR50D").model == "facebook/esm2_t6_8M_UR50D"
    assert EsmEncoder("facebook/esm2_t6_8M_UR50D").name == "esm2:esm2_t6_8M_UR50D"
    with pytest.raises(UsageError, match=r"cellflow-0\.0\.9"):
        EsmEncoder("esm2_t6_8M_UR50D", compat="other")
