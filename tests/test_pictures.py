"""Pictures of every mode of Pillow, by every way in: the same values, or one clear error."""

import io

import numpy as np
import pytest

from cnnx import datasets, pictures, transforms

Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.cpu("pictures are decoded on the CPU")
from PIL import ImageOps  # noqa: E402

from cnnx.cli import CommandError  # noqa: E402
from cnnx.cli.data import load_folder  # noqa: E402
from cnnx.cli.picture import read_picture  # noqa: E402
from cnnx.transforms import functional as F  # noqa: E402

BYTES = np.array([[0, 1, 127], [128, 200, 255]], np.uint8)
WORDS = np.array([[0, 1, 256], [32768, 65279, 65535]], np.uint16)
COLOURS = np.stack([BYTES, BYTES[::-1], BYTES[:, ::-1], np.full_like(BYTES, 255)], 2)  # opaque as RGBA
PALETTE = [(i * 40 % 256, 255 - i, i * 7 % 256) for i in range(256)]


def picture(mode):
    """A picture of 3 x 2 pixels."""
    if mode == "1":
        return Image.fromarray(BYTES > 127)
    if mode.startswith("I;16"):
        order = ">" if mode == "I;16B" else "<"
        return Image.frombytes(mode, (3, 2), WORDS.astype(f"{order}u2").tobytes())
    if mode in ("I", "F"):
        return Image.fromarray(BYTES.astype(np.int32 if mode == "I" else np.float32))
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = BYTES if bands == 1 else COLOURS[..., [0, 3]] if bands == 2 else COLOURS[..., :bands]
    made = Image.frombytes(mode, (3, 2), np.ascontiguousarray(pixels).tobytes())
    if mode in ("P", "PA"):
        made.putpalette([value for colour in PALETTE for value in colour])
    return made


SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "RGBa",
    "La",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    *SIXTEEN,
    "I",
    "F",
)


@pytest.mark.parametrize("mode", MODES)
def test_to_tensor(mode):
    """Against NumPy on the values that were put in."""
    image = picture(mode)
    bands = len(image.getbands())
    stored = BYTES if bands == 1 else COLOURS[..., [0, 3]] if bands == 2 else COLOURS[..., :bands]
    raw, scaled = stored, stored.astype(np.float32) / np.float32(255)
    if mode == "1":
        raw, scaled = BYTES > 127, (BYTES > 127).astype(np.float32)
    elif mode in SIXTEEN:
        raw, scaled = WORDS.astype(np.int32), WORDS.astype(np.float32) / np.float32(65535)
    elif mode in ("I", "F"):
        raw = scaled = BYTES.astype(np.int32 if mode == "I" else np.float32)
    for make, expected in (
        (transforms.ToTensor(), scaled),
        (F.to_tensor, scaled),
        (transforms.PILToTensor(), raw),
        (F.pil_to_tensor, raw),
    ):
        got = make(image).numpy(force=True)
        want = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def seen(mode, colours):
    """What a picture shows, as bytes, by arithmetic on its values; None for what has no white."""
    if mode in ("I", "F"):
        return None
    if mode == "1":
        grey = np.where(BYTES > 127, 255, 0)
    elif mode in SIXTEEN:
        grey = np.rint(WORDS / 257)
    elif mode in ("L", "LA", "La"):
        grey = BYTES
    elif mode in ("P", "PA"):
        return np.array(PALETTE)[BYTES]
    elif mode in ("RGB", "RGBA", "RGBa", "RGBX"):
        return COLOURS[..., :3]
    elif mode == "CMYK":
        ink = COLOURS.astype(int)
        return np.clip(255 - ink[..., :3] - ink[..., 3:], 0, 255)
    else:  # by formulas of their own, which are Pillow's
        return np.asarray(colours.convert("RGB"))
    return np.stack([grey] * 3, 2)


@pytest.mark.parametrize("mode", MODES)
def test_in_bytes(mode):
    image = picture(mode)
    want = seen(mode, image)
    for convert in (pictures.in_bytes, pictures.in_view):
        if want is None:
            with pytest.raises(ValueError, match=f"mode {mode} have no value that stands for white"):
                convert(image, "RGB")
            continue
        np.testing.assert_array_equal(np.asarray(convert(image, "RGB")), want)
        grey = Image.fromarray(want.astype(np.uint8)).convert("L")
        luma = COLOURS[..., 0] if mode == "YCbCr" else np.asarray(grey)
        np.testing.assert_array_equal(convert(image, "L"), luma)


