"""The sparse matrix of a convolution: which weight stands between which pixel and which output."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from ...models.linear_maps import ConvolutionMap, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def sparse_matrix(convolution: ConvolutionMap, shape: Shape) -> "csr_array":
    """Return the matrix (rows: outputs, columns: inputs) for images (channels, H, W) = shape.

    An image that holds its own pixel numbers (from 1; 0 is padding) is padded and unfolded like any other, which
    gives the pixel behind each kernel position of each output, for every stride, dilation and padding mode.
    """
    from scipy.sparse import csr_array  # imported here: scipy takes half a second

    _, height, width = shape
    outputs, inputs, rows, columns = convolution.weight.shape
    numbers = torch.arange(1, height * width + 1, dtype=torch.float64).reshape(1, 1, height, width)
    padded = convolution.pad(numbers)
    pixels = functional.unfold(padded, (rows, columns), convolution.dilation, 0, convolution.stride)[0].long()
    kernel = convolution.weight.reshape(outputs, inputs, rows * columns, 1)
    position, site = pixels.nonzero(as_tuple=True)
    channel = torch.arange(outputs)[:, None, None]
    group = channel // (outputs // convolution.groups) * inputs
    source = group + torch.arange(inputs)[None, :, None]
    target = channel * pixels.shape[1] + site
    column = source * (height * width) + pixels[position, site] - 1
    values = kernel[:, :, position, 0]
    target = target.expand_as(values)
    size = (outputs * pixels.shape[1], shape[0] * height * width)
    flat = [np.ascontiguousarray(item.reshape(-1).numpy()) for item in (values, target, column)]
    return csr_array((flat[0], (flat[1], flat[2])), shape=size)
