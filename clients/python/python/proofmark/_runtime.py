"""Where the ONNX Runtime library is that the Rust core loads."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

VARIABLE = "ORT_DYLIB_PATH"
VERSION = "1.31.1"
NAMES = (f"libonnxruntime.so.{VERSION}", f"libonnxruntime.{VERSION}.dylib")


def locate() -> None:
    """Points the core at the library of the package ``onnxruntime``, unless ``ORT_DYLIB_PATH`` names one.

    Where there is none of the pinned release, the core looks where ``cargo xtask fetch-runtime`` puts it,
    and says so where it finds nothing. The core checks what it loads.
    """
    if os.environ.get(VARIABLE):
        return
    # Found, not imported.
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in NAMES:
            library = Path(folder, "capi", name).absolute()
            if library.is_file():
                os.environ[VARIABLE] = str(library)
                return