# As files hold them: each mode in a format that keeps it.
FILES = {
    "1": "png", "L": "png", "LA": "png", "P": "png", "PA": "tiff", "RGB": "png", "RGBA": "png",
    "CMYK": "tiff", "YCbCr": "tiff", "LAB": "tiff", "I;16": "png", "I;16B": "tiff", "I": "tiff", "F": "tiff",
}  # fmt: skip


def folder(tmp_path, image, suffix):
    """A folder of two classes with the picture ten times in each; the path of one of them."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(10):
            image.save(tmp_path / name / f"{i}.{suffix}")
    return tmp_path / "a" / f"0.{suffix}"


@pytest.mark.parametrize("mode", FILES)
def test_files(tmp_path, mode):
    """`ImageFolder`, `cnnx train` and `cnnx predict` see the same, and that is what was stored."""
    image = picture(mode)
    path = folder(tmp_path, image, FILES[mode])
    with Image.open(path) as opened:
        assert opened.mode == mode
    want = seen(mode, image)
    data = datasets.ImageFolder(tmp_path, transforms.ToTensor())
    if want is None:
        for read, kind in (
            (lambda: data[0], ValueError),
            (lambda: load_folder(tmp_path, True, None, None), CommandError),
            (lambda: read_picture(path, (3, 2, 3), None), CommandError),
        ):
            with pytest.raises(
                kind, match=rf"0\.{FILES[mode]} cannot be read as an image: .*mode {mode}"
            ) as caught:
                read()
            assert "\n" not in str(caught.value)
        return
    want = want.transpose(2, 0, 1)
    np.testing.assert_array_equal(data[0][0].numpy(force=True), want.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.data.numpy(force=True)[3], want)
    trained = load_folder(tmp_path, True, (3, 2, 3), None).data.numpy(force=True)
    np.testing.assert_array_equal(trained[0], want)
    np.testing.assert_allclose(read_picture(path, (3, 2, 3), None), want / 255, rtol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "LA"])
def test_grey_files(tmp_path, mode):
    """Grey stays grey where nobody asks for colour."""
    image = picture(mode)
    path = folder(tmp_path, image, "png")
    want = seen(mode, image)[..., 0]
    np.testing.assert_array_equal(datasets.ImageFolder(tmp_path, mode=None).data.numpy(force=True)[0], want)
    trained = load_folder(tmp_path, True, None, None)
    assert trained.data.ndim == 3
    np.testing.assert_array_equal(trained.data.numpy(force=True)[0], want)
    np.testing.assert_allclose(read_picture(path, (1, 2, 3), None)[0], want / 255, rtol=1e-6)


def test_sixteen_bits_of_mode_i(tmp_path):
    """PGM files with 16 bits open as mode I, of which Pillow keeps the lowest 8 bits or clips the rest."""
    path = tmp_path / "x.pgm"
    path.write_bytes(b"P5 3 2 65535\n" + WORDS.astype(">u2").tobytes())
    with Image.open(path) as opened:
        assert opened.mode == "I"
        np.testing.assert_allclose(
            transforms.ToTensor()(opened).numpy(force=True)[0], WORDS / 65535, rtol=1e-6
        )
    np.testing.assert_allclose(read_picture(path, (1, 2, 3), None)[0], np.rint(WORDS / 257) / 255, rtol=1e-6)


def test_transparency(tmp_path):
    """White paper in training and prediction; `ImageFolder` drops the channel, as torchvision does."""
    pixels = COLOURS.copy()
    pixels[..., 3] = [[0, 255, 51], [255, 204, 0]]
    opacity = pixels[..., 3:] / 255
    paper = pixels[..., :3] * opacity + 255 * (1 - opacity)
    path = folder(tmp_path, Image.fromarray(pixels), "png")
    np.testing.assert_array_equal(
        datasets.ImageFolder(tmp_path).data.numpy()[0], pixels[..., :3].transpose(2, 0, 1)
    )
    trained = load_folder(tmp_path, True, (3, 2, 3), None).data.numpy(force=True)[0]
    np.testing.assert_allclose(trained, paper.transpose(2, 0, 1), atol=1)
    np.testing.assert_allclose(read_picture(path, (3, 2, 3), None) * 255, trained, atol=1e-3)


def test_transparent_palette(tmp_path):
    image = picture("P")
    path = tmp_path / "x.png"
    image.save(path, transparency=int(BYTES[1, 2]))
    want = np.array(PALETTE)[BYTES]
    want[1, 2] = 255
    np.testing.assert_allclose(read_picture(path, (3, 2, 3), None), want.transpose(2, 0, 1) / 255, rtol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, orientation):
    """As a person holds the picture, in training and prediction; as stored in `ImageFolder`."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    root = tmp_path / "data"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(2):  # one to train, one to test
            picture("RGB").save(root / name / f"{number}.png", exif=exif)
    stored = COLOURS[..., :3]
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1), 7: stored[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    shape = (3, *turned.shape[:2])
    trained = load_folder(root, True, shape, None).data.numpy(force=True)[0]
    np.testing.assert_array_equal(trained, turned.transpose(2, 0, 1))
    np.testing.assert_allclose(read_picture(root / "a" / "0.png", shape, None) * 255, trained, atol=1e-4)
    np.testing.assert_array_equal(datasets.ImageFolder(root).data.numpy()[0], stored.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", ["gif", "tiff"])
def test_first_frame(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    frames = [Image.new("L", (3, 2), value) for value in (200, 10)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as opened:
        assert opened.n_frames == 2
        first = transforms.PILToTensor()(opened.convert("L"))
    assert (first.numpy(force=True) == 200).all()
    np.testing.assert_allclose(read_picture(path, (1, 2, 3), None), 200 / 255, rtol=1e-6)


def test_no_picture():
    for make in (transforms.PILToTensor(), transforms.ToTensor()):
        with pytest.raises(TypeError, match="ToTensor: needs a PIL image"):
            make("x.png")
    with pytest.raises(TypeError, match="ToTensor: no tensor type"):
        transforms.ToTensor()(WORDS)


def test_oriented_sixteen_bits():
    """What is known of a file must not get lost where the picture is turned."""
    exif = Image.Exif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    picture("I;16").save(buffer, "png", exif=exif)
    with Image.open(buffer) as opened:
        got = np.asarray(pictures.in_view(opened, "L"))
        assert ImageOps.exif_transpose(opened).mode == "I;16"
    np.testing.assert_array_equal(got, np.rint(WORDS / 257)[::-1, ::-1])


def test_pictures_out_of_proportion_are_refused(tmp_path, monkeypatch):
    """A few kilobytes of one colour would become hundreds of megabytes; no reader begins to decode them."""
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "bomb.png"
    Image.new("1", (5000, 5000)).save(path)
    folder = datasets.ImageFolder(tmp_path)
    with pytest.raises(
        ValueError, match=r"^ImageFolder: .*bomb\.png.* 5000x5000 pixels in a file of \d+ bytes"
    ):
        folder[0]
    with pytest.raises(CommandError, match="5000x5000 pixels in a file of"):
        read_picture(path, (1, 2, 3), None)
    Image.new("1", (4000, 4000)).save(path)
    assert folder[0][0].size == (4000, 4000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000_000)
    with pytest.raises(ValueError, match=r"bomb\.png.*MAX_IMAGE_PIXELS sets this limit"):
        folder[0]


def test_a_program_in_a_pictures_place_is_not_run(tmp_path, monkeypatch):
    """The content decides what a file is, and Pillow would have Ghostscript run PostScript."""
    (tmp_path / "bin").mkdir()
    gs = tmp_path / "bin" / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # where Pillow has looked already
    path = tmp_path / "images" / "a" / "x.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(path, "eps")
    for read in (
        lambda: datasets.ImageFolder(tmp_path / "images")[0],
        lambda: read_picture(path, (1, 8, 8), None),
    ):
        with pytest.raises((ValueError, CommandError), match=r"x\.png cannot be read .* PostScript program"):
            read()
    assert not (tmp_path / "ran").exists()
