//! Turns GGUF and safetensors language models into packed ONNX models.
