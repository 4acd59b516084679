"""What the scripts beside it share: a model and what ONNX Runtime makes of some inputs, in two files."""

from pathlib import Path

import numpy as np
import onnxruntime


def write(path, proto, inputs):
    """Writes PATH.onnx, and PATH.npz with arrays in0, in1, ..., out0, out1, ...."""
    for field in ("metadata_props",):
        del getattr(proto, field)[:]
        del getattr(proto.graph, field)[:]
    path = Path(path)
    path.with_suffix(".onnx").write_bytes(proto.SerializeToString())
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {value.name: x for value, x in zip(session.get_inputs(), inputs, strict=True)}
    outputs = session.run(None, feed)
    arrays = {f"in{i}": x for i, x in enumerate(inputs)} | {f"out{i}": x for i, x in enumerate(outputs)}
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    print(
        path.name,
        path.with_suffix(".onnx").stat().st_size,
        sorted({node.op_type for node in proto.graph.node}),
    )
