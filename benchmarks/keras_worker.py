"""A process with one TensorFlow Longformer, which reads documents when it is told to, and the pipe to it.

The process runs in either environment: it imports the standard library, NumPy, TensorFlow and the model, and no torch.
Orders and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .memory import Peak

ROOT = Path(__file__).parents[1]


class Worker:
    """The pipe to a process; a context manager that ends it.

    Args:
        python: its interpreter.
        load: name of the function of this module that loads the model.
        checkpoint: folder of the model.
        threads: of TensorFlow.
    """

    def __init__(self, python: str | Path, load: str, checkpoint: str | Path, threads: int) -> None:
        order = json.dumps({"load": load, "checkpoint": str(checkpoint), "threads": threads})
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
        if str(python) != sys.executable:
            environment.pop("PYTHONPATH", None)  # packages of this environment
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.keras_worker", order],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the method ``do`` of :class:`Reader`.

        Raises:
            RuntimeError: the process ended; the last that it said is in the message.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._said.seek(0)
            last = (self._said.read().strip().splitlines() or ["nothing"])[-1]
            raise RuntimeError(f"the process of TensorFlow ended with {self._process.returncode}; it said last: {last}")
        return json.loads(line)


def longspan(checkpoint: str) -> Any:
    """The model of longspan.keras."""
    from longspan.keras import TFLongformerModel

    return TFLongformerModel.from_pretrained(checkpoint)


def transformers(checkpoint: str) -> Any:
    """The model of transformers 4.57, whose ``from_pretrained`` fails on safetensors files that torch wrote."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    from safetensors.numpy import load_file
    from transformers import LongformerConfig, TFLongformerModel
    from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

    model, found = load_pytorch_state_dict_in_tf2_model(
        TFLongformerModel(LongformerConfig.from_pretrained(checkpoint)),
        load_file(Path(checkpoint) / "model.safetensors"),
        allow_missing_keys=True,
        output_loading_info=True,
    )
    if found["missing_keys"] or found["mismatched_keys"]:
        raise RuntimeError(f"weights that the models do not share: {found}")
    return model


class Reader:
    """A model that reads documents in ``tf.function``, whose first token is global."""

    def __init__(self, load: str, checkpoint: str, threads: int) -> None:
        loaded = {"longspan": longspan, "transformers": transformers}[load]
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        model = loaded(checkpoint)

        def read(ids: Any, mask: Any, global_mask: Any) -> Any:
            return model(ids, attention_mask=mask, global_attention_mask=global_mask).last_hidden_state

        self._read = {jit: tensorflow.function(read, jit_compile=jit) for jit in (False, True)}

    def facts(self) -> dict[str, Any]:
        """The versions of what it runs, and whether torch is there."""
        names = ("tensorflow_cpu", "keras", *(("transformers", "tf_keras") if "transformers" in sys.modules else ()))
        return {"versions": {name: version(name) for name in names}, "torch": "torch" in sys.modules}

    def output(self, ids: str, path: str, jit: bool = False) -> dict[str, Any]:
        """Save the last hidden state of the ids (1, N) of one npy file in another."""
        import numpy as np

        np.save(path, self._pass(np.load(ids), jit))
        return {}

    def time(self, ids: str, jit: bool = False) -> dict[str, Any]:
        """Wall-clock and CPU time of one pass."""
        import numpy as np

        given = np.load(ids)
        start, cpu_start = time.perf_counter(), time.process_time()
        self._pass(given, jit)
        return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}

    def peak(self, ids: str, warm: str) -> dict[str, Any]:
        """Peak of resident memory in the first pass over ``ids``, above what is resident after one over ``warm``."""
        import numpy as np

        given = np.load(ids)
        self._pass(np.load(warm), False)
        with Peak() as peak:
            self._pass(given, False)
        return {"peak_bytes": peak.bytes}

    def _pass(self, ids: Any, jit: bool) -> Any:
        import numpy as np
        import tensorflow

        mask = np.ones_like(ids)
        first = np.zeros_like(ids)
        first[:, 0] = 1
        return self._read[jit](*map(tensorflow.constant, (ids, mask, first))).numpy()


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    reader = Reader(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        answers.write(json.dumps(getattr(reader, order.pop("do"))(**order)) + "\n")
        answers.flush()


if __name__ == "__main__":
    _main()
