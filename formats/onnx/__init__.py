"""ONNX files of networks, unrolled over time, and whether such a file is one of ours."""

from .writing import read_onnx, write_onnx

__all__ = ["read_onnx", "write_onnx"]
