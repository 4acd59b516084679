"""cnnx: small, fast convolutional networks in the PyTorch dialect."""
