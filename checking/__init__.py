"""An independent checker of proofs that a verifier wrote: exact arithmetic, numpy and the standard library alone.

Nothing here is shared with the verifier but the reader of files, and nothing else of the library is imported.
What is checked: docs/proofs.md; what is trusted: docs/trust.md.
"""

if __name__ == "checking":
    raise ImportError("import spikecert.checking, not checking: by another name each class would be there twice")

from .certificates.trials import Statement, check, find_proofs
from .network.model import Network, read_network
from .numbers.exact import Refused

__all__ = ["Network", "Refused", "Statement", "check", "find_proofs", "read_network"]
