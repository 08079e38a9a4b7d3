"""The window on the CPU in C++: the same as :func:`longspan.ops.window.band.band_forward`, for AVX-512.

Nothing is compiled before :func:`build` or the first call of :func:`band_forward`, which needs a C++ compiler and
ninja for some ten seconds; torch keeps the library in its folder of extensions (``TORCH_EXTENSIONS_DIR``).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..band import Band

_INSTRUCTIONS = {
    torch.float32: ("avx512_f", "avx512_bw", "avx512_dq", "avx512_vl"),
    torch.bfloat16: ("avx512_f", "avx512_bw", "avx512_dq", "avx512_vl", "avx512_bf16"),
}
# named one by one: what -march=native builds may not run where the folder of extensions is shared
_FLAGS = ["-O3", "-fopenmp", "-mfma", *(f"-m{name.replace('_', '')}" for name in _INSTRUCTIONS[torch.bfloat16])]
_lock = threading.Lock()


@functools.cache
def missing(dtype: torch.dtype = torch.float32) -> str | None:
    """What the kernel lacks on this machine to compute in ``dtype``, in words, or None."""
    if dtype not in _INSTRUCTIONS:
        return f"it computes in torch.float32 and torch.bfloat16, got {dtype}"
    here = torch.cpu.get_capabilities()
    absent = [name for name in _INSTRUCTIONS[dtype] if not here.get(name, False)]
    if absent:
        return f"{dtype} needs a CPU with {', '.join(absent)}"
    for program, advice in ((_compiler(), "install one or name it in CXX"), ("ninja", "pip install ninja")):
        if shutil.which(program.split()[0], path=_search_path()) is None:
            return f"{program!r}, needed to compile it, is not found ({advice})"
    return None


def build() -> None:
    """Compile and load the kernel now, unless that has been done.

    Raises:
        NotImplementedError: the CPU is not one that it is written for, or there is no compiler or no ninja.
        RuntimeError: the compiler failed; the message names it and has its output.
    """
    _refuse(missing())
    with _lock:
        _load()


def band_forward(query: Tensor, key: Tensor, value: Tensor, band: Band, scale: float) -> tuple[Tensor, Tensor]:
    """Context and log-sum-exp of the window part; rows that see no key are 0 in both.

    Args:
        query: (T, H, D), float32 or bfloat16, on the CPU. Views are read in place if the last axis has stride 1.
        key, value: (S, H, D) of the same dtype.
        band: the window; its ``query_ids`` are (T,), its ``key_ids`` (S,).
        scale: factor on the scores.

    Returns:
        Context (T, H, D) in the dtype of ``query`` and log-sum-exp (T, H) in float32.

    Raises:
        NotImplementedError: the device, the dtype or the CPU is not one that the kernel is written for, or there is
            no compiler.
        ValueError: shapes or dtypes do not belong together.
    """
    if query.device.type != "cpu":
        _refuse(f"it runs on the CPU, got tensors on {query.device.type!r}")
    _refuse(missing(query.dtype))
    _check(query, key, value, band)
    if query.numel() == 0:
        return torch.empty_like(query), query.new_empty(query.shape[:2], dtype=torch.float32)
    query, key, value = (x if x.stride(-1) == 1 else x.contiguous() for x in (query, key, value))
    most = len(query) + len(key) + abs(band.offset)  # more has no effect and could overflow
    ids = band.query_ids.contiguous(), band.key_ids.contiguous()
    build()
    forward = torch.ops.longspan_cpp.band_forward
    return forward(query, key, value, *ids, min(band.left, most), min(band.right, most), band.offset, scale)


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise NotImplementedError(
            f"the backend 'cpp' cannot run here: {reason}; 'sdpa' and 'reference' run on every device"
        )


def _check(query: Tensor, key: Tensor, value: Tensor, band: Band) -> None:
    """What the kernel would otherwise read past the end of."""
    for name, x in (("key", key), ("value", value)):
        if x.dim() != 3 or x.shape[1:] != query.shape[1:] or len(x) != len(key):
            raise ValueError(
                f"{name} must be ({len(key)}, {', '.join(map(str, query.shape[1:]))}), got {tuple(x.shape)}"
            )
        if x.dtype != query.dtype or x.device != query.device:
            raise ValueError(f"{name} must be {query.dtype} on {query.device}, got {x.dtype} on {x.device}")
    for name, ids, count in (("query_ids", band.query_ids, len(query)), ("key_ids", band.key_ids, len(key))):
        if ids.dtype != torch.int64 or ids.shape != (count,):
            raise ValueError(f"{name} must be int64 of shape ({count},), got {ids.dtype} of {tuple(ids.shape)}")


def _compiler() -> str:
    """As torch.utils.cpp_extension chooses it."""
    return os.environ.get("CXX", "c++")


def _search_path() -> str:
    """PATH, and where pip puts ninja when the environment is not activated."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


@functools.cache
def _load() -> None:
    from torch.utils import cpp_extension  # with setuptools, which takes a while to import

    before = os.environ.get("PATH")
    os.environ["PATH"] = _search_path()  # by which torch runs ninja
    try:
        cpp_extension.load(
            "longspan_cpp",
            [str(Path(__file__).with_name("band.cpp"))],
            extra_cflags=_FLAGS,
            extra_ldflags=["-fopenmp"],
            is_python_module=False,  # so that no header of Python is needed
        )
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(
            f"the backend 'cpp' could not be compiled with {_compiler()!r} (name another compiler in CXX); 'sdpa' and "
            f"'reference' need none. {error}"
        ) from error
    finally:
        if before is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before
