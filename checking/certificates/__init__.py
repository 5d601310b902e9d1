"""Certificates (proof/2) made from short proofs (proof/1): nothing here is trusted, the kernel checks what comes
out.
"""

from .trials import elaborate

__all__ = ["elaborate"]
