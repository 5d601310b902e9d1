"""Check a proof file: the kernel checks the certificate that is made from it meanwhile.

What makes certificates (`certificates/`) needs no trust: it may only make one that is refused.
"""

from pathlib import Path

from .certificates.short_files import ShortFile
from .claims import Statement
from .kernel import SUFFIXES
from .kernel.certificates import check_lines
from .network.files import Content, read
from .network.model import Network, read_network
from .refusal import Refused
from .short import FORMATS, SUFFIX
from .work import allowance, limited


def check(proof: str | Path, network: Network | str | Path, work: float = 1.0) -> Statement:
    """Return what a proof file proves of `network`, a model file or what was read from one.

    Args:
        proof, network: the files.
        work: how many times the usual limit of work (work.py) the check may take.

    Raises:
        Refused: for anything but a complete proof, saying why.
    """
    known = network if isinstance(network, Network) else read_network(Path(network), work)
    path = Path(proof)
    content = read(path, FORMATS)
    try:
        with limited(allowance(content.size + known.size, work)):
            return check_content(content, known)
    except Refused as error:
        raise Refused(f"{path.name}: {error}") from error


def find_proofs(path: Path) -> list[Path]:
    """Return a proof file, or those of a folder in order; certificates, too."""
    if not path.is_dir():
        return [path]
    return sorted(found for suffix in (SUFFIX, *SUFFIXES) for found in path.glob(f"*{suffix}"))


def check_content(content: Content, network: Network) -> Statement:
    """Return what a proof proves, within the work that is allowed already. Raise as `check` does.

    Rules of several neurons at once (J, D) make a certificate longer, and are asked where it fails without them.
    """
    plain = ShortFile.of(content, network, joint=False)
    try:
        return check_lines(plain.lines(), network)
    except Refused:
        if not plain.maker.may_say_more:
            raise
    return check_lines(ShortFile.of(content, network).lines(), network)
