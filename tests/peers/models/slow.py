"""Sleeps before it answers: a model whose capacity is known exactly."""

import json
import time

from echo import answer


class TritonPythonModel:
    """What the python backend looks for."""

    def initialize(self, args):
        """Reads how long one execution lasts."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.seconds = float(parameters["sleep_ms"]["string_value"]) / 1000

    def execute(self, requests):
        """One sleep for the whole batch."""
        time.sleep(self.seconds)
        return [answer(request) for request in requests]
