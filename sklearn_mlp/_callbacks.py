"""scikit-learn's callbacks (`set_callbacks`, from scikit-learn 1.9 on): one task per epoch."""

from functools import partial

__all__ = ["CallbackSupportMixin", "EpochTasks", "epoch_tasks"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """What takes its place in scikit-learn 1.7 and 1.8: estimators there have no callbacks."""


class EpochTasks:
    """Tells the callbacks of an estimator about a fit and its epochs (or L-BFGS iterations).

    Parameters
    ----------
    estimator : object
        Has `_init_callback_context`.
    X, y, metadata
        The arguments of `fit`.
    n_epochs : int
        The most there can be.

    Attributes
    ----------
    state : callable
        Returns the fitted attributes of the model that is being trained; to be set.
    """

    def __init__(self, estimator, X, y, metadata, *, n_epochs):
        self.told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.context = estimator._init_callback_context(max_subtasks=n_epochs)
        self.context.call_on_fit_task_begin(**self.told)
        self.task = None

    def begin(self):
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(**self.told)

    def end(self):
        """Say that an epoch is over; return whether a callback wants training to stop."""
        return self.task.call_on_fit_task_end(**self.told, reconstruction_attributes=self.state)

    def close(self):
        self.context.call_on_fit_task_end(**self.told, reconstruction_attributes=self.state)


def epoch_tasks(estimator):
    """How to make the `EpochTasks` of a fit; None where the estimator has no callbacks to tell."""
    return partial(EpochTasks, estimator) if hasattr(estimator, "_skl_callbacks") else None
