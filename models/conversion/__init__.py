"""Networks of other libraries, converted only where they match spike for spike."""

from .any_library import check_conversion, convert, from_norse, from_snntorch, from_spikingjelly, from_torch, into
from .checking import ConversionCheck
from .converting import Conversion
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
    "into",
    "to_nir",
]
