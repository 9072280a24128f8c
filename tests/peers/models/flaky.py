"""Raises out of execute() at random. The probability is read anew for every batch: it changes at an exact instant."""

import json
import random

from echo import answer


class TritonPythonModel:
    """What the python backend looks for."""

    def initialize(self, args):
        """Finds the control file; every model draws its own reproducible luck."""
        self.control = json.loads(args["model_config"])["parameters"]["control"]["string_value"]
        self.luck = random.Random(args["model_name"])

    def execute(self, requests):
        """Only an exception counts as a failure in Triton's metrics: an error response counts as a success."""
        with open(self.control) as control:
            probability = float(control.read())
        if self.luck.random() < probability:
            raise RuntimeError("this model fails now and then")
        return [answer(request) for request in requests]
