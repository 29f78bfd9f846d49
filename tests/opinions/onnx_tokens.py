"""What onnxruntime computes from the original file: run by `test_onnx.py` in a Python that has onnx and onnxruntime.

python onnx_tokens.py NETWORK.onnx INPUTS.npy OUTPUTS.npz
"""

import sys

import numpy as np
import onnx
import onnxruntime

TENSORS = {
    "tokens": "/backbone/layernorm/Add_1_output_0",
    "weights": "/backbone/encoder/layer.11/attention/attention/Softmax_output_0",
    "saliency": "output_importance",
}

if __name__ == "__main__":
    network, inputs, outputs = sys.argv[1:]
    model = onnx.load(network)
    for name in list(TENSORS.values())[:2]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(list(TENSORS.values()), {"input_image": np.load(inputs).transpose(0, 3, 1, 2)})
    np.savez(outputs, **dict(zip(TENSORS, values)))
