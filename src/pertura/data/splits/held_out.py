"""Splits that ask about a context no perturbation of which was trained on."""

from collections.abc import Collection

from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.core.split import Outline, Split
from pertura.data.splits.controls import partitioned
from pertura.data.splits.options import (
    chosen,
    drawn_for_valid,
    fraction,
    labelled,
    named,
    perturbations_of,
    recorded,
)


def held_out_context(
    outline: Outline,
    *,
    seed: int = 1,
    context: str = "",
    controls: str = "seen",
    valid_fraction: float = 0.1,
    shared_controls: bool = False,
) -> Split:
    """Return a split whose test part is every condition of one context.

    `controls` says whether `fit` may see the held-out context's model-side control cells. `valid_fraction` of the
    other perturbations are chosen by, in all their contexts. Strata: perturbation trained elsewhere, or not.
    """
    test, rest = _cut(outline, context, controls)
    valid = drawn_for_valid(rest, valid_fraction, seed, context)
    train = rest - valid
    elsewhere = labelled(test, perturbations_of(train))
    return Split(
        name="held-out-context",
        train=train,
        valid=valid,
        test=test,
        strata={"trained_elsewhere": elsewhere, "trained_nowhere": test - elsewhere},
        controls=partitioned(outline, seed, shared_controls),
        unseen=_withheld(context, controls),
        seed=seed,
        options=recorded(
            context=context, controls=controls, valid_fraction=valid_fraction, shared_controls=shared_controls
        ),
    )


def held_out_context_and_gene(
    outline: Outline,
    *,
    seed: int = 1,
    context: str = "",
    controls: str = "seen",
    train_gene_fraction: float = 0.75,
    valid_fraction: float = 0.1,
    shared_controls: bool = False,
) -> Split:
    """Return a split whose test perturbations are of a held-out context and of genes that are trained nowhere.

    All but `train_gene_fraction` of the genes perturbed in the context are test genes. Test: its conditions of test
    genes alone. Conditions of other contexts that touch a test gene are removed; the other conditions of the context
    are left out. Both are counted and named in `options`.
    """
    inside, others = _cut(outline, context, controls)
    test_genes = _held_out_genes(inside, fraction("train_gene_fraction", train_gene_fraction), seed, context)
    test = frozenset(one for one in inside if test_genes.issuperset(one.genes))
    if not test:
        raise UsageError(
            f"no condition of {context} consists of the {len(test_genes)} held-out genes alone; "
            "lower --train-gene-fraction or choose another seed"
        )
    removed = frozenset(one for one in others if test_genes.intersection(one.genes))
    valid = drawn_for_valid(others - removed, valid_fraction, seed, context)
    options = recorded(
        context=context,
        controls=controls,
        train_gene_fraction=train_gene_fraction,
        valid_fraction=valid_fraction,
        shared_controls=shared_controls,
        test_genes=", ".join(sorted(test_genes)),
        removed_elsewhere=named(removed),
        left_out_of_context=named(inside - test),
    )
    return Split(
        name="held-out-context-and-gene",
        train=others - removed - valid,
        valid=valid,
        test=test,
        controls=partitioned(outline, seed, shared_controls),
        unseen=_withheld(context, controls),
        seed=seed,
        options=options,
    )


def _cut(outline: Outline, context: str, controls: str) -> tuple[frozenset[Condition], frozenset[Condition]]:
    """Return the conditions inside and outside the held-out context."""
    if controls not in ("seen", "unseen"):
        raise UsageError(f"controls is {controls!r}; it is 'seen' or 'unseen'")
    inside = frozenset(one for one in outline.conditions if one.context == context)
    others = frozenset(outline.conditions) - inside
    if not inside or not others:
        have = ", ".join(sorted({one.context or "(unnamed)" for one in outline.conditions})) or "none"
        problem = f"nothing is perturbed in context {context!r}" if context else "name the context to hold out"
        reason = problem if others else "holding a context out needs perturbations in another one"
        raise UsageError(f"{reason}: --context takes one of several (perturbed contexts: {have})")
    return inside, others


def _held_out_genes(inside: Collection[Condition], share: float, seed: int, context: str) -> frozenset[str]:
    genes = sorted({gene for one in inside for gene in one.genes})
    return chosen(genes, max(len(genes) - int(share * len(genes)), 1), seed, "test genes", context)


def _withheld(context: str, controls: str) -> frozenset[str]:
    return frozenset({context} if controls == "unseen" else ())
