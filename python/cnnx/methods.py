"""The functions of the package that take a tensor first, as methods: a base of the class Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import (
    _C,
    comparison,
    indexing,
    pointwise,
    products,
    random,
    reduction,
    scans,
    shaping,
    sorting,
    statistics,
    unary,
)

if TYPE_CHECKING:
    from cnnx.generator import Generator
    from cnnx.tensor import Tensor


class Methods(unary._Unary):
    """The functions as methods."""

    __slots__ = ()

    # Shapes and views.

    reshape = shaping.reshape
    reshape_as = shaping.reshape_as
    view = shaping.view
    view_as = shaping.view_as
    flatten = shaping.flatten
    ravel = shaping.ravel
    unflatten = shaping.unflatten
    squeeze = shaping.squeeze
    unsqueeze = shaping.unsqueeze
    permute = shaping.permute
    transpose = swapdims = shaping.transpose
    swapaxes = shaping.swapaxes
    t = shaping.t
    movedim = moveaxis = shaping.movedim
    expand = shaping.expand
    expand_as = shaping.expand_as
    broadcast_to = shaping.broadcast_to
    narrow = shaping.narrow
    select = shaping.select
    diag = shaping.diag
    diagonal = shaping.diagonal
    split = shaping.split
    chunk = shaping.chunk
    unbind = shaping.unbind
    clone = shaping.clone
    flip = shaping.flip
    repeat = shaping.repeat
    tile = shaping.tile
    roll = shaping.roll
    fliplr = shaping.fliplr
    flipud = shaping.flipud
    repeat_interleave = shaping.repeat_interleave
    rot90 = shaping.rot90
    sum_to_size = shaping.sum_to_size
    unfold = shaping.unfold
    adjoint = shaping.adjoint
    diag_embed = shaping.diag_embed
    diagflat = shaping.diagflat
    dsplit = shaping.dsplit
    hsplit = shaping.hsplit
    split_with_sizes = shaping.split_with_sizes
    tensor_split = shaping.tensor_split
    vsplit = shaping.vsplit

    # Element by element.

    absolute = unary.abs
    negative = unary.neg
    arccos = unary.acos
    arccosh = unary.acosh
    arcsin = unary.asin
    arcsinh = unary.asinh
    arctan = unary.atan
    arctanh = unary.atanh
    fix = unary.trunc
    round = pointwise.round
    clamp = clip = pointwise.clamp
    add = pointwise.add
    addcmul = pointwise.addcmul
    addcdiv = pointwise.addcdiv
    clamp_min = pointwise.clamp_min
    clamp_max = pointwise.clamp_max
    sub = subtract = pointwise.sub
    mul = multiply = pointwise.mul
    div = divide = true_divide = pointwise.div
    pow = pointwise.pow
    maximum = pointwise.maximum
    minimum = pointwise.minimum
    remainder = pointwise.remainder
    fmod = pointwise.fmod
    floor_divide = pointwise.floor_divide
    masked_fill = pointwise.masked_fill
    lerp = pointwise.lerp
    deg2rad = pointwise.deg2rad
    exp2 = pointwise.exp2
    fmax = pointwise.fmax
    fmin = pointwise.fmin
    frac = pointwise.frac
    hypot = pointwise.hypot
    logaddexp = pointwise.logaddexp
    logit = pointwise.logit
    nan_to_num = pointwise.nan_to_num
    rad2deg = pointwise.rad2deg
    sgn = pointwise.sgn
    tan = pointwise.tan
    xlogy = pointwise.xlogy
    atan2 = arctan2 = pointwise.atan2
    copysign = pointwise.copysign
    float_power = pointwise.float_power
    heaviside = pointwise.heaviside
    ldexp = pointwise.ldexp
    logaddexp2 = pointwise.logaddexp2
    mvlgamma = pointwise.mvlgamma
    positive = pointwise.positive
    sinc = pointwise.sinc

    def polygamma(self: Any, n: int) -> Tensor:
        """The n-th derivative of `digamma`."""
        return pointwise.polygamma(n, self)

    # Comparisons and logic.

    eq = comparison.eq
    ne = not_equal = comparison.ne
    lt = less = comparison.lt
    le = less_equal = comparison.le
    gt = greater = comparison.gt
    ge = greater_equal = comparison.ge
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_xor = comparison.logical_xor
    logical_not = comparison.logical_not
    bitwise_and = comparison.bitwise_and
    bitwise_or = comparison.bitwise_or
    bitwise_xor = comparison.bitwise_xor
    bitwise_not = comparison.bitwise_not
    isnan = comparison.isnan
    isinf = comparison.isinf
    isfinite = comparison.isfinite
    isclose = comparison.isclose
    allclose = comparison.allclose
    equal = comparison.equal
    bitwise_left_shift = comparison.bitwise_left_shift
    bitwise_right_shift = comparison.bitwise_right_shift
    isneginf = comparison.isneginf
    isposinf = comparison.isposinf
    isreal = comparison.isreal
    signbit = comparison.signbit

    # Reductions and products of matrices.

    sum = reduction.sum
    mean = reduction.mean
    prod = reduction.prod
    var = reduction.var
    std = reduction.std
    max = reduction.max
    min = reduction.min
    amax = reduction.amax
    amin = reduction.amin
    argmax = reduction.argmax
    argmin = reduction.argmin
    any = reduction.any
    all = reduction.all
    count_nonzero = reduction.count_nonzero
    norm = reduction.norm
    renorm = reduction.renorm
    softmax = reduction.softmax
    log_softmax = reduction.log_softmax
    logsumexp = reduction.logsumexp
    matmul = reduction.matmul
    mm = reduction.mm
    bmm = reduction.bmm
    mv = reduction.mv
    dot = reduction.dot
    outer = reduction.outer
    addmm = reduction.addmm
    trace = reduction.trace

    # What runs along a dimension.

    cummax = scans.cummax
    cummin = scans.cummin
    cumprod = scans.cumprod
    cumsum = scans.cumsum
    diff = scans.diff
    logcumsumexp = scans.logcumsumexp

    # Statistics.

    aminmax = statistics.aminmax
    corrcoef = statistics.corrcoef
    cov = statistics.cov
    histc = statistics.histc
    kthvalue = statistics.kthvalue
    median = statistics.median
    mode = statistics.mode
    nanmean = statistics.nanmean
    nansum = statistics.nansum
    quantile = statistics.quantile

    # Products of several tensors.

    baddbmm = products.baddbmm
    inner = products.inner
    addbmm = products.addbmm
    addmv = products.addmv
    addr = products.addr
    cross = products.cross
    dist = products.dist
    ger = reduction.outer
    kron = products.kron
    matrix_exp = products.matrix_exp
    matrix_power = products.matrix_power
    vdot = products.vdot

    # Indexing, sorting and counting.

    __getitem__ = indexing.getitem
    __setitem__ = indexing.setitem
    index_select = indexing.index_select
    gather = indexing.gather
    scatter = indexing.scatter
    scatter_add = indexing.scatter_add
    masked_select = indexing.masked_select
    nonzero = indexing.nonzero
    take_along_dim = indexing.take_along_dim
    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk
    unique = sorting.unique
    bincount = sorting.bincount
    tril = indexing.tril
    triu = indexing.triu
    index_add = indexing.index_add
    index_copy = indexing.index_copy
    index_fill = indexing.index_fill
    take = indexing.take
    argwhere = indexing.argwhere
    diagonal_scatter = indexing.diagonal_scatter
    index_put = indexing.index_put
    index_reduce = indexing.index_reduce
    masked_scatter = indexing.masked_scatter
    msort = sorting.msort
    put = indexing.put
    scatter_reduce = indexing.scatter_reduce
    select_scatter = indexing.select_scatter
    slice_scatter = indexing.slice_scatter
    unique_consecutive = sorting.unique_consecutive

    # Draws.

    multinomial = random.multinomial

    def bernoulli(self: Any, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability that an element is, or with probability `p`, else 0."""
        if p is None:
            return random.bernoulli(self, generator=generator)
        return _C.clone(self.detach()).bernoulli_(p, generator=generator)
