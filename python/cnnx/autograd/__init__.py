"""Gradients: recording, gradients on demand, functions whose gradient the user writes, and their check."""

from cnnx.absent import names_of as _names_of
from cnnx.autograd import function as function
from cnnx.autograd import graph as graph
from cnnx.autograd.engine import Variable as Variable
from cnnx.autograd.engine import backward as backward
from cnnx.autograd.engine import grad as grad
from cnnx.autograd.function import Function as Function
from cnnx.autograd.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from cnnx.autograd.gradcheck import gradcheck as gradcheck
from cnnx.autograd.gradcheck import gradgradcheck as gradgradcheck

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

__getattr__ = _names_of(__name__)
