"""Networks of other libraries, converted only where they match spike for spike."""

from .any_library import check_conversion, convert
from .checking import ConversionCheck
from .converting import Conversion
from .nir_reading import from_nir
from .nir_writing import to_nir
from .norse import from_norse
from .plain_torch import from_torch
from .refusal import ConversionRefused
from .snntorch import from_snntorch
from .spikingjelly import from_spikingjelly

__all__ = [
    "Conversion",
    "ConversionCheck",
    "ConversionRefused",
    "check_conversion",
    "convert",
    "from_nir",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "from_torch",
    "to_nir",
]
