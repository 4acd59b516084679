"""Makes python/cnnx/datasets/digits.npz from the digits that scikit-learn ships.

Run as `python tools/make_digits.py`; scikit-learn must be installed. The file holds, in the order of the
source,

- images: uint8 (1797, 8, 8), values 0 to 16,
- targets: uint8 (1797,), the digit,
- test: uint16 (360,), the sorted indices of the fixed test split, drawn by `RandomState(0)`; the rest is for
training.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parent.parent / "python" / "cnnx" / "datasets" / "digits.npz"
TEST_IMAGES = 360


def main() -> None:
    digits = load_digits()
    arrays = {
        "images": digits.images.astype(np.uint8),
        "targets": digits.target.astype(np.uint8),
        "test": np.sort(np.random.RandomState(0).permutation(len(digits.images))[:TEST_IMAGES]).astype(
            np.uint16
        ),
    }
    if not (arrays["images"] == digits.images).all():
        raise SystemExit("the source's values are not whole numbers")
    # numpy.savez stamps the time of day; a fixed one makes the file reproducible.
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            info = zipfile.ZipInfo(f"{name}.npy", (1998, 7, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, buffer.getvalue())
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
