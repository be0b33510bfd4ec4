"""What is planted in a screen is found by condition and by guide; what is not there, or cannot be known, is said."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from pertura.core import Condition, Mode, Perturbation, Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory
from pertura.data.preparation.material import material_of
from pertura.recipes.narration import Silent
from pertura.recipes.quality.assessed import TargetChange
from pertura.recipes.quality.page import write_page
from pertura.recipes.quality.quality import Looking, Quality, quality
from pertura.recipes.quality.tables import full_table, short_table, summary
from pertura.report.tables import to_csv, to_text
from quality_screens import TARGETS, logs_of, screen, with_guides

FEW = Looking(permutations=39)


def looked(material, looking: Looking = FEW) -> Quality:
    return quality(material, looking, Silent().stage)


@pytest.fixture(scope="module")
def found() -> Quality:
    return looked(with_guides(screen(dead=("G003",), seed=1)))


def test_effects_targets_and_genes_are_found(found):
    by_gene = {one.condition.genes[0]: one for one in found.conditions}
    assert set(by_gene) == set(TARGETS)
    assert all(one.differs for one in found.conditions)
    for gene, one in by_gene.items():
        target = one.targets[0]
        assert target.change == pytest.approx(-0.4 if gene == "G003" else -0.8, abs=0.12)
        assert target.log2_fold_change == pytest.approx(np.log2(1 + target.change))
        assert target.verdict == "as meant"
        assert one.genes_changed > 5


def test_the_dead_guide_stands_out(found):
    guides = {one.group.guide: one for one in found.guides}
    assert len(guides) == 16
    assert guides["G003-g2"].targets[0].verdict == "no change seen"
    assert not guides["G003-g2"].differs
    assert guides["G003-g1"].differs
    by_gene = {one.condition.genes[0]: one for one in found.conditions}
    assert by_gene["G003"].agreement < 0.35
    assert by_gene["G003"].agreement_p > 0.05
    assert all(one.agreement > 0.5 for gene, one in by_gene.items() if gene != "G003")
    assert all(one.agreement_p <= 0.05 for gene, one in by_gene.items() if gene != "G003")
    assert abs(np.median(found.null["line"])) < 0.15


def test_the_target_change_is_that_of_matched_means():
    cells = screen(batches=2, skewed=True)
    one = looked(material_of(cells)).conditions[0]
    column = cells.genes.index(one.condition.genes[0])
    plain = np.expm1(logs_of(cells)[:, column])
    rows, controls = cells.rows_of(one.condition), cells.control_rows("line")
    share = np.bincount(cells.batch_codes[rows], minlength=2) / len(rows)
    matched = sum(share[b] * plain[controls[cells.batch_codes[controls] == b]].mean() for b in (0, 1))
    assert one.targets[0].change == pytest.approx(plain[rows].mean() / matched - 1, rel=1e-6)


def test_batches_are_no_effect():
    cells = screen(strength=0.0, residual=1.0, batches=3, skewed=True)
    found = looked(material_of(cells), Looking(permutations=199))
    assert sum(one.differs for one in found.conditions) <= 2
    alone = screen(strength=0.0, residual=1.0, batches=3, skewed=True)
    plain = looked(material_of(replace(alone, batch_codes=None, batches=())), Looking(permutations=199))
    assert sum(one.differs for one in plain.conditions) == 8


def test_cells_of_a_batch_without_controls_are_counted_and_the_batch_named():
    cells = screen(batches=3)
    kept = cells.take(np.flatnonzero(~(cells.is_control & (cells.batch_codes == 2))))
    found = looked(material_of(kept))
    one = found.conditions[0]
    assert one.unmatched == int((kept.batch_codes[kept.rows_of(one.condition)] == 2).sum()) > 0
    assert any("line in batch2" in line for line in summary(found))


def test_depth_explains_what_depth_did_and_nothing_else():
    shallow = looked(material_of(screen(strength=0.0, residual=1.0, keep=0.4, cells=150, controls=600)))
    assert all(one.differs for one in shallow.conditions)
    assert all(one.depth == pytest.approx(0.4, rel=0.15) for one in shallow.conditions)
    assert np.median([one.by_depth for one in shallow.conditions]) > 0.6
    assert any("library size explains over half" in line and "8 of 8" in line for line in summary(shallow))
    strong = looked(material_of(screen()))
    assert max(one.by_depth for one in strong.conditions) < 0.1


def test_the_cycle_explains_what_the_cycle_did_and_nothing_else():
    cycling = looked(material_of(screen(strength=0.0, residual=1.0, cycling=0.7, cells=150, controls=600)))
    assert np.median([one.by_cycle for one in cycling.conditions]) > 0.7
    assert np.median([one.by_both for one in cycling.conditions]) > 0.7
    strong = looked(material_of(screen()))
    assert np.median([one.by_cycle for one in strong.conditions]) < 0.1


def test_without_effects_few_conditions_differ_and_nothing_is_explained():
    nothing = looked(with_guides(screen(strength=0.0, residual=1.0)), Looking(permutations=99))
    assert sum(one.differs for one in nothing.conditions) <= 2
    assert all(np.isnan(one.by_depth) for one in nothing.conditions if not one.differs)
    assert abs(np.mean([one.agreement for one in nothing.conditions])) < 0.15


def test_few_controls_make_no_guides_agree():
    """The noise of a control mean is common to all changes; against disjoint controls it makes nothing alike."""
    nothing = looked(with_guides(screen(strength=0.0, residual=1.0, controls=24)))
    assert abs(np.median(nothing.null["line"])) < 0.2


@pytest.mark.parametrize(
    ("mode", "change", "p", "verdict"),
    [
        (Mode.INTERFERENCE, -0.8, 0.001, "as meant"),
        (Mode.INTERFERENCE, 0.8, 0.001, "the other way"),
        (Mode.ACTIVATION, 3.0, 0.001, "as meant"),
        (Mode.KNOCKOUT, -0.1, 0.001, "as meant"),
        (Mode.ACTIVATION, 3.0, 0.2, "no change seen"),
        (Mode.UNSPECIFIED, -0.8, 0.001, "changed"),
        (Mode.INTERFERENCE, float("nan"), 1.0, "not expressed"),
    ],
)
def test_a_target_is_judged_by_its_mode(mode, change, p, verdict):
    assert TargetChange("A", mode, True, 0.0, change, p).verdict == verdict
    assert TargetChange("A", mode, False).verdict == "not measured"


def test_targets_that_are_not_measured_and_genes_that_are_not_expressed_are_said():
    cells = screen()
    column = cells.genes.index("G001")
    matrix = cells.dense(np.arange(len(cells)))
    matrix[:, column] = 0
    renamed = tuple(
        Condition(Perturbation.parse("ELSEWHERE", Mode.INTERFERENCE), "line") if one.genes == ("G000",) else one
        for one in cells.conditions
    )
    found = looked(material_of(replace(cells, expression=InMemory(matrix), conditions=renamed)))
    verdicts = {one.condition.genes[0]: one.targets[0].verdict for one in found.conditions}
    assert (verdicts["ELSEWHERE"], verdicts["G001"]) == ("not measured", "not expressed")
    text = to_text(short_table(found.conditions, found.cells.contexts, "all"))
    assert "not measured" in text
    assert "not expressed" in text


def test_a_context_without_enough_controls_is_listed_with_the_reason():
    cells = screen(controls=6)
    found = looked(material_of(cells))
    assert all(np.isnan(one.p_value) and "nothing to compare with" in one.remarks[0] for one in found.conditions)
    assert "8 could not be tested" in summary(found)[0]


def test_without_library_sizes_nothing_is_said_of_depth():
    cells = screen()
    logs = replace(
        cells,
        expression=InMemory(logs_of(cells)),
        scale=Scale("lognormalised", 1e4, float(np.e), whole_transcriptome=True),
        library_sizes=None,
    )
    found = looked(material_of(logs))
    assert all(np.isnan(one.depth) for one in found.conditions)
    assert np.isfinite([one.by_cycle for one in found.conditions]).all()
    assert any("nothing is said of depth" in line for line in summary(found))
    own_sum = replace(logs, scale=Scale("lognormalised", 1e4, float(np.e), whole_transcriptome=False))
    assert any("panel alone" in line for line in looked(material_of(own_sum)).warnings)
    with pytest.raises(BadDataError, match="library sizes are not known"):
        looked(material_of(replace(cells, library_sizes=None)))


def test_the_file_holds_every_number_and_leaves_the_undefined_empty(found):
    rows = list(csv.DictReader(io.StringIO(to_csv(full_table(found)))))
    assert len(rows) == 8 + 16
    first = rows[0]
    assert float(first["energy_p_value"]) == found.conditions[0].p_value
    assert float(first["target_1_change"]) == pytest.approx(found.conditions[0].targets[0].change)
    assert first["guide"] == ""
    assert {row["guide"] for row in rows[8:]} == {f"{gene}-g{i}" for gene in TARGETS for i in (1, 2)}
    undefined = [row for row, one in zip(rows[8:], found.guides) if np.isnan(one.by_depth)]
    assert undefined
    assert all(row["explained_by_depth"] == "" for row in undefined)


def test_the_page_is_written_whole(found, tmp_path):
    write_page(found, tmp_path / "q.html")
    text = (tmp_path / "q.html").read_text()
    assert "Every guide of these conditions" in text
    assert "G003-g2" in text


def test_neither_the_order_of_cells_nor_other_conditions_change_a_number():
    material = with_guides(screen(cells=40, controls=100))
    order = np.random.default_rng(0).permutation(len(material.cells))
    turned = looked(material.take(order))
    plain = looked(material)
    rows = [list(csv.reader(io.StringIO(to_csv(full_table(one))))) for one in (plain, turned)]
    for first, second in zip(*rows):
        for one, other in zip(first, second):
            try:
                assert float(one) == pytest.approx(float(other), rel=1e-6, abs=1e-9)
            except ValueError:
                assert one == other


def test_guides_come_from_the_column_that_is_named():
    material = with_guides(screen(cells=30, controls=60))
    assert not looked(material, replace(FEW, guide_column="none")).guides
    other = replace(material, obs=material.obs.rename(columns={"guide_id": "who"}))
    assert not looked(other).guides
    assert len(looked(other, replace(FEW, guide_column="who")).guides) == 16
    with pytest.raises(UsageError, match="did you mean 'who'"):
        looked(other, replace(FEW, guide_column="whom"))
