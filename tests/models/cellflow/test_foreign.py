"""`CellFlow.pkl`: read without the package, without running anything, into a model of ours."""

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foreign_cellflow import JaxArray, write
from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, MissingError
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.flow.integrate import solve
from pertura.models.cellflow import load_foreign, load_official
from pertura.models.cellflow.model import CellFlow

REFERENCE = Path(__file__).parents[2] / "reference/cellflow"
GENES = ("G9", "G1", "G5", "G3", "G7", "G2", "G4", "G8")
with np.load(REFERENCE / "cases.npz") as content:
    ALL = {name: content[name] for name in content.files}
CASES = json.loads((REFERENCE / "cases.json").read_text())


def params_of(name: str) -> dict[str, np.ndarray]:
    start = f"{name}:params:"
    return {key.removeprefix(start): one for key, one in ALL.items() if key.startswith(start)}


def vectors(*names: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {name: rng.normal(size=7).astype(np.float32) for name in names}
    return {**found, "ctrl": np.zeros(7, np.float32)}


def components() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return np.linalg.qr(rng.normal(size=(len(GENES), 6)))[0], rng.random(len(GENES)) + 1


def saved(folder: Path, name: str = "bare_dicts", **changes: Any) -> Path:
    told = {"genes": GENES, "components": components(), **changes}
    return write(folder, CASES[name], params_of(name), vectors("A", "B", "C", "D"), **told)


def controls(cells: int = 12) -> Cells:
    rng = np.random.default_rng(2)
    control = Condition(Perturbation(), "K562")
    expression = InMemory(rng.random((cells, len(GENES))).astype(np.float32) + 0.5)
    names = np.asarray([f"c{i}" for i in range(cells)])
    return Cells(expression, GENES, names, (control,), np.zeros(cells, np.int64), Scale("lognormalised"))


@pytest.mark.parametrize("name", ["bare_dicts", "resnet", "seed_transformer"])
@torch.no_grad()
def test_the_network_answers_as_the_package_does(name, tmp_path):
    found = load_foreign(saved(tmp_path, name))
    told = {key: torch.from_numpy(ALL[f"{name}:{key}"]) for key in ("t", "x", "gene_pair", "velocity_pair")}
    answer = found.network(told["t"], told["x"], {"gene": told["gene_pair"]})
    torch.testing.assert_close(answer.velocity, told["velocity_pair"], atol=1e-5, rtol=0)


def test_what_lies_beside_the_network_comes_with_it(tmp_path):
    found = load_foreign(saved(tmp_path).parent)
    assert found.group == "gene"
    assert sorted(found.vectors) == ["A", "B", "C", "D", "ctrl"]
    assert found.trained == (("A", "B", "ctrl"), ("ctrl", "A", "ctrl"), ("C", "ctrl", "ctrl"))
    assert (found.cells, found.deviation, found.config["act_fn"]) == (4, 0.5, "silu")
    assert any("layers_after_pool" in one for one in found.remarks)
    axes, centre = components()
    order = np.argsort(GENES)
    assert found.space is not None
    assert found.space.genes == tuple(sorted(GENES))
    np.testing.assert_array_equal(found.space.projection.axes, axes[order])
    np.testing.assert_array_equal(found.space.projection.centre, centre[order])


def test_it_becomes_a_folder_of_ours_that_answers_alike(tmp_path):
    found = load_foreign(saved(tmp_path))
    model = found.model(mode=Mode.ACTIVATION, context="K562")
    model.save(tmp_path / "own")
    again = CellFlow.load(tmp_path / "own")
    asked = [Condition(Perturbation.of(*one, mode="activation"), "K562") for one in (("A", "B"), ("D",))]
    first, second = (one.predict(controls(), asked, seed=0) for one in (model, again))
    for one in asked:
        np.testing.assert_array_equal(first.cells[one], second.cells[one])
    assert not np.allclose(first.cells[asked[0]], first.cells[asked[1]])
    assert not first.fallbacks
    assert model.checkpoint == again.checkpoint


@torch.no_grad()
def test_its_answer_is_the_flow_of_the_network_between_the_components(tmp_path):
    found, cells = load_foreign(saved(tmp_path)), controls()
    asked = Condition(Perturbation.of("B", "A"), "")
    plain = Cells(cells.expression, GENES, cells.ids, (Condition(Perturbation()),), cells.codes, cells.scale)
    answered = found.model().predict(plain, [asked], seed=0).cells[asked]
    axes, centre = components()
    place = torch.from_numpy(((cells.expression.rows(np.arange(12)) - centre) @ axes).astype(np.float32))
    told = {"gene": torch.from_numpy(np.stack([[found.vectors[name] for name in ("A", "B", "ctrl")]]))}
    end = solve(lambda time, x: found.network(time, x, told).velocity, place, steps=10)
    wanted = np.maximum(end.numpy() @ axes.T + centre, 0)[:, np.argsort(GENES)]
    np.testing.assert_allclose(answered, wanted, atol=1e-5)


def test_vectors_that_no_table_tells_come_from_the_conditions(tmp_path):
    found = load_foreign(saved(tmp_path, told=False))
    wanted = vectors("A", "B", "C", "D")
    assert sorted(found.vectors) == ["A", "B", "C", "ctrl"]
    np.testing.assert_array_equal(found.vectors["B"], wanted["B"])


def test_without_components_there_is_a_network_but_no_model(tmp_path):
    found = load_foreign(saved(tmp_path, components=None))
    assert found.space is None
    assert "PCs" in found.remarks[-1]
    with pytest.raises(BadDataError, match="no principal components"):
        found.model()


def test_the_version_follows_from_the_configuration_and_can_be_said(tmp_path):
    path = saved(tmp_path, "no_period")
    assert load_foreign(path).network.config.compat == "0.0.9"
    old = {name: one for name, one in CASES["no_period"].items() if name != "time_max_period"}
    path = write(tmp_path, old, params_of("no_period"), vectors("A", "B", "C"), genes=GENES, components=None)
    assert load_foreign(path).network.config.compat == "paper"


# ---- nothing is run


class Bomb:
    """An object that, if it were unpickled, would make a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_nothing_of_the_file_is_imported_or_called(tmp_path):
    path, before = saved(tmp_path), set(sys.modules)
    load_foreign(path)
    news = {name.split(".")[0] for name in set(sys.modules) - before}
    assert not news & {"cellflow", "jax", "jaxlib", "flax", "cloudpickle", "anndata_of_then"}


def test_a_call_in_the_file_is_read_and_not_made(tmp_path):
    mark = tmp_path / "ran"
    for content in (Bomb(mark), {"_solver": Bomb(mark)}, [Bomb(mark)]):
        (tmp_path / "CellFlow.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(BadDataError, match=r"CellFlow\.pkl"):
            load_foreign(tmp_path)
    assert not mark.exists()


def test_a_call_among_the_parameters_is_no_array(tmp_path):
    whole = saved(tmp_path).read_bytes()
    damaged = whole.replace(b"_reconstruct_array", b"_reconstruct_other")
    (tmp_path / "CellFlow.pkl").write_bytes(damaged)
    with pytest.raises(BadDataError):
        load_foreign(tmp_path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    whole = saved(tmp_path).read_bytes()
    for part in np.linspace(0, len(whole) - 1, 8).astype(int):
        (tmp_path / "CellFlow.pkl").write_bytes(whole[:part])
        with pytest.raises(BadDataError):
            load_foreign(tmp_path)


def test_a_file_with_a_byte_changed_is_read_or_refused_and_nothing_else(tmp_path):
    whole = bytearray(saved(tmp_path).read_bytes())
    rng, read = np.random.default_rng(0), 0
    for place in rng.integers(len(whole), size=15):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "CellFlow.pkl").write_bytes(damaged)
        try:
            load_foreign(tmp_path)
            read += 1
        except BadDataError:
            continue
    assert 0 < read < 15


def test_other_pickles_and_none_are_refused(tmp_path):
    with pytest.raises(MissingError):
        load_foreign(tmp_path)
    deep: dict[str, Any] = {}
    deep["_solver"] = deep
    for content in (1, {}, deep, {"_solver": {"vf": {}}}, np.zeros(3)):
        (tmp_path / "CellFlow.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(BadDataError, match=r"the pickle has no|not there"):
            load_foreign(tmp_path)


def test_a_small_file_that_mentions_one_value_a_billion_times_is_refused(tmp_path):
    laughs: list[Any] = ["ha"]
    for _ in range(12):
        laughs = [laughs] * 10
    config = {**CASES["film"], "condition_encoder_kwargs": laughs}
    told = {"genes": GENES, "components": components()}
    write(tmp_path, config, params_of("film"), vectors("A", "B", "C"), **told)
    with pytest.raises(BadDataError, match="too many"):
        load_foreign(tmp_path)
    once = JaxArray(np.zeros((300, 300), np.float32))
    often = {f"x{i}/kernel": once for i in range(10)}
    write(tmp_path, CASES["film"], often, vectors("A", "B", "C"), **told)
    with pytest.raises(BadDataError, match="more numbers than it holds"):
        load_foreign(tmp_path)


def test_it_is_the_network_that_load_official_gives(tmp_path):
    found = load_foreign(saved(tmp_path, "film")).network.state_dict()
    wanted = load_official(CASES["film"], params_of("film")).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
