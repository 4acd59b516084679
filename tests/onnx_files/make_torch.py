"""Writes the files of PyTorch's two exporters. Run it as a script; it needs onnxscript and onnxruntime."""

import tempfile
from pathlib import Path

import onnx
import torch
from expected import write
from nets import NETS

HERE = Path(__file__).parent


def main():
    for net in NETS:
        torch.manual_seed(0)
        model = net()
        for module in model.modules():  # running statistics as after training
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        model.eval()
        image = torch.randn(2, 1, 28, 28)
        for exporter, dynamo in (("torch", False), ("dynamo", True)):
            batch = (
                {"dynamic_shapes": ({0: "batch"},)} if dynamo else {"dynamic_axes": {"image": {0: "batch"}}}
            )
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/net.onnx"
                torch.onnx.export(
                    model, (image,), path, input_names=["image"], dynamo=dynamo, opset_version=18, **batch
                )
                proto = onnx.load(path)
            for node in proto.graph.node:  # names of files and lines on the exporting machine
                node.doc_string = ""
                del node.metadata_props[:]
            del proto.graph.value_info[:]
            name = f"{exporter}_{net.__name__.lower()}"
            write(HERE / name, proto, [torch.randn(3, 1, 28, 28).round(decimals=1).numpy()])


if __name__ == "__main__":
    main()
