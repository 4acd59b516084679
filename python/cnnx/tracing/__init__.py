"""What a model computes, as a program of calls: what the exporters read (`cnnx.onnx`, `cnnx.c_export`)."""
