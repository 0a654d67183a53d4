//! The inference HTTP APIs: OpenAI, Ollama, Open Inference Protocol.
