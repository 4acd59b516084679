"""Results as JSON, for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnnx.files import write_file


def write_json(path: Path, results: Any) -> None:
    """Writes results; names that are no UTF-8 hold lone surrogates, and are written as JSON escapes them."""
    text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(path, text.encode("utf-8", "backslashreplace"))
