"""What a training begins with, and what each variant of the network can know."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pertura.core.errors import MissingError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import ControlPartition, Split
from pertura.data.datasets.planted import simulate_additive
from pertura.models.networks import Extent
from pertura.models.scgpt.feed import PairFeed, Windows
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.options import NetworkSize, ScGPTOptions, as_scgenept, debug, whole_human
from pertura.models.scgpt.panel import STRANGER, TokenPanel, panel_vocab
from pertura.models.scgpt.row import footprint
from pertura.models.scgpt.start import check_start, starting_network
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.training.options import TrainingOptions

PUBLISHED = Path(__file__).parents[2] / "reference/scgpt/pretrained"
GENES = ("A", "B", "C")
SMALL = ScGPTOptions(
    size=NetworkSize(width=16, heads=2, hidden=16, layers=1, dropout=0.0),
    from_random=True,
    max_genes=24,
    training=TrainingOptions(epochs=1, batch=16, patience=None),
)


def prior_of(names, scale: float = 1.0) -> GenePrior:
    rows = np.random.default_rng(0).normal(size=(len(names), 5)).astype(np.float32)
    return GenePrior("made", tuple(names), rows * np.float32(scale), PriorFacts(source="test"))


def outputs(options: ScGPTOptions, priors, values: torch.Tensor, flags=None) -> torch.Tensor:
    """Of an untrained network over three genes."""
    network, vocab = starting_network(options, priors, GENES, (), 0)
    ids = torch.tensor([vocab.ids_of(GENES)])
    with torch.no_grad():
        return network.eval()(
            ids, values, torch.zeros(values.shape, dtype=torch.long) if flags is None else flags
        ).states


VALUES = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.5, 4.0]])


def test_language_alone_sees_no_count_and_counts_alone_see_no_gene():
    language = replace(SMALL, inputs="language")
    states = outputs(language, [prior_of(GENES)], VALUES)
    torch.testing.assert_close(states[0], states[1])
    assert (states[0, 0] - states[0, 1]).abs().max() > 1e-3
    same = torch.full((1, 3), 2.0)
    states = outputs(replace(SMALL, inputs="counts"), [], same)
    torch.testing.assert_close(states[0, 0], states[0, 1])
    assert (outputs(SMALL, [], same)[0, 0] - outputs(SMALL, [], same)[0, 1]).abs().max() > 1e-3


def test_language_alone_needs_a_prior_and_counts_alone_take_none():
    with pytest.raises(UsageError, match="BASE"):
        outputs(replace(SMALL, inputs="language"), [], VALUES)
    with pytest.raises(UsageError, match="takes no prior"):
        outputs(replace(SMALL, inputs="counts"), [prior_of(GENES)], VALUES)


def test_several_priors_have_tables_of_their_own():
    network, _ = starting_network(SMALL, [prior_of(GENES), prior_of(("B",), 3.0)], GENES, (), 0)
    first, second = network.prior_tables
    assert first.has_row.sum() == 3
    assert second.has_row.sum() == 1


@pytest.mark.parametrize("rows", ["rms", "stored"])
def test_rows_of_a_prior_are_brought_to_one_size_or_taken_as_stored(rows):
    network, vocab = starting_network(replace(SMALL, prior_rows=rows), [prior_of(GENES, 100.0)], GENES, (), 0)
    table = network.prior_tables[0].table[list(vocab.ids_of(GENES))]
    sizes = table.square().mean(dim=1).sqrt()
    if rows == "rms":
        torch.testing.assert_close(sizes, torch.ones(3))
    else:
        assert sizes.min() > 10


def test_a_target_that_nothing_is_known_of_learns_a_vector_and_a_gene_of_the_prior_does_not():
    network, vocab = starting_network(SMALL, [prior_of(("FAR", *GENES))], GENES, ("FAR", "LONE"), 0)
    table = network.genes.table.weight
    assert table[vocab.ids["LONE"]].any()
    assert not table[vocab.ids["FAR"]].any()
    table.sum().backward()
    assert table.grad[vocab.ids["LONE"]].any()
    assert not table.grad[vocab.ids["FAR"]].any()


def test_published_weights_are_taken_over_and_attention_only_where_wanted():
    published = load_foreign(PUBLISHED).network.state_dict()
    options = replace(SMALL, pretrained=str(PUBLISHED))
    for attention in (True, False):
        network, _ = starting_network(replace(options, pretrained_attention=attention), [], GENES, (), 0)
        mine = network.state_dict()
        for name, one in published.items():
            if name.startswith(("genes.", "values.")):
                assert torch.equal(mine[name], one)
        encoder = [name for name in published if name.startswith("encoder.") and name.endswith("weight")]
        equal = [torch.equal(mine[name], published[name]) for name in encoder if published[name].dim() == 2]
        assert all(equal) if attention else not any(equal)


def test_a_full_size_without_weights_names_the_way_out():
    check_start(debug())
    check_start(replace(whole_human(), pretrained=str(PUBLISHED)))
    with pytest.raises(MissingError, match="--pretrained FOLDER"):
        check_start(whole_human())
    with pytest.raises(MissingError):
        check_start(whole_human("/no/such/folder"))


def test_what_begins_at_no_change_answers_with_the_control_cells():
    options = replace(SMALL, begins_at_no_change=True)
    network, vocab = starting_network(options, [], GENES, (), 0)
    with torch.no_grad():
        made = network.eval()(torch.tensor([vocab.ids_of(GENES)]), VALUES, torch.ones(2, 3, dtype=torch.long))
    torch.testing.assert_close(made.expression, VALUES)
    with pytest.raises(UsageError, match="affine"):
        starting_network(replace(options, decoder="plain"), [], GENES, (), 0)


def test_scgenept_has_its_norm_with_and_without_a_prior():
    for priors in ([], [prior_of(GENES)]):
        network, _ = starting_network(as_scgenept(SMALL), priors, GENES, (), 0)
        assert network.final_norm is not None
    assert as_scgenept(SMALL).decoder == "plain"


@pytest.fixture(scope="module")
def screen():
    return simulate_additive(1, genes=20, targets=5, pairs=2, cells=10).cells


def split_of(screen) -> Split:
    ids = [str(one) for one in screen.ids[screen.control_rows("line-a")]]
    halves = {"line-a": ControlPartition.halves(ids, 0, "line-a")}
    train, test = frozenset(screen.perturbed[:-1]), frozenset(screen.perturbed[-1:])
    return Split("small", train, frozenset(), test, {}, halves)


def test_genes_that_a_published_vocabulary_lacks_are_answered_and_named(screen):
    """Trained ones too: published screens perturb genes that the published vocabulary does not have."""
    vocab = load_foreign(PUBLISHED).vocab
    known = sorted(vocab.genes)[: len(screen.genes) - 2]
    renamed = dict(zip(screen.genes, (*known, "LACKING1", "LACKING2")))
    conditions = [
        Condition(Perturbation.of(*(renamed[gene] for gene in one.genes), mode=next(iter(screen.modes))), one.context)
        if one.genes
        else one
        for one in screen.conditions
    ]
    turned = replace(screen, genes=tuple(renamed.values()), conditions=tuple(conditions), spellings={})
    split = split_of(turned)
    model = ScGPT(replace(SMALL, pretrained=str(PUBLISHED)))
    model.fit(turned, split, seed=0)
    asked = Condition(Perturbation.of("TP53BP1", mode=next(iter(screen.modes))), "line-a")
    starts = turned.take(split.model_controls(turned, "line-a"))
    answer = model.predict(starts, [asked], seed=0)
    assert np.isfinite(answer.cells[asked]).all()
    assert ("TP53BP1" in answer.fallbacks.get(asked, "")) == ("TP53BP1" not in vocab.genes)


def test_some_pairs_hide_which_gene_beside_the_panel_was_perturbed(screen):
    conditions = (Condition(Perturbation.of("FAR1", "FAR2"), "line-a"), Condition(Perturbation.of("FAR3"), "line-a"))
    panel = TokenPanel(screen.genes, panel_vocab(screen.genes, ("FAR1", "FAR2", "FAR3")))
    marks = panel.marks(conditions)
    hidden = marks.hidden(torch.tensor([0, 0, 1, 1]), torch.tensor([True, False, True, False]))
    stranger, pad = panel.vocab.ids[STRANGER], panel.vocab.ids["<pad>"]
    assert hidden[0].tolist() == [stranger, stranger]
    assert hidden[1].tolist() == list(panel.vocab.ids_of(("FAR1", "FAR2")))
    assert hidden[2].tolist() == [stranger, pad]
    seen = split_of(screen).visible(screen)
    train = tuple(one for one in seen.perturbed)
    feed = PairFeed(seen, train, panel, Windows(), 8, 0, hidden_share=0.5)
    share = feed.epoch(0, "0").hidden.float().mean()
    assert 0.2 < share < 0.8


def test_the_published_size_and_what_training_it_takes():
    """51.33 million numbers: the 51.86 of scGPT's generator without its class head, which predicts no expression."""
    found = footprint(whole_human(), Extent(genes=5000, cells=6400, conditions=100))
    assert round(found.parameters / 1e6, 2) == 51.33
    assert found.updates == 100
    assert found.training_bytes > 16 * found.parameters
    fewer = footprint(replace(whole_human(), most_cells=32), Extent(genes=5000, cells=6400, conditions=100))
    assert fewer.updates == 50
