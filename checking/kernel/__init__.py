"""The proof kernel: it checks certificates (proof/2) by a dozen local rules, in whole numbers, and knows no bound.

What is checked and what is trusted: docs/proofs.md. Each rule's theorem is in proofs/.
"""

from .certificates import FORMAT, check_certificate

__all__ = ["FORMAT", "check_certificate"]
