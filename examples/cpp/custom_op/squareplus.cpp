// An op of one's own for Python: squareplus(x, b) = (x + sqrt(x^2 + b)) / 2, a smooth ReLU (Barron 2021), and its gradient.
#include <cnnx/cnnx.h>
#include <cnnx/pybind11.h>

#include <cmath>
#include <functional>

using cnnx::Tensor;

// One pass over the elements instead of five ops. `x` is float32 or float64, of any shape and layout.
Tensor squareplus(const Tensor& x, double b) {
  cnnx::check_floating("squareplus", x);
  if (!(b > 0)) throw cnnx::ValueError(cnnx::message("squareplus: b is ", b, ", it must be above 0"));
  if (x.device().is_cuda())
    throw cnnx::NotImplementedError("squareplus: the tensor is on " + x.device().str() + ", not on the CPU");

  const Tensor values = cnnx::make_contiguous(x.detach());
  Tensor result = Tensor::empty(x.shape(), x.options());
  cnnx::dispatch_floating("squareplus", x.dtype(), [&]<class T>(T) {
    const T *from = values.data<T>(), offset = static_cast<T>(b);
    T* to = result.data<T>();
    for (int64_t i = 0; i < values.numel(); ++i) to[i] = (from[i] + std::sqrt(from[i] * from[i] + offset)) / 2;
  });
  if (!cnnx::needs_grad({x})) return result;

  // dy/dx = (1 + x / sqrt(x^2 + b)) / 2, made of cnnx's ops: so it has a gradient itself.
  const auto gradient = [b](const cnnx::Grads& grads, const cnnx::Needs& needs) {
    const Tensor in = needs.saved(0);
    const Tensor slope = cnnx::div(cnnx::add(cnnx::div(in, cnnx::sqrt(cnnx::add(cnnx::mul(in, in), b))), 1.0), 2.0);
    return cnnx::Grads{cnnx::mul(grads[0], slope)};
  };
  cnnx::record_outputs("squareplus", {result}, {x}, gradient, {x});
  return result;
}

PYBIND11_MODULE(squareplus, m) {
  cnnx::python::import_cnnx();
  m.def("squareplus", &squareplus, pybind11::arg("x").none(false), pybind11::arg("b") = 4.0,
        pybind11::call_guard<pybind11::gil_scoped_release>(), "(x + sqrt(x^2 + b)) / 2, element by element.");
}
