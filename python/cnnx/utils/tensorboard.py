"""Events for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

from typing import Any, NoReturn

from cnnx.tensor import Tensor

__all__ = ["SummaryWriter"]


def _array(value: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _number(value: Any) -> Any:
    """A tensor of one element as a number."""
    return value.item() if isinstance(value, Tensor) else value


class SummaryWriter:
    """Writes event files for TensorBoard; as a context manager it closes them at the end.

    Parameters
    ----------
    log_dir : str or path, optional
        The folder. Default: ``runs/`` with the time, the machine's name and `comment`.
    comment : str
        The end of the default folder's name.
    purge_step : int, optional
        When a run goes on: what the files there hold from this step on no longer counts.
    max_queue : int
        How many events may wait. Default: 10.
    flush_secs : int
        After how many seconds they are written at the latest. Default: 120.
    filename_suffix : str
        The end of the file's name.

    Attributes
    ----------
    log_dir : str
        The folder.

    Raises
    ------
    ImportError
        If tensorboardX is not installed.

    Notes
    -----
    Wherever it says Tensor, an array will do as well. ``tensorboard --logdir runs`` shows what was written.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.utils.tensorboard import SummaryWriter
    >>> with SummaryWriter("board") as writer:  # doctest: +SKIP
    ...     for step in range(10):
    ...         writer.add_scalar("loss", 1 / (step + 1), step)
    ...     writer.add_images("digits", cnnx.rand(4, 1, 28, 28))
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        try:
            import tensorboardX
        except ImportError:
            raise ImportError("SummaryWriter: needs tensorboardX (pip install 'cnnx[tensorboard]')") from None
        self._writer: Any = tensorboardX.SummaryWriter(
            None if log_dir is None else str(log_dir),
            comment,
            purge_step,
            max_queue,
            flush_secs,
            filename_suffix,
        )
        self.log_dir: str = str(self._writer.logdir)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Adds a point to a curve.

        Parameters
        ----------
        tag : str
            The curve; "loss/train" stands beside "loss/test".
        scalar_value : float, or Tensor of one element
            The value.
        global_step : int, optional
            The step.
        walltime : float, optional
            Seconds since the epoch. Default: now.
        new_style, double_precision : bool
            Not supported. Default: False.
        """
        if new_style or double_precision:
            raise NotImplementedError("add_scalar: new_style and double_precision are not supported")
        self._writer.add_scalar(tag, _number(scalar_value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a point to each of several curves of one picture.

        Parameters
        ----------
        main_tag : str
            The picture.
        tag_scalar_dict : dict of float, or of Tensor of one element
            The values by curve.
        global_step, walltime : optional
            As in `add_scalar`.
        """
        values = {tag: _number(value) for tag, value in tag_scalar_dict.items()}
        self._writer.add_scalars(main_tag, values, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Adds the distribution of a tensor's elements.

        Parameters
        ----------
        tag : str
            Its name.
        values : Tensor
            Any shape.
        global_step, walltime : optional
            As in `add_scalar`.
        bins : str
            ``"tensorflow"``, or one of NumPy's, such as ``"auto"``. Default: ``"tensorflow"``.
        max_bins : int, optional
            At most so many.
        """
        self._writer.add_histogram(tag, _array(values), global_step, bins, walltime, max_bins)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Adds a picture.

        Parameters
        ----------
        tag : str
            Its name.
        img_tensor : Tensor
            Floats within [0, 1], or uint8; of 1 or 3 channels.
        global_step, walltime : optional
            As in `add_scalar`.
        dataformats : str
            The dimensions: ``"CHW"``, ``"HWC"`` or ``"HW"``. Default: ``"CHW"``.
        """
        self._writer.add_image(tag, _array(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds a batch of pictures, side by side. As `add_image`, with N in `dataformats`."""
        self._writer.add_images(tag, _array(img_tensor), global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Adds figures of matplotlib as pictures.

        Parameters
        ----------
        tag : str
            Its name.
        figure : Figure or list of Figure
            The figures.
        global_step, walltime : optional
            As in `add_scalar`.
        close : bool
            Close them. Default: True.
        """
        self._writer.add_figure(tag, figure, global_step, close, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a text, in Markdown."""
        self._writer.add_text(tag, text_string, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, Any] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds a run with these settings and these results, for comparison with others.

        Parameters
        ----------
        hparam_dict : dict of bool, str, float or int
            The settings.
        metric_dict : dict of float, or of Tensor of one element
            The results.
        hparam_domain_discrete : dict, optional
            Not supported.
        run_name : str, optional
            The run's folder within `log_dir`. Default: the time.
        global_step : int, optional
            The step.
        """
        if hparam_domain_discrete is not None:
            raise NotImplementedError("add_hparams: hparam_domain_discrete is not supported")
        settings = {name: _number(value) for name, value in hparam_dict.items()}
        results = {name: _number(value) for name, value in metric_dict.items()}
        self._writer.add_hparams(settings, results, run_name, global_step)

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> NoReturn:
        """Not supported.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "add_graph: not supported; cnnx.onnx.export writes a file of the graph that viewers show"
        )

    def flush(self) -> None:
        """Writes what waits."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what waits and ends the files."""
        self._writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
