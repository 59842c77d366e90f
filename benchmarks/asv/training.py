"""Fits of each workload: seconds, peak memory, and what compares across machines."""

from statistics import median

from systems import SYSTEMS
from workloads import OURS, WORKLOADS, make_data

# Epochs of a fit, so that it takes some tenths of a second.
EPOCHS = {"tiny": 500, "iris32": 200, "digits": 100, "housing": 10, "sparse": 2}
NAMES = [name for name in WORKLOADS if name != "row"]


def loaded(name, dtype="float32", system=OURS, threads=1):
    system = SYSTEMS[system](threads, dtype)
    system.load(WORKLOADS[name], *make_data(WORKLOADS[name], dtype))
    return system


class Training:
    params = (NAMES, ["float32", "float64"])
    param_names = ("workload", "dtype")
    timeout = 300

    def setup(self, name, dtype):
        self.system = loaded(name, dtype)

    def time_fit(self, name, dtype):
        self.system.fit(EPOCHS.get(name, 1))


class Memory:
    """Of the whole process, the input included."""

    params = ("mnist", "sparse")
    param_names = ("workload",)
    timeout = 300

    def setup(self, name):
        self.system = loaded(name)

    def peakmem_fit(self, name):
        self.system.fit(1)


class Tracked:
    params = NAMES
    param_names = ("workload",)
    timeout = 600

    def setup(self, name):
        self.epochs = EPOCHS.get(name, 1)
        self.system = loaded(name)
        self.system.fit(1)

    def track_parameters_per_second(self, name):
        """Parameters times rows that an epoch takes in, per second."""
        seconds = median(self.system.fit(self.epochs) for _ in range(3)) / self.epochs
        n_params = sum(a.size for a in (*self.system.model.coefs_, *self.system.model.intercepts_))
        return n_params * WORKLOADS[name].rows / seconds

    track_parameters_per_second.unit = "parameters * rows / s"

    def track_ratio_to_scikit_learn(self, name):
        """scikit-learn's seconds / ours, the two taking turns."""
        theirs = loaded(name, system="scikit-learn")
        few = max(1, self.epochs // 10)
        return median(
            (theirs.fit(few) / few) / (self.system.fit(self.epochs) / self.epochs) for _ in range(3)
        )
