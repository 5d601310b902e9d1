"""Networks as files: safetensors, a JSON description, one schema a layer."""
