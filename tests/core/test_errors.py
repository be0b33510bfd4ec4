import inspect

import pytest

from pertura.core import errors
from pertura.core.errors import BadDataError, PerturaError, UnknownGeneError

EXIT_CODES = {
    "PerturaError": 1,
    "UsageError": 2,
    "BadDataError": 3,
    "MissingError": 4,
    "DivergedError": 5,
    "OutOfMemoryError": 6,
    "NotFittedError": 1,
    "LeakError": 3,
    "ModeError": 2,
    "ContextError": 3,
    "UnknownGeneError": 2,
}


def test_every_error_has_the_exit_code_that_is_written_down():
    found = {
        name: one.exit_code
        for name, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, PerturaError)
    }
    assert found == EXIT_CODES


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "negative values"),
        ({"file": "a.h5ad"}, "a.h5ad: negative values"),
        ({"file": "a.h5ad", "place": "X"}, "a.h5ad: X: negative values"),
        ({"place": "X", "remedy": "give counts"}, "X: negative values. give counts"),
    ],
)
def test_bad_data_names_file_place_problem_and_remedy(given, told):
    assert str(BadDataError("negative values", **given)) == told


def test_an_unknown_gene_is_named_and_the_nearest_known_one_suggested():
    error = UnknownGeneError(["KLF9x", "ZZZZZZ"], ["KLF1", "KLF9", "TP53"])
    assert error.genes == {"KLF9x", "ZZZZZZ"}
    assert "KLF9x (did you mean KLF9?)" in str(error)
    assert "ZZZZZZ (did" not in str(error)


def test_the_order_of_known_genes_does_not_change_the_suggestion():
    known = ["ABCA1", "ABCA2", "ABCA3"]
    assert str(UnknownGeneError(["ABCA9"], known)) == str(UnknownGeneError(["ABCA9"], reversed(known)))
