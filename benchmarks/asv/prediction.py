"""Prediction: all rows of each workload, and one row by each way there is."""

from systems import SklearnMLP

from .training import NAMES, loaded


class Bulk:
    params = NAMES
    param_names = ("workload",)

    def setup(self, name):
        self.system = loaded(name)
        self.system.fit(1)

    def time_predict(self, name):
        self.system.predict(1)


class OneRow:
    params = SklearnMLP.ways
    param_names = ("way",)

    def setup(self, way):
        self.system = loaded("row")
        self.system.fit(1)

    def time_1000_calls(self, way):
        self.system.row(1000, way)
