"""The modules of layers by the names that they have in PyTorch: ``nn.modules.batchnorm._BatchNorm``."""

from . import activation as activation
from . import batchnorm as batchnorm
from . import container as container
from . import conv as conv
from . import distance as distance
from . import dropout as dropout
from . import flatten as flatten
from . import instancenorm as instancenorm
from . import lazy as lazy
from . import linear as linear
from . import loss as loss
from . import module as module
from . import normalization as normalization
from . import padding as padding
from . import pooling as pooling
