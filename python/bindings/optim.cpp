// Update rules. State lists are Python lists with None for what is not there yet; they are filled in place.
#include "cnnx/nn/optim.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

using Tensors = std::vector<Tensor>;

void write_back(py::list target, const Tensors& tensors) {
  target.attr("clear")();
  for (const Tensor& tensor : tensors) target.append(py::cast(tensor));
}

bool sgd(const Tensors& params, const py::list& momentum_buffers, double lr, double momentum, double dampening,
         double weight_decay, bool nesterov, bool maximize) {
  auto buffers = momentum != 0 ? momentum_buffers.cast<Tensors>() : Tensors();
  bool made;
  {
    py::gil_scoped_release release;
    made = sgd_step(params, buffers, {lr, momentum, dampening, weight_decay, nesterov, maximize});
  }
  if (made) write_back(momentum_buffers, buffers);
  return made;
}

bool adam(const Tensors& params, const py::list& steps, const py::list& exp_avgs, const py::list& exp_avg_sqs,
          const py::list& max_exp_avg_sqs, double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled,
          bool amsgrad, bool maximize) {
  auto counts = steps.cast<Tensors>(), means = exp_avgs.cast<Tensors>(), squares = exp_avg_sqs.cast<Tensors>();
  auto largest = amsgrad ? max_exp_avg_sqs.cast<Tensors>() : Tensors();
  bool made;
  {
    py::gil_scoped_release release;
    made =
        adam_step(params, counts, means, squares, largest, {lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize});
  }
  if (made) {
    write_back(steps, counts);
    write_back(exp_avgs, means);
    write_back(exp_avg_sqs, squares);
    if (amsgrad) write_back(max_exp_avg_sqs, largest);
  }
  return made;
}

bool adadelta(const Tensors& params, const py::list& steps, const py::list& square_avgs, const py::list& acc_deltas, double lr,
              double rho, double eps, double weight_decay, bool maximize) {
  auto counts = steps.cast<Tensors>(), squares = square_avgs.cast<Tensors>(), deltas = acc_deltas.cast<Tensors>();
  bool made;
  {
    py::gil_scoped_release release;
    made = adadelta_step(params, counts, squares, deltas, {lr, rho, eps, weight_decay, maximize});
  }
  if (made) {
    write_back(steps, counts);
    write_back(square_avgs, squares);
    write_back(acc_deltas, deltas);
  }
  return made;
}

bool rmsprop(const Tensors& params, const py::list& steps, const py::list& square_avgs, const py::list& momentum_buffers,
             const py::list& grad_avgs, double lr, double alpha, double eps, double weight_decay, double momentum, bool centered,
             bool maximize) {
  auto counts = steps.cast<Tensors>(), squares = square_avgs.cast<Tensors>(), buffers = momentum_buffers.cast<Tensors>(),
       means = grad_avgs.cast<Tensors>();
  bool made;
  {
    py::gil_scoped_release release;
    made = rmsprop_step(params, counts, squares, buffers, means, {lr, alpha, eps, weight_decay, momentum, centered, maximize});
  }
  if (made) {
    write_back(steps, counts);
    write_back(square_avgs, squares);
    write_back(momentum_buffers, buffers);
    write_back(grad_avgs, means);
  }
  return made;
}

bool adagrad(const Tensors& params, const py::list& steps, const py::list& sums, double lr, double lr_decay, double weight_decay,
             double eps, bool maximize) {
  auto counts = steps.cast<Tensors>(), totals = sums.cast<Tensors>();
  bool made;
  {
    py::gil_scoped_release release;
    made = adagrad_step(params, counts, totals, {lr, lr_decay, weight_decay, eps, maximize});
  }
  if (made) {
    write_back(steps, counts);
    write_back(sums, totals);
  }
  return made;
}

}  // namespace

void register_optim(py::module_& m) {
  m.def("sgd_step", &sgd, py::arg("params"), py::arg("momentum_buffers"), py::arg("lr"), py::arg("momentum"),
        py::arg("dampening"), py::arg("weight_decay"), py::arg("nesterov"), py::arg("maximize"));
  m.def("adam_step", &adam, py::arg("params"), py::arg("steps"), py::arg("exp_avgs"), py::arg("exp_avg_sqs"),
        py::arg("max_exp_avg_sqs"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"), py::arg("eps"), py::arg("weight_decay"),
        py::arg("decoupled"), py::arg("amsgrad"), py::arg("maximize"));
  m.def("adadelta_step", &adadelta, py::arg("params"), py::arg("steps"), py::arg("square_avgs"), py::arg("acc_deltas"),
        py::arg("lr"), py::arg("rho"), py::arg("eps"), py::arg("weight_decay"), py::arg("maximize"));
  m.def("rmsprop_step", &rmsprop, py::arg("params"), py::arg("steps"), py::arg("square_avgs"), py::arg("momentum_buffers"),
        py::arg("grad_avgs"), py::arg("lr"), py::arg("alpha"), py::arg("eps"), py::arg("weight_decay"), py::arg("momentum"),
        py::arg("centered"), py::arg("maximize"));
  m.def("adagrad_step", &adagrad, py::arg("params"), py::arg("steps"), py::arg("sums"), py::arg("lr"), py::arg("lr_decay"),
        py::arg("weight_decay"), py::arg("eps"), py::arg("maximize"));
  m.def("zero_grads", &zero_grads, ReleaseGil(), py::arg("params"), py::arg("set_to_none"));
  m.def("clip_grad_norm_", &clip_grad_norm_, ReleaseGil(), py::arg("params"), py::arg("max_norm"), py::arg("norm_type"),
        py::arg("error_if_nonfinite"));
  m.def("clip_grad_value_", &clip_grad_value_, ReleaseGil(), py::arg("params"), py::arg("clip_value"));
}

}  // namespace cnnx::bindings
