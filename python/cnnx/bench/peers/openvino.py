"""OpenVINO, on the net that cnnx exports."""

from __future__ import annotations

import openvino

from cnnx.bench.peers import Call, Inputs, Peer
from cnnx.bench.rows import Row


class OpenVino(Peer):
    """Its CPU plugin, compiled for the batch, in float32 as the others: by itself it may choose bfloat16."""

    def version(self) -> str:
        """Of OpenVINO."""
        return str(openvino.__version__).split("-")[0]

    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """A request of the compiled model."""
        core = openvino.Core()
        model = core.read_model(inputs.onnx)
        model.reshape(list(inputs.x.shape))
        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return Call(
            lambda: request.infer([inputs.x], share_inputs=True, share_outputs=True)[0],
            lambda outputs: [outputs],
        )
