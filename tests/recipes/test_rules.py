"""Options of split rules are read as the rule means them, and refused where it has none of the kind."""

import pytest

from pertura.core.errors import UsageError
from pertura.data.splits import SPLITS
from pertura.recipes.rules import check_options, option_defaults, read_options


@pytest.mark.parametrize("rule", SPLITS)
def test_the_defaults_of_a_rule_are_options_it_takes(rule):
    check_options(rule, option_defaults(rule))
    assert "seed" not in option_defaults(rule)


@pytest.mark.parametrize("rule", SPLITS)
def test_what_is_written_as_text_is_read_back(rule):
    defaults = option_defaults(rule)
    assert read_options(rule, [f"{name}={value}" for name, value in defaults.items()]) == defaults


@pytest.mark.parametrize("context", ["5637", "1e5", "true", "A172", "007", "", "a=b", "nan"])
def test_a_context_is_a_text_whatever_it_looks_like(context):
    assert read_options("held-out-context", [f"context={context}"]) == {"context": context}


def test_dashes_and_underscores_are_one():
    expected = {"train_gene_fraction": 0.5}
    for name in ("train-gene-fraction", "train_gene_fraction"):
        assert read_options("gears-simulation", [f"{name}=0.5"]) == expected


def test_a_whole_number_will_do_for_a_number():
    check_options("gears-simulation", {"train_gene_fraction": 1})


@pytest.mark.parametrize(
    ("rule", "texts", "message"),
    [
        ("magic", [], "no split rule 'magic'; there are gears-simulation"),
        ("folds", ["fold"], "write it as name=value"),
        ("folds", ["fold=one"], "fold=one: it takes a whole number"),
        ("folds", ["fold=1.5"], "it takes a whole number"),
        ("folds", ["fold=1", "fold=2"], "given twice"),
        ("folds", ["fald=1"], "has no option fald; did you mean fold"),
        ("folds", ["context=A172"], "has no option context; it takes folds, fold"),
        ("folds", ["seed=3"], "has no option seed"),
        ("folds", ["shared_controls=perhaps"], "it takes true or false"),
        ("gears-simulation", ["train_gene_fraction="], "it takes a number"),
    ],
)
def test_what_a_rule_does_not_take_is_refused(rule, texts, message):
    with pytest.raises(UsageError, match=message):
        read_options(rule, texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": "1"}, "fold is '1'; it takes a whole number"),
        ({"fold": True}, "it takes a whole number"),
        ({"fold": 1.0}, "it takes a whole number"),
        ({"shared_controls": 1}, "it takes true or false"),
        ({"valid_fraction": "0.1"}, "it takes a number"),
        ({"outline": 1}, "has no option outline"),
    ],
)
def test_a_recipe_with_options_of_another_kind_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        check_options("folds", options)
