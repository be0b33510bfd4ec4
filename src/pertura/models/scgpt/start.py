"""The network a training begins with: published weights, or random ones."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from pertura.core.seeds import generator
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.config import PriorConfig, ScGPTConfig
from pertura.models.scgpt.foreign import load_foreign, vocabulary_table
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.options import ScGPTOptions
from pertura.models.scgpt.panel import panel_vocab
from pertura.priors.prior import GenePrior

CARRIED = ("genes.", "values.", "encoder.")
"""What the published perturbation fine-tuning takes over: gene and value encoders, and the transformer."""
TABLE_SPREAD = 0.1


def starting_network(
    options: ScGPTOptions, prior: GenePrior | None, panel: Iterable[str], targets: Iterable[str], seed: int
) -> tuple[ScGPTNetwork, Vocab]:
    """Return the network and its vocabulary, before training; equal seeds give equal weights.

    Without published weights the vocabulary holds panel, perturbed genes and genes of the prior. There the vectors of
    genes outside the panel stay zero, so that all the network knows of such a gene is its prior.
    """
    with torch.random.fork_rng():
        torch.manual_seed(int(generator(seed, "scgpt weights").integers(2**62)))
        if options.pretrained is not None:
            return _from_published(options, prior)
        genes = tuple(panel)
        vocab = panel_vocab(genes, {*targets, *(prior.genes if prior is not None else ())})
        network = ScGPTNetwork(network_config(options, vocab, prior))
        _spread(network)
        _only_panel(network, len(genes))
        supply(network, vocab, prior)
        return network, vocab


def network_config(options: ScGPTOptions, vocab: Vocab, prior: GenePrior | None) -> ScGPTConfig:
    """Return the configuration of a network of `options.size` over a vocabulary."""
    size = options.size
    priors: tuple[PriorConfig, ...] = ()
    if prior is not None:
        priors = (
            PriorConfig(
                name=prior.name,
                width=prior.table.shape[1],
                placement=options.placement,
                trainable=options.trainable_prior,
            ),
        )
    return ScGPTConfig(
        vocab_size=max(vocab.ids.values()) + 1,
        pad_id=vocab.ids["<pad>"],
        width=size.width,
        heads=size.heads,
        hidden=size.hidden,
        layers=size.layers,
        dropout=size.dropout,
        flag_pad=options.flag_pad,
        decoder=options.decoder,
        priors=priors,
        final_norm=options.placement == "scgenept" and prior is not None,
    )


def supply(network: ScGPTNetwork, vocab: Vocab, prior: GenePrior | None) -> None:
    """Put the table of a prior into its place."""
    for table in network.prior_tables:
        if prior is not None:
            table.supply(*vocabulary_table(prior, vocab, network.config.vocab_size))


def _from_published(options: ScGPTOptions, prior: GenePrior | None) -> tuple[ScGPTNetwork, Vocab]:
    published = load_foreign(Path(str(options.pretrained)))
    wanted = network_config(options, published.vocab, prior)
    found = published.config
    config = replace(
        wanted,
        vocab_size=found.vocab_size,
        width=found.width,
        heads=found.heads,
        hidden=found.hidden,
        layers=found.layers,
        dropout=found.dropout,
        value_style=found.value_style,
    )
    network = ScGPTNetwork(config)
    _spread(network)
    carried = {name: one for name, one in published.network.state_dict().items() if name.startswith(CARRIED)}
    network.load_state_dict({**network.state_dict(), **carried})
    supply(network, published.vocab, prior)
    return network, published.vocab


def _spread(network: ScGPTNetwork) -> None:
    """Gene vectors begin uniform in -0.1..0.1, as the published model's did."""
    nn.init.uniform_(network.genes.table.weight, -TABLE_SPREAD, TABLE_SPREAD)


def _only_panel(network: ScGPTNetwork, panel: int) -> None:
    """Set the vectors behind the panel to zero and let no gradient reach them."""
    table = network.genes.table.weight
    with torch.no_grad():
        table[panel:] = 0.0
    kept = (torch.arange(len(table)) < panel).to(table.dtype)[:, None]
    table.register_hook(lambda gradient: gradient * kept.to(gradient.device))
