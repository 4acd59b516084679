// x[...]: Python's index objects become Index items; then everything is native.
#include "cnnx/ops/index.h"

#include <pybind11/numpy.h>

#include "arguments.h"
#include "cnnx/ops/join.h"
#include "core/copy.h"

namespace cnnx::bindings {
namespace {

std::optional<int64_t> slice_part(PyObject* part) {
  if (part == Py_None) return std::nullopt;
  auto index = py::reinterpret_steal<py::object>(PyNumber_Index(part));
  if (!index) throw py::error_already_set();
  // Beyond 64 bits a bound means the end anyway; PyNumber_AsSsize_t clips it.
  Py_ssize_t value = PyNumber_AsSsize_t(index.ptr(), nullptr);
  if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
  return value;
}

// Lists, arrays and whatever NumPy makes an array of integers or bools from.
Tensor index_array(py::handle item) {
  py::array array = py::array::ensure(item);
  if (!array) {
    PyErr_Clear();
    throw IndexError("index: " + py::repr(item).cast<std::string>() + " is no index");
  }
  const char kind = array.dtype().kind();
  if (array.size() == 0 && kind == 'f') array = array.attr("astype")("int64");
  else if (kind == 'i' || (kind == 'u' && array.itemsize() > 1)) array = array.attr("astype")("int64", py::arg("copy") = false);
  else if (kind != 'b' && kind != 'u')
    throw IndexError("index: takes integers, slices, None, ..., and integer or bool tensors, got " +
                     py::str(py::type::of(item).attr("__name__")).cast<std::string>() + " of " +
                     py::str(array.dtype()).cast<std::string>());
  Tensor tensor = tensor_from_array(array, false);
  warn_of_byte_mask("index: a mask", tensor);
  return tensor;
}

Index item_of(py::handle item) {
  PyObject* object = item.ptr();
  if (PyLong_CheckExact(object)) {
    const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_IndexError);
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return Index::of(static_cast<int64_t>(value));
  }
  Index result;
  if (PySlice_Check(object)) {
    auto* slice = reinterpret_cast<PySliceObject*>(object);
    result.start = slice_part(slice->start);
    result.stop = slice_part(slice->stop);
    result.step = slice_part(slice->step);
    return result;
  }
  if (item.is_none()) {
    result.kind = Index::Kind::new_axis;
    return result;
  }
  if (object == Py_Ellipsis) {
    result.kind = Index::Kind::ellipsis;
    return result;
  }
  if (PyBool_Check(object)) return Index::of(Tensor::full({}, object == Py_True, {DType::boolean}));
  if (py::isinstance<TensorImpl>(item)) {
    Tensor tensor = py::cast<Tensor>(item);
    warn_of_byte_mask("index: a mask", tensor);
    if (tensor.ndim() == 0 && (tensor.dtype() == DType::int32 || tensor.dtype() == DType::int64)) {
      note_read("index", tensor);
      return Index::of(static_cast<int64_t>(tensor.item()));
    }
    return Index::of(tensor);
  }
  if (PyIndex_Check(object) && !py::isinstance<py::array>(item)) {
    const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_IndexError);
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return Index::of(static_cast<int64_t>(value));
  }
  return Index::of(index_array(item));
}

std::vector<Index> items_of(const py::object& index) {
  std::vector<Index> items;
  if (PyTuple_Check(index.ptr()))
    for (py::handle item : py::reinterpret_borrow<py::tuple>(index)) items.push_back(item_of(item));
  else items.push_back(item_of(index));
  return items;
}

TensorOrNumber value_of(const py::object& value) {
  py::detail::make_caster<TensorOrNumber> caster;
  if (caster.load(value, true) && static_cast<TensorOrNumber&>(caster).defined()) return static_cast<TensorOrNumber&>(caster);
  py::array array = value.is_none() ? py::array() : py::array::ensure(value);
  if (value.is_none() || !array) {
    PyErr_Clear();
    throw TypeError("index_put_: cannot assign " + py::repr(value).cast<std::string>() + " to elements of a tensor");
  }
  return tensor_from_array(array, false);
}

}  // namespace

