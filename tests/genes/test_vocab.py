import pytest

from pertura.core.errors import BadDataError, UnknownGeneError
from pertura.data.datasets import DATASETS
from pertura.genes.vocab import Vocab, human_vocab


def test_human_vocab_has_the_published_size_and_ids():
    vocab = human_vocab()
    assert len(vocab) == 60_697
    assert len(vocab.genes) == 60_694
    assert set(vocab.ids) - vocab.genes == {"<pad>", "<cls>", "<eoc>"}
    assert sorted(vocab.ids.values()) == list(range(60_697))
    assert vocab.ids["RP5-973N23.5"] == 60_693


def test_human_vocab_is_read_once():
    assert human_vocab() is human_vocab()


@pytest.mark.parametrize("name", ["norman-500", "mcfaline-500"])
def test_every_bundled_target_has_a_token(name):
    targets = {gene for condition in DATASETS[name].load().perturbed for gene in condition.genes}
    assert not human_vocab().without(targets)


def test_ids_come_in_the_order_asked():
    vocab = Vocab({"<pad>": 0, "A": 5, "B": 3})
    assert vocab.ids_of(["B", "A", "B"]) == (3, 5, 3)


def test_a_special_is_no_gene_and_an_unknown_gene_is_named():
    vocab = Vocab({"<pad>": 0, "ABCC1": 5})
    assert vocab.without(["<pad>", "ABCC1"]) == {"<pad>"}
    with pytest.raises(UnknownGeneError, match=r"ABCCX \(did you mean ABCC1\?\)"):
        vocab.ids_of(["ABCCX"])


def test_two_tokens_with_one_id_are_refused():
    with pytest.raises(BadDataError):
        Vocab({"A": 1, "B": 1})
