"""Laws of the figures of an annotation: readable with sixty classes, honest about what is missing, equal bytes."""

import re

import numpy as np
import pytest

from pertura.report.cell_map import ByClass, ByMark, ByNumber, cell_map
from pertura.report.confusion import confusion_chart
from pertura.report.trust_curves import TrustCurve, trust_chart


def counts(classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.int64) * 50 + np.random.default_rng(0).integers(0, 2, (classes, classes))


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_every_class_is_named_twice_and_in_letters_that_can_be_read(classes):
    names = [f"CD{number}+ type" for number in range(classes)]
    picture = confusion_chart(counts(classes), names, title="mistakes")
    for name in names:
        assert len(re.findall(rf">{re.escape(name)}(?:  \d+)?<", picture.figure.svg)) == 2
    sizes = [float(one) for one in re.findall(r"font[^;]*?([\d.]+)px", picture.figure.svg)]
    assert min(sizes) >= 6.5
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', picture.figure.svg)[1])
    assert width < 1100
    assert picture.png.startswith(b"\x89PNG")


def test_rows_are_shares_whatever_their_size():
    few, many = (
        confusion_chart(np.asarray([[factor, 0], [factor, factor]]), ["a", "b"], title="t") for factor in (2, 200)
    )
    shown = [re.findall(r">(\d+)</text>", one.figure.svg) for one in (few, many)]
    assert shown[0] == shown[1] == ["100", "50", "50"]


def test_no_class_and_a_class_without_cells_are_drawn():
    assert "nothing" in confusion_chart(np.zeros((0, 0), dtype=np.int64), [], title="t").figure.svg
    confusion_chart(np.asarray([[3, 0], [0, 0]]), ["a", "b"], title="t")


def test_equal_maps_give_equal_bytes_and_lost_cells_are_counted():
    rng = np.random.default_rng(1)
    places = rng.normal(size=(30, 2))
    places[4] = np.nan
    codes = rng.integers(-1, 3, size=30)
    panels = (
        ByClass("observed", codes),
        ByNumber("sure", np.linspace(0, 1, 30)),
        ByMark("held", codes > 0, "test <cells>", "others"),
    )
    one, same = (cell_map(places, panels, ["a", "b", "c & d"], title="m", caption="c.") for _ in range(2))
    assert one.png == same.png
    assert one.figure.svg == same.figure.svg
    assert "1 cells have no place" in one.figure.caption
    assert "test &lt;cells&gt;" in one.figure.svg
    assert "c &amp; d" in one.figure.svg


def test_dots_are_seen_in_the_png():
    import io

    from matplotlib.image import imread

    spots = np.random.default_rng(0).normal(size=(400, 2))
    full = cell_map(spots, (ByMark("m", np.ones(400, dtype=bool), "a", "b"),), [], title="t", caption="")
    none = cell_map(spots[:1], (ByMark("m", np.ones(1, dtype=bool), "a", "b"),), [], title="t", caption="")
    red = [((imread(io.BytesIO(one.png))[..., :3] - [0.835, 0.369, 0]) ** 2).sum(axis=2) < 0.05 for one in (full, none)]
    assert red[0].sum() > 20 * red[1].sum()


def test_curves_of_one_cell_are_drawn():
    bins = np.zeros(10, dtype=np.int64)
    bins[7] = 1
    empty = np.full(10, np.nan)
    sure = np.where(bins > 0, 0.75, empty)
    curve = TrustCurve("one", bins, sure, sure, np.asarray([1.0]), np.asarray([0.0]))
    assert "one" in trust_chart([curve], title="t", caption="c").figure.svg
    trust_chart([], title="t", caption="c")