void register_index(py::module_& m) {
  m.def(
      "getitem",
      [](const Tensor& input, const py::object& at) {
        std::vector<Index> items = items_of(at);
        py::gil_scoped_release release;
        return index(input, items);
      },
      given("input"), py::arg("index"));
  m.def(
      "setitem",
      [](const Tensor& input, const py::object& at, const py::object& value) {
        std::vector<Index> items = items_of(at);
        TensorOrNumber source = value_of(value);
        py::gil_scoped_release release;
        index_put_(input, items, source);
      },
      given("input"), py::arg("index"), py::arg("value"));
  m.def(
      "index_put",
      [](const Tensor& input, const py::object& at, const py::object& value, bool accumulate) {
        std::vector<Index> items = items_of(at);
        TensorOrNumber source = value_of(value);
        py::gil_scoped_release release;
        return index_put(input, items, source, accumulate);
      },
      given("input"), py::arg("index"), py::arg("value"), py::arg("accumulate") = false);
  m.def(
      "index_put_",
      [](const Tensor& input, const py::object& at, const py::object& value, bool accumulate) {
        std::vector<Index> items = items_of(at);
        TensorOrNumber source = value_of(value);
        py::gil_scoped_release release;
        index_put_(input, items, source, accumulate);
      },
      given("input"), py::arg("index"), py::arg("value"), py::arg("accumulate"));
  m.def("index_select", &index_select, ReleaseGil(), given("input"), py::arg("dim"), given("index"));
  m.def("masked_select", &masked_select, ReleaseGil(), given("input"), given("mask"));
  m.def("nonzero", &nonzero, ReleaseGil(), given("input"));
  m.def("gather", &gather, ReleaseGil(), given("input"), py::arg("dim"), given("index"));
  m.def("scatter", &scatter, ReleaseGil(), given("input"), py::arg("dim"), given("index"), given("source"), py::arg("add"));
  m.def("scatter_", &scatter_, ReleaseGil(), given("input"), py::arg("dim"), given("index"), given("source"), py::arg("add"));
  m.def(
      "scatter_reduce",
      [](const Tensor& input, int64_t dim, const Tensor& index, const Tensor& source, const std::string& reduce) {
        return scatter_reduce(input, dim, index, source, reduce);
      },
      ReleaseGil(), given("input"), py::arg("dim"), given("index"), given("source"), py::arg("reduce"));
  m.def("searchsorted", &searchsorted, ReleaseGil(), given("sorted_sequence"), given("input"), py::arg("right"),
        py::arg("sorter"));
  m.def("sort", &sort, ReleaseGil(), given("input"), py::arg("dim"), py::arg("descending"));
  m.def("topk", &topk, ReleaseGil(), given("input"), py::arg("k"), py::arg("dim"), py::arg("largest"));
  m.def("kthvalue", &kthvalue, ReleaseGil(), given("input"), py::arg("k"), py::arg("dim"), py::arg("keepdim"));
  m.def("median", [](const Tensor& input) { return median(input); }, ReleaseGil(), given("input"));
  m.def(
      "median_dim", [](const Tensor& input, int64_t dim, bool keepdim) { return median(input, dim, keepdim); }, ReleaseGil(),
      given("input"), py::arg("dim"), py::arg("keepdim"));
  m.def(
      "unique",
      [](const Tensor& input) {
        Unique result = unique(input);
        return std::make_tuple(result.values, result.inverse, result.counts);
      },
      ReleaseGil(), given("input"));
  m.def("bincount", &bincount, ReleaseGil(), given("input"), py::arg("min_length"));
  m.def("one_hot", &one_hot, ReleaseGil(), given("index"), py::arg("classes"));
  m.def("tril", &tril, ReleaseGil(), given("input"), py::arg("diagonal"));
  m.def("triu", &triu, ReleaseGil(), given("input"), py::arg("diagonal"));
  m.def("cat", &cat, ReleaseGil(), py::arg("tensors"), py::arg("dim"));
  m.def("stack", &stack, ReleaseGil(), py::arg("tensors"), py::arg("dim"));
  m.def("split_copy", &split_copy, ReleaseGil(), given("input"), py::arg("size"), py::arg("dim"));
}

}  // namespace cnnx::bindings
