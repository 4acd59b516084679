"""cnnx: small, fast convolutional networks in the PyTorch dialect."""

from cnnx import _C
from cnnx import creation as _creation
from cnnx import random as random
from cnnx import shaping as _shaping
from cnnx._C import __version__
from cnnx.creation import *
from cnnx.devices import device
from cnnx.dtypes import (
    bool,
    double,
    dtype,
    finfo,
    float,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int,
    int32,
    int64,
    long,
    set_default_dtype,
    uint8,
)
from cnnx.printing import set_printoptions
from cnnx.random import *
from cnnx.shaping import *
from cnnx.size import Size
from cnnx.tensor import Tensor

get_num_threads = _C.get_num_threads
set_num_threads = _C.set_num_threads
# The function, which the submodule of the same name hid when it was imported.
tensor = _creation.tensor
