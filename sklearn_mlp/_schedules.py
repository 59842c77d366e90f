"""Learning-rate schedules of scikit-learn, under its names.

A schedule holds the rate of the coming epoch as `value`. `end_epoch` is told the number of rows seen
so far; `on_plateau` is told that training no longer improves and answers whether to go on, and what
to say.
"""


class Constant:
    """The initial rate throughout."""

    def __init__(self, initial, power_t):
        self.initial = initial
        self.power_t = power_t
        self.value = float(initial)

    def end_epoch(self, n_rows_seen):
        pass

    def on_plateau(self):
        return False, "Stopping."


class InvScaling(Constant):
    """initial / (rows seen + 1) ** power_t."""

    def end_epoch(self, n_rows_seen):
        self.value = float(self.initial) / (n_rows_seen + 1) ** self.power_t


class Adaptive(Constant):
    """A fifth of the rate at each plateau, until it is at most 1e-6."""

    def on_plateau(self):
        if self.value <= 1e-6:
            return False, "Learning rate too small. Stopping."
        self.value /= 5.0
        return True, f"Setting learning rate to {self.value:f}"


SCHEDULES = {"constant": Constant, "invscaling": InvScaling, "adaptive": Adaptive}
