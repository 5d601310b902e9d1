"""Networks of other libraries, converted only where they match spike for spike."""

from .any_library import check_conversion, convert
from .checking import ConversionCheck
from .converting import Conversion
from .libraries.norse import from_norse
from .libraries.plain_torch import from_torch
from .libraries.snntorch import from_snntorch
from .libraries.spikingjelly import from_spikingjelly
from .nir.nir_reading import from_nir
from .nir.nir_writing import to_nir
from .refusal import ConversionRefused

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
