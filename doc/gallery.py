"""The order of the gallery, and the state that each example begins with: see conf.py."""

from pathlib import Path

import matplotlib

EXAMPLES = [  # in the order of the gallery
    "plot_regression",
    "plot_binary_classification",
    "plot_multiclass_classification",
    "plot_validation_set",
    "plot_dropout",
    "plot_class_weights",
    "plot_quantile_intervals",
    "plot_schedules",
    "plot_pipeline_grid_search",
    "plot_dask_grid_search",
    "plot_partial_fit_stream",
    "plot_out_of_core",
    "plot_save_and_load",
    "plot_persistence_joblib",
    "plot_onnx_pipeline",
    "plot_export_to_c",
    "plot_losses_and_activations",
    "plot_xor_by_hand",
    "plot_own_training_loop",
]


class place:
    """A sort key for sphinx-gallery."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, filename):
        return EXAMPLES.index(Path(filename).stem)


def reset(gallery_conf, fname):
    """The figures that every example begins with."""
    matplotlib.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 160,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
