"""The proof kernel: it checks certificates (proof/2) by a dozen local rules, in whole numbers, and knows no bound.

What is checked: docs/proofs.md; what is trusted: docs/trust.md. Each rule's theorem is in proofs/.
"""

from .certificates import FORMAT, SUFFIXES, check_certificate, check_file

__all__ = ["FORMAT", "SUFFIXES", "check_certificate", "check_file"]
