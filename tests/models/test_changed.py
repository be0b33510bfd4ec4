"""Options changed by name: exactly what is said, and nothing that is not there."""

import pytest

from pertura.core.errors import UsageError
from pertura.models.changed import changed, joined, read_change
from pertura.models.scgpt.options import ScGPTOptions


def test_nothing_changed_is_the_same_object():
    options = ScGPTOptions()
    assert changed(options, {}, "scgpt") is options


def test_a_nested_option_changes_alone():
    made = changed(ScGPTOptions(), {"training": {"epochs": 3, "learning_rate": 1}, "max_genes": 9}, "scgpt")
    assert (made.training.epochs, made.training.learning_rate, made.max_genes) == (3, 1.0, 9)
    assert made.training.batch == ScGPTOptions().training.batch
    assert made.size == ScGPTOptions().size


def test_none_is_a_word_where_there_can_be_none_of_it():
    assert changed(ScGPTOptions(), {"training": {"patience": "none"}}, "scgpt").training.patience is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_gene": 3}, r"scgpt has no option max_gene; did you mean max_genes\?"),
        ({"training": {"epoch": 3}}, r"scgpt\.training has no option epoch; did you mean epochs\?"),
        ({"training": {"epochs": "3"}}, r"scgpt\.training\.epochs: .*it is '3'"),
        ({"training": {"epochs": 2.5}}, r"scgpt\.training\.epochs"),
        ({"placement": "nowhere"}, r"scgpt\.placement"),
        ({"training": 3}, r"scgpt\.training"),
    ],
)
def test_what_is_not_there_or_of_another_kind_is_refused_by_name(changes, said):
    with pytest.raises(UsageError, match=said):
        changed(ScGPTOptions(), changes, "scgpt")


def test_a_change_on_the_command_line():
    assert read_change("scgpt.training.epochs=3") == ("scgpt", {"training": {"epochs": 3}})
    assert read_change("scgenept+go-c.placement=token") == ("scgenept+go-c", {"placement": "token"})
    assert read_change("scgpt.from-random=true") == ("scgpt", {"from_random": True})
    for text in ("scgpt=3", "scgpt.epochs", ".epochs=3", "scgpt..epochs=1"):
        with pytest.raises(UsageError, match="write it as"):
            read_change(text)


def test_of_two_tables_the_second_decides():
    both = joined({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}, "c": 5})
    assert both == {"a": {"x": 1, "y": 4}, "b": 3, "c": 5}
