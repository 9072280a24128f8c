"""Blocks in execute() while its control file exists: requests are accepted and never finished."""

import json
import os
import time

from echo import answer


class TritonPythonModel:
    """What the python backend looks for."""

    def initialize(self, args):
        """Finds the control file."""
        self.control = json.loads(args["model_config"])["parameters"]["control"]["string_value"]

    def execute(self, requests):
        """Waits for the control file to go away."""
        while os.path.exists(self.control):
            time.sleep(0.02)
        return [answer(request) for request in requests]
