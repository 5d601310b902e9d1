"""Examples under each command's help: they are parsed in the tests, so that they can't be out of date."""

from collections.abc import Sequence

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("spikecert demo --out runs/demo",),
    "train": (
        "spikecert train --data digits --network mlp:64 --rho 1 --out runs/mine",
        "spikecert train --objective certified --size 0.05 --epochs 40 --seeds 0,1,2 --out runs/certified",
    ),
    "gains": (
        "spikecert gains runs/mine/network.safetensors",
        "spikecert gains runs/mine/network.safetensors --samples 100 --epsilon 8/255 --json",
        "spikecert gains --theorem all",
    ),
    "ablate": (
        "spikecert ablate runs/mine/network.safetensors",
        "spikecert ablate runs/mine/network.safetensors --samples 500 --retrain 8 --json",
    ),
    "attack": (
        "spikecert attack runs/mine/network.safetensors --epsilon 4/255,8/255",
        "spikecert attack runs/mine/network.safetensors --method pgd --method square --out runs/attack",
        "spikecert attack mine.py:Network --weights mine.safetensors --standard --data digits --epsilon 0.02",
    ),
    "certify": (
        "spikecert certify runs/mine/network.safetensors --require-certified 0.9",
        "spikecert certify runs/mine/network.safetensors --verifier complete --timeout 60 --resume runs/state",
        "spikecert certify runs/mine/network.safetensors --property moves=.1 --epsilon 0.02 --radii",
        "spikecert certify runs/mine/network.safetensors --norm tolerance --epsilon 5%",
        "spikecert certify zoo:mnist-linf-0.1@0.1 zoo:mnist-linf-0.3@0.3 --data mnist --root DATA --out runs/both",
    ),
    "check-proof": (
        "spikecert check-proof runs/mine/proofs --model runs/mine/network.safetensors",
        "spikecert check-proof runs/mine/proofs --model runs/mine/network.safetensors --certificates runs/long",
    ),
    "convert": (
        "spikecert convert network.nir --num-steps 8 --out runs/mine/network.safetensors",
        "spikecert convert mine.py:Network --shape 1,28,28 --num-steps 8 --latex",
        "spikecert convert runs/mine/network.safetensors --target loihi --out chip.safetensors",
    ),
    "differ": (
        "spikecert differ runs/mine/network.safetensors chip.nir --data digits --dt 1e-3 --out runs/differ",
        "spikecert differ runs/mine/network.safetensors mine.py:Network --samples 100 "
        "--repaired runs/mended.safetensors",
    ),
    "doctor": ("spikecert doctor --root DATA",),
    "equivalent": (
        "spikecert equivalent runs/mine/network.safetensors runs/rounded.safetensors --epsilon 1/255,2/255",
        "spikecert equivalent runs/mine/network.safetensors --target loihi --bits 6 --require-equivalent 0.9",
    ),
    "explain": (
        "spikecert explain runs/mine/record.json --sample 12",
        "spikecert explain runs/mine/record.json --sample 12 --epsilon 0.05 --timeout 60 --out runs/why",
    ),
    "loop": (
        "spikecert loop runs/controller.safetensors --plant plant.toml --out runs/loop",
        "spikecert loop runs/controller.safetensors --plant plant.toml --timeout 60 --json",
    ),
    "radius": (
        "spikecert radius runs/mine/network.safetensors --samples 20 --verifier linear --out runs/radii",
        "spikecert radius runs/mine/network.safetensors --verifier complete --timeout 60",
        "spikecert radius runs/mine/network.safetensors --norm tolerance --samples 20",
    ),
    "range": (
        "spikecert range runs/mine/network.safetensors --epsilon 0.02 --form 'Y1 - Y0' --samples 5",
        "spikecert range runs/mine/network.safetensors --form 'Y0 - S0' --timeout 10 --json",
    ),
    "report": (
        "spikecert report runs/mine/record.json --out runs/mine/report.html",
        "spikecert report runs/mine/record.json --radii runs/radii/radii.json --out report.html",
        "spikecert report runs/a/record.json runs/b/record.json --out table.tex",
        "spikecert report runs/new/record.json --against runs/old/record.json --fail-on-regression",
        "spikecert report runs/mine/record.json --replay --sample 12",
    ),
    "run": (
        "spikecert run mine.toml --out runs/mine",
        "spikecert run runs/mine/record.json --out runs/again",
        "spikecert run digits --epochs 1",
        "spikecert run --list",
    ),
    "data": (
        "spikecert data draft mine.csv --label species",
        "spikecert data draft mine.csv --label species --out features.toml --json",
    ),
    "vnnlib": (
        "spikecert vnnlib runs/mine/network.safetensors property.vnnlib --timeout 60 --out result.txt",
        "spikecert vnnlib instances.csv --workers 8 --out runs/instances",
    ),
    "zoo": ("spikecert zoo",),
}
STATUS = (
    "Exit status: 0 done; 1 falsified, below a required share, worse than before, not repeated, builds that "
    "differ, a loop unproven, or a proof refused; 2 bad usage or input; 3 a proof and a counterexample contradict "
    "each other (a bug: please report it); 130 interrupted."
)
COMPLETION = "Shell completion: spikecert --install-completion."


def epilog(command: str) -> str | None:
    """Return what stands under a command's help: its examples."""
    return _examples(EXAMPLES[command]) if command in EXAMPLES else None


def overview() -> str:
    """Return what stands under the help of the whole program: one example of each command, and the statuses."""
    first = [examples[0] for examples in EXAMPLES.values()]
    return f"{_examples(first)}\n\n{STATUS}\n\n{COMPLETION}"


def _examples(lines: Sequence[str]) -> str:
    head = "Examples:" if len(lines) > 1 else "Example:"
    return "\n".join(("\b", head, *(f"  {line}" for line in lines)))  # \b: lines stay as they are
