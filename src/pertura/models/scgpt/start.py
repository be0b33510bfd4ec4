"""The network a training begins with: published weights, or random ones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from pertura.core.errors import MissingError, UsageError
from pertura.core.seeds import generator
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.config import PriorConfig, ScGPTConfig
from pertura.models.scgpt.decoders import AffineDecoder
from pertura.models.scgpt.filling import vocabulary_table
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.hub import located
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.options import ScGPTOptions
from pertura.models.scgpt.panel import panel_vocab
from pertura.priors.prior import GenePrior

ENCODERS, TRANSFORMER = ("genes.", "values."), "encoder."
"""What the published perturbation fine-tuning takes over: gene and value encoders, and the transformer."""
TABLE_SPREAD = 0.1
Priors = tuple[GenePrior, ...]


def starting_network(
    options: ScGPTOptions, priors: Sequence[GenePrior], panel: Iterable[str], targets: Iterable[str], seed: int
) -> tuple[ScGPTNetwork, Vocab]:
    """Return the network and its vocabulary, before training; equal seeds give equal weights.

    Without published weights the vocabulary holds panel, perturbed genes and genes of the priors. There only genes of
    the panel, and train targets that no prior knows, have a vector of their own; that of others stays zero, so that
    all the network knows of such a gene is its prior.
    """
    check_inputs(options, priors)
    entering = tuple(_scaled(one, options) for one in priors) if options.inputs != "counts" else ()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(seed, "scgpt weights").integers(2**62)))
        if options.pretrained is not None:
            return _from_published(options, entering)
        genes, perturbed = tuple(panel), frozenset(targets)
        known = {gene for one in entering for gene in one.genes}
        vocab = panel_vocab(genes, {*perturbed, *known})
        network = ScGPTNetwork(network_config(options, vocab, entering))
        _spread(network)
        _keep_vectors(network, vocab, {*genes, *(perturbed - known)})
        if options.begins_at_no_change:
            _at_no_change(network)
        supply(network, vocab, entering)
        return network, vocab


def check_start(options: ScGPTOptions) -> None:
    """Raise `MissingError` where a network of full size has nothing to begin from, or its folder is not there."""
    if options.pretrained is not None:
        located(options.pretrained)
    elif not options.from_random:
        raise MissingError(
            "a network of full size begins from a published folder (args.json, best_model.pt, vocab.json), and none is "
            "named: give --pretrained FOLDER, or --size debug for a small network from random weights, or set "
            "from_random=true"
        )


def check_inputs(options: ScGPTOptions, priors: Sequence[GenePrior]) -> None:
    """Raise `UsageError` where nothing would tell one gene from another, or a prior would have no influence."""
    if options.inputs == "language" and not priors:
        raise UsageError("a network of language alone knows genes by a prior: name one, BASE+PRIOR")
    if options.inputs == "counts" and priors:
        raise UsageError("a network of counts alone takes no prior")


def network_config(options: ScGPTOptions, vocab: Vocab, priors: Priors) -> ScGPTConfig:
    """Return the configuration of a network of `options.size` over a vocabulary."""
    size = options.size
    trainable = options.trainable_prior
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
        priors=tuple(
            PriorConfig(name=one.name, width=one.table.shape[1], placement=options.placement, trainable=trainable)
            for one in priors
        ),
        tokens=options.inputs == "all",
        counts=options.inputs != "language",
        final_norm=options.final_norm,
    )


def supply(network: ScGPTNetwork, vocab: Vocab, priors: Priors) -> None:
    """Put the tables of priors into their places."""
    for table, prior in zip(network.prior_tables, priors, strict=True):
        table.supply(*vocabulary_table(prior, vocab, network.config.vocab_size))


def _scaled(prior: GenePrior, options: ScGPTOptions) -> GenePrior:
    """Bring each row to entries of root mean square one: how long a row is says how much was written of a gene."""
    if options.prior_rows == "stored":
        return prior
    rows = prior.table.astype(np.float64)
    lengths = np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
    return replace(prior, table=(rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32))


def _from_published(options: ScGPTOptions, priors: Priors) -> tuple[ScGPTNetwork, Vocab]:
    published = load_foreign(str(options.pretrained))
    wanted = network_config(options, published.vocab, priors)
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
    beginnings = (*ENCODERS, *([TRANSFORMER] if options.pretrained_attention else []))
    carried = {name: one for name, one in published.network.state_dict().items() if name.startswith(beginnings)}
    network.load_state_dict({**network.state_dict(), **carried})
    if options.begins_at_no_change:
        _at_no_change(network)
    supply(network, published.vocab, priors)
    return network, published.vocab


def _spread(network: ScGPTNetwork) -> None:
    """Gene vectors begin uniform in -0.1..0.1, as the published model's did."""
    nn.init.uniform_(network.genes.table.weight, -TABLE_SPREAD, TABLE_SPREAD)


def _at_no_change(network: ScGPTNetwork) -> None:
    """Let the decoder begin with coefficient one and bias zero."""
    decoder = network.decoder
    if not isinstance(decoder, AffineDecoder):
        raise UsageError("begins_at_no_change is for the affine decoder; set decoder=affine")
    for head, value in ((decoder.coefficient, 1.0), (decoder.bias, 0.0)):
        last = head.maps[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, value)


def _keep_vectors(network: ScGPTNetwork, vocab: Vocab, genes: Iterable[str]) -> None:
    """Set the vectors of all other tokens to zero and let no gradient reach them."""
    table = network.genes.table.weight
    kept = torch.zeros(len(table), 1, dtype=table.dtype)
    kept[list(vocab.ids_of(genes))] = 1.0
    with torch.no_grad():
        table *= kept
    table.register_hook(lambda gradient: gradient * kept.to(gradient.device))
