"""What every model answers when it answers: the input as output. Lies beside each model.py."""

import triton_python_backend_utils as triton


def answer(request):
    """The input as output."""
    values = triton.get_input_tensor_by_name(request, "INPUT").as_numpy()
    return triton.InferenceResponse([triton.Tensor("OUTPUT", values)])
