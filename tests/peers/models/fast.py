"""Gives back what it was given."""

from echo import answer


class TritonPythonModel:
    """What the python backend looks for."""

    def execute(self, requests):
        """Answers every request of the batch."""
        return [answer(request) for request in requests]
