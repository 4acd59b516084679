"""ONNX Runtime, on the net that cnnx exports."""

from __future__ import annotations

import onnxruntime

from cnnx.bench.peers import Call, Inputs, Peer
from cnnx.bench.rows import Row


class OnnxRuntime(Peer):
    """Its CPU provider, with all optimizations."""

    def version(self) -> str:
        """Of ONNX Runtime."""
        return str(onnxruntime.__version__)

    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """A session of the file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = onnxruntime.InferenceSession(inputs.onnx, options, providers=["CPUExecutionProvider"])
        feed = {"x": inputs.x}
        return Call(lambda: session.run(None, feed)[0], lambda found: [found])
