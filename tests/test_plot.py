"""Pictures: what they show, what they refuse, that they are written whole."""

import itertools
import sys

import numpy as np
import pytest

import cnnx
from cnnx import plot
from cnnx.plot.confusion import most_confused

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.once


def labels(axes):
    return [t.get_text() for t in axes.get_xticklabels()], [t.get_text() for t in axes.get_yticklabels()]


def inside(figure):
    """Asserts that nothing reaches beyond the figure."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    across, up = figure.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01, box
    assert max(box.x1 - across, box.y1 - up) <= 0.01, (box, across, up)


def test_curves(tmp_path):
    path = tmp_path / "curves.png"
    history = {
        "loss": {"train": [3.0, 2.0], "validation": [2.5, 2.4]},
        "accuracy": {"test": cnnx.tensor([0.5])},
    }
    figure = plot.curves(history, path, title="a run")
    assert path.read_bytes()[:4] == b"\x89PNG"
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == ["train", "validation"]
    np.testing.assert_array_equal(left.lines[1].get_xydata(), [[1, 2.5], [2, 2.4]])
    assert (right.get_xlabel(), right.get_ylabel()) == ("epoch", "accuracy")
    assert left.get_legend() is not None
    for empty in ({}, {"loss": {}}):
        with pytest.raises(ValueError, match="history is empty"):
            plot.curves(empty)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 500])
def test_curves_count_whole_epochs(epochs):
    figure = plot.curves({"loss": {"train": np.linspace(2e9, 1, epochs), "x" * 300: [1.0]}}, title="t " * 99)
    inside(figure)
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks == [int(tick) for tick in ticks]
    assert 1 <= ticks[0] <= ticks[-1] <= epochs
    assert epochs > 3 or ticks == list(range(1, epochs + 1))
    assert axes.lines[1].get_markersize() > 4  # one point has no line to be seen by


def test_a_part_has_its_colour_in_all_panels():
    history = {"a": {str(part): [1.0, 2.0] for part in range(20)}, "b": {"19": [1.0], "3": [2.0]}}
    figure = plot.curves(history, note="a note " * 40)
    inside(figure)
    styles = [
        {line.get_label(): (line.get_color(), line.get_linestyle()) for line in axes.lines}
        for axes in figure.axes
    ]
    assert styles[1] == {name: styles[0][name] for name in ("19", "3")}
    assert len(set(styles[0].values())) == 20
    assert figure.get_supxlabel().split() == ("a note " * 40).split()


def test_confusion_matrix(tmp_path):
    path = tmp_path / "matrix.svg"
    figure = plot.confusion_matrix(cnnx.tensor([[8, 2], [0, 0]]), ["cat", "dog"], path)
    assert "<svg" in path.read_text()
    axes = figure.axes[0]
    assert labels(axes) == (["cat", "dog"], ["cat", "dog"])
    assert [text.get_text() for text in axes.texts] == ["8", "2"]
    mistakes, right = (image.get_array() for image in axes.images)
    np.testing.assert_allclose(mistakes.filled(-1), [[-1, 0.2], [-1, -1]])
    np.testing.assert_array_equal(right.mask, [[False, True], [True, False]])
    (recall,) = axes.child_axes
    assert labels(recall)[1] == ["80.0 %", "-"]
    assert figure.get_suptitle() == "accuracy 0.8000 on 10 images, 2 mistakes"
    assert figure.get_supxlabel().endswith("most confused:\n  cat taken for dog, 2 of 10")
    assert plot.confusion_matrix(np.eye(2)).get_supxlabel() == ""
    for wrong in (np.zeros((2, 3)), np.zeros((0, 0)), 3):
        with pytest.raises(ValueError, match="square"):
            plot.confusion_matrix(wrong)
    for wrong in ([[1, -1], [0, 1]], [[float("nan"), 0], [0, 1]], [["a"]]):
        with pytest.raises(ValueError, match="counts must be"):
            plot.confusion_matrix(wrong)
    with pytest.raises(ValueError, match="3 names for 2 classes"):
        plot.confusion_matrix(np.eye(2), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("count", "name", "cell"),
    [
        (1, "{}", 3.0),
        (2, "a rather long name, number {}", 1.5),
        (3, "x" * 300, 1.0),
        (10, "{}", 0.5),
        (26, "a name of {}", 10 / 26),
        (100, "{}", 0.22),
    ],
)
def test_a_confusion_matrix_of_any_size_is_legible(count, name, cell):
    """Every mistake is seen, numbers fit their cells, and names take nothing from the matrix."""
    matrix = np.diag(np.full(count, 1000))
    if count > 1:
        matrix[0, 1], matrix[1, 0] = 1, 600  # the scale is that of the second
    figure = plot.confusion_matrix(matrix, [name.format(number) for number in range(count)])
    inside(figure)
    axes = figure.axes[0]
    width = axes.get_window_extent().width / figure.dpi
    assert width == pytest.approx(count * cell, rel=0.05)
    for text in axes.texts:
        assert text.get_window_extent().width < width / count * figure.dpi
    if count > 1:
        shades = axes.images[0]
        faint = shades.to_rgba(shades.get_array())[0, 1]
        assert faint[:3].min() < 0.85  # white is 1
        assert "600 of 1600" in figure.get_supxlabel()


def test_a_confusion_matrix_of_shares_and_one_of_very_many_classes():
    figure = plot.confusion_matrix([[0.25, 0.0], [1 / 3, 0.75 - 1 / 3]])
    assert figure.get_suptitle().startswith("accuracy 0.6667")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.25", "0.417", "0.333"]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[1, 0], 1 / 3 / 0.75)
    figure = plot.confusion_matrix(np.eye(240) * 3 + np.eye(240, k=1))
    inside(figure)
    assert max(figure.get_size_inches()) < 30
    places = figure.axes[0].get_yticks()
    assert len(places) == 120
    assert not figure.axes[0].texts
    assert plot.confusion_matrix(np.zeros((2, 2))).get_suptitle() == "accuracy 0.0000 on 0 images, 0 mistakes"


def test_most_confused():
    matrix = np.array([[5, 3, 0, 1], [3, 10, 0, 0], [0, 0, 0, 0], [0, 7, 0, 1]])
    # As common as 0 for 1 is 1 for 0, but a smaller share of its class.
    assert most_confused(matrix) == [(7, 3, 1), (3, 0, 1), (3, 1, 0), (1, 0, 3)]
    assert most_confused(matrix, 1) == [(7, 3, 1)]
    assert most_confused(np.eye(3)) == []


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "uint32", "uint64"])
def test_counts_of_any_integer_type(dtype):
    counts = np.array([[100, 120, 0], [3, 100, 0], [0, 7, 100]]).astype(dtype)
    assert most_confused(counts) == most_confused(counts.astype(np.int64))
    figures = [plot.confusion_matrix(matrix) for matrix in (counts, counts.astype(np.int64))]
    for texts in zip(*((f.get_suptitle(), f.get_supxlabel()) for f in figures), strict=True):
        assert texts[0] == texts[1]


@pytest.mark.parametrize("shape", [(5, 1, 3, 3), (4, 2, 3, 3), (6, 2, 3), (1, 1, 1, 1)])
def test_filters_show_every_weight(shape):
    weight = np.random.default_rng(0).normal(size=shape)
    figure = plot.filters(cnnx.tensor(weight, requires_grad=True))
    drawn = figure.axes[0].images[0].get_array()
    shown = np.sort(np.asarray(drawn.filled(np.nan)).ravel())
    np.testing.assert_array_equal(shown[: weight.size], np.sort(weight.ravel()))
    assert np.isnan(shown[weight.size :]).all()
    inside(figure)
    assert figure.axes[0].child_axes[0].get_ylabel() == "weight"


def test_filters_in_colours(tmp_path):
    weight = np.random.default_rng(0).normal(size=(5, 3, 3, 2))
    figure = plot.filters(weight, tmp_path / "colours.png", colour=True)
    inside(figure)
    (axes,) = figure.axes
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape == (2 * 3 + 1, 3 * 2 + 2, 3)  # two rows of three, with gaps of one
    np.testing.assert_allclose(drawn[4:, 3:5], 0.5 + weight[4].transpose(1, 2, 0) / (2 * abs(weight).max()))
    assert (drawn[:, 2] == 1).all()
    with pytest.raises(ValueError, match="colours need 3 input channels, the weight has 1"):
        plot.filters(np.ones((5, 1, 3, 3)), colour=True)


def test_filters_of_a_net_that_diverged():
    weight = np.array([1.0, np.nan, np.inf, -2.0]).reshape(1, 1, 2, 2)
    assert plot.filters(weight).axes[0].images[0].get_clim() == (-2, 2)


def test_filters_say_what_is_left_out():
    assert "first 4 of 6" in plot.filters(np.ones((3, 2, 2, 2)), limit=2).get_suptitle()
    with pytest.raises(ValueError, match=r"got \(3, 3\)"):
        plot.filters(np.ones((3, 3)))


def test_feature_maps(tmp_path):
    rng = np.random.default_rng(0)
    odd = rng.random((3, 4, 4))
    odd[1] = 5
    odd[2, 0, 0] = np.nan
    maps = {"conv": cnnx.rand(3, 4, 5), "flat": np.ones((1, 2, 6)), "wide": cnnx.rand(70, 6), "odd": odd}
    figure = plot.feature_maps(
        maps, tmp_path / "maps.png", image=rng.random((3, 8, 6)), title="one image " * 20
    )
    inside(figure)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "input  8x6",
        "conv  3x4x5",
        "flat  1x2x6, 1 constant",
        "wide  70x6, the first 64 channels",
        "odd  3x4x4, 1 constant, 1 not finite",
    ]
    assert figure.axes[0].images[0].get_array().shape == (8, 6, 3)
    assert np.nanmax(figure.axes[1].images[0].get_array()) == 1
    assert np.isnan(figure.axes[2].images[0].get_array().filled(np.nan)).all()
    drawn = figure.axes[4].images[0].get_array().filled(np.nan)
    np.testing.assert_allclose(drawn[:, :4], (odd[0] - odd[0].min()) / np.ptp(odd[0]))
    assert np.isnan(drawn[:, 4:]).all()
    assert len(figure.axes[4].lines) == 4  # two crosses
    assert not figure.axes[1].lines
    for wrong in ({}, {"a": np.ones(3)}):
        with pytest.raises(ValueError, match="feature_maps"):
            plot.feature_maps(wrong)


@pytest.mark.parametrize("counts", [(1, 6, 6, 6, 16), (16, 16, 16), (32, 8, 64), (3, 3), (9, 7, 5)])
def test_feature_maps_leave_little_room(counts):
    """Layers of few maps stand side by side, none over another."""
    figure = plot.feature_maps({f"layer {i}": cnnx.rand(count, 8, 8) for i, count in enumerate(counts)})
    inside(figure)
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        for other in boxes[i + 1 :]:
            assert not (
                min(box.x1, other.x1) > max(box.x0, other.x0)
                and min(box.y1, other.y1) > max(box.y0, other.y0)
            )
    across, up = figure.bbox.size
    assert sum(box.width * box.height for box in boxes) > 0.45 * across * (up - 60)


def test_images(tmp_path):
    pictures = [np.zeros((4, 4)), cnnx.ones(1, 4, 4), cnnx.rand(3, 4, 4), np.zeros((4, 4, 3), np.uint8)]
    figure = plot.images(pictures, ["a", "b", "c", "d"], tmp_path / "p.png", columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "", ""]
    assert figure.axes[2].images[0].get_array().shape == (4, 4, 3)
    with pytest.raises(ValueError, match="1 titles for 2 images"):
        plot.images(pictures[:2], ["a"])
    with pytest.raises(ValueError, match=r"got \(2, 4, 4\)"):
        plot.images([np.zeros((2, 4, 4))])
    with pytest.raises(ValueError, match="no images"):
        plot.images([])


@pytest.mark.parametrize("shape", [(12, 3), (12, 1), (3, 3), (1, 3), (3, 1), (1, 1)])
def test_narrow_images_have_their_channels_first(shape):
    rng = np.random.default_rng(0)
    grey, colour = rng.random((1, *shape)), rng.random((3, *shape))
    rows = plot.images([grey, colour]), plot.overlays([grey, colour], [None, None])
    rows += tuple(plot.feature_maps(rng.random((2, 4, 4)), image=image) for image in (grey, colour))
    drawn = [axes.images[0].get_array() for figure in rows[:2] for axes in figure.axes[:2]]
    drawn += [figure.axes[0].images[0].get_array() for figure in rows[2:]]
    for found, image in zip(drawn, [grey, colour] * 3, strict=True):
        np.testing.assert_allclose(found, image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    figure = plot.overlays([grey, colour], rng.random((2, *shape)))
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [shape, shape]
    last = rng.random((4, 5, 3))
    assert plot.images([last]).axes[0].images[0].get_array().shape == (4, 5, 3)


@pytest.mark.parametrize(("count", "columns"), [(1, None), (5, 5), (11, None)])
def test_long_titles_leave_images_their_size(count, columns):
    titles = ["Crested caracara of the southern plains taken for " + "x" * 40] * count
    figure = plot.images([np.eye(7)] * count, titles, title="a long title " * 9, columns=columns)
    inside(figure)
    assert all(axes.get_window_extent().width > 1.4 * figure.dpi for axes in figure.axes)
    boxes = [axes.get_tightbbox() for axes in figure.axes[:count]]
    for here, beside in itertools.pairwise(boxes):
        assert beside.x0 >= here.x1 or beside.y1 <= here.y0 + 1
    assert " ".join(figure.axes[0].get_title().split()).replace("x x", "xx").startswith("Crested caracara of")


def test_overlays(tmp_path):
    path = tmp_path / "overlays.png"
    image, heat = np.random.default_rng(0).random((3, 6, 5)), np.zeros((6, 5))
    heat[2, 3] = 4
    maps = [None, cnnx.tensor(heat), np.zeros((6, 5))]
    figure = plot.overlays([image] * 3, maps, ["a", "b", "c"], path, title="t", note="n " * 99, columns=3)
    assert path.read_bytes()[:4] == b"\x89PNG"
    inside(figure)
    alone, over, nothing = figure.axes
    np.testing.assert_allclose(alone.images[0].get_array(), image.transpose(1, 2, 0))
    np.testing.assert_allclose(over.images[0].get_array(), image.mean(0))
    np.testing.assert_allclose(over.images[1].get_array(), heat / 4)
    assert over.images[1].get_alpha()[2, 3] > over.images[1].get_alpha()[0, 0]
    assert not nothing.images[1].get_array().any()
    for maps, text in (
        ([None], "1 maps for 2 images"),
        ([None, np.zeros((5, 6))], r"a map \(5, 6\) for an image \(6, 5\)"),
        ([None, heat - 1], "not negative"),
        ([np.full((6, 5), np.nan), None], "finite"),
    ):
        with pytest.raises(ValueError, match=f"overlays: .*{text}"):
            plot.overlays([image] * 2, maps)
    with pytest.raises(ValueError, match="overlays: there are no images"):
        plot.overlays([], [])


ONES = np.ones((3, 2, 2))
BAD = {
    "no filters": (lambda: plot.filters(ONES, limit=0), "filters: limit must be positive, got 0"),
    "fewer": (lambda: plot.filters(ONES, limit=-2), "filters: limit must be positive, got -2"),
    "no maps": (lambda: plot.feature_maps(ONES, limit=0), "feature_maps: limit must be positive, got 0"),
    "booleans": (lambda: plot.feature_maps(ONES > 0), "feature_maps: needs maps of numbers, got bool"),
    "complex": (lambda: plot.feature_maps(ONES * 1j), "feature_maps: needs maps of numbers, got complex128"),
    "no epoch": (lambda: plot.curves({"loss": {"train": []}}), "curves: loss of train has no values"),
    "no part": (lambda: plot.curves({"loss": {"a": [1], "b": []}}), "curves: loss of b has no values"),
    "no parts": (lambda: plot.curves({"loss": {}}), "curves: the history is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_drawn(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=f"^{words}$"):
        call()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[cli\]'"):
        plot.images([np.zeros((2, 2))])
