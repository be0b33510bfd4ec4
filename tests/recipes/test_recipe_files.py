"""A recipe and its TOML say the same; what is no recipe is refused with the reason."""

from dataclasses import replace

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core.errors import BadDataError, MissingError
from pertura.recipes.recipe import Recipe, names_a_folder, read_recipe, write_recipe
from pertura.recipes.table import RECIPES

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAME = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(names_a_folder)
VALUE = st.one_of(TEXT, st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False))
HEAD = 'format = "pertura-recipe"\nversion = 1\n'
BODY = 'name = "mine"\ndata = "norman-500"\nmodels = ["no-change", "additive"]\n'


def recipes(companions: st.SearchStrategy) -> st.SearchStrategy[Recipe]:
    return st.builds(
        Recipe,
        name=NAME,
        data=TEXT,
        models=st.lists(TEXT, max_size=4).map(tuple),
        priors=st.lists(TEXT, max_size=2).map(tuple),
        rule=TEXT,
        options=st.dictionaries(TEXT, VALUE, max_size=3),
        split=TEXT,
        seed=st.integers(0, 2**32 - 1),
        emitter=TEXT,
        preset=TEXT,
        bootstrap=st.integers(2, 10_000),
        permutations=st.integers(1, 10_000),
        companions=companions,
    )


ALONE = recipes(st.just(()))
BESIDE = st.lists(ALONE, max_size=2, unique_by=lambda one: one.name).map(tuple)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes") / "recipe.toml"


def written(path, text: str | bytes):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@settings(max_examples=60, deadline=None)
@given(recipe=recipes(BESIDE))
def test_what_is_written_is_read(recipe, path):
    write_recipe(recipe, path)
    assert read_recipe(path) == recipe
    before = path.read_bytes()
    write_recipe(read_recipe(path), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_can_be_kept(name, path):
    write_recipe(RECIPES[name](), path)
    assert read_recipe(path) == RECIPES[name]()


def test_what_is_left_out_has_its_default(path):
    assert read_recipe(written(path, HEAD + BODY)) == Recipe(
        name="mine", data="norman-500", models=("no-change", "additive")
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('emiter = "constant"', "unknown key 'emiter'. did you mean 'emitter'"),
        ('zzz = "constant"', "unknown key 'zzz'. known keys: name, data, models"),
        ('seed = "1"', "seed: input should be a valid integer"),
        ("seed = -1", "seed: .*greater than or equal to 0"),
        ("seed = 4294967296", "seed: .*less than 4294967296"),
        ("bootstrap = 1", "bootstrap: .*greater than or equal to 2"),
        ("permutations = 0", "permutations: "),
        ("bootstrap = 20.5", "bootstrap: .*integer"),
        ("rule = 3", "rule: .*string"),
        ('options = "x"', "options: "),
        ("options = { a = [1] }", "options.a"),
        ("options = { a = nan }", "options.a"),
        ("companions = 3", "models and companions must be lists"),
        ("companions = [3]", "companions: each must be a table"),
        ('companions = [{ name = "a", data = "b", models = [], sed = 1 }]', "did you mean 'seed'"),
        ('companions = [{ name = "a", models = [] }]', "data: field required"),
        ('companions = [{ name = "../a", data = "b", models = [] }]', "cannot be the name of a folder"),
        ('companions = [{ name = "models", data = "b", models = [] }]', "no folder is left for models"),
    ],
)
def test_what_is_unfit_is_named(line, message, path):
    with pytest.raises(BadDataError, match=message) as refused:
        read_recipe(written(path, HEAD + BODY + line + "\n"))
    assert str(path) in str(refused.value)
    assert refused.value.exit_code == 3


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x89HDF\r\n\x1a\n\x00\x01",
        b"\xff\xfe\x00",
        b"{}",
        b"[[[",
        b"a = [" * 3000,
        b"name = 1\n",
        b"x" * (2 << 20),
        f"{HEAD}{BODY}\nseed = {'9' * 5000}\n".encode(),
        f"{HEAD}{BODY}\noptions = {{ folds = 0x{'f' * 5000} }}\n".encode(),
    ],
    ids=["empty", "hdf5", "no utf-8", "json", "broken", "deep", "no format", "huge", "digits", "hexadecimal"],
)
def test_what_is_no_recipe_is_refused(text, path):
    with pytest.raises(BadDataError, match=r"recipe\.toml"):
        read_recipe(written(path, text))


@pytest.mark.parametrize(
    "head", ['format = "pertura-dataset"\nversion = 1\n', 'format = "pertura-recipe"\nversion = 2\n']
)
def test_another_format_or_version_is_refused(head, path):
    with pytest.raises(BadDataError, match="not a pertura-recipe of version 1"):
        read_recipe(written(path, head + BODY))


def test_an_absent_recipe_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no recipe at"):
        read_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize("name", ["", ".", "..", " . ", "a/b", "../up", "a\\b", "a\nb", "a\x00b"])
def test_a_name_stays_below_its_folder(name):
    with pytest.raises(pydantic.ValidationError, match="folder"):
        Recipe(name=name, data="x", models=())


@pytest.mark.parametrize("name", ["demo", "a b", "屏幕 [1]", ".hidden", "a..b", "0"])
def test_ordinary_names_are_taken(name):
    assert Recipe(name=name, data="x", models=()).name == name


def test_companions_neither_share_a_folder_nor_bring_their_own():
    one = Recipe(name="one", data="x", models=())
    with pytest.raises(pydantic.ValidationError, match="no folder is left for one"):
        Recipe(name="main", data="x", models=(), companions=(one, replace(one, seed=2)))
    with pytest.raises(pydantic.ValidationError, match="no companions of its own"):
        Recipe(name="main", data="x", models=(), companions=(replace(one, name="two", companions=(one,)),))
