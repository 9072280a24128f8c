"""Fails to load while its control file exists, otherwise gives back what it was given."""

import json
import os

from echo import answer


class TritonPythonModel:
    """What the python backend looks for."""

    def initialize(self, args):
        """Refuses to load while it is told to."""
        if os.path.exists(json.loads(args["model_config"])["parameters"]["control"]["string_value"]):
            raise RuntimeError("this version does not load")

    def execute(self, requests):
        """Answers every request of the batch."""
        return [answer(request) for request in requests]
