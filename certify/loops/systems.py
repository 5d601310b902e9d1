"""State spaces of other libraries: python-control's, SciPy's, or any with matrices A, B, C, D and a step dt."""

from typing import Any

import numpy as np

from ...models.constants import real

PARTS = ("A", "B", "C", "D", "dt")


def matrices_of(system: Any) -> dict[str, Any]:
    """Return A, B and C of a state space that is discrete in time and gives no input through, by name.

    Raises:
        TypeError: for what has no such parts.
        ValueError: for a continuous one, and for a D that is not 0: a controller would see its own output.
    """
    missing = [name for name in PARTS if not hasattr(system, name)]
    if missing:
        got = f"{type(system).__name__} without {', '.join(missing)}"
        raise TypeError(f"system: got {got}, expected a state space with A, B, C, D and dt")
    _check_step(system)
    if np.asarray(system.D, dtype=np.float64).any():
        raise ValueError("system: got D other than 0, expected 0: the controller sees C·x alone")
    return {name: np.asarray(getattr(system, name)) for name in ("A", "B", "C")}


def state_space(A: Any, B: Any, C: Any, dt: float | bool) -> Any:
    """Return a plant as python-control's StateSpace, its step `dt`; True: discrete in time, by a step not said.

    Raises:
        ImportError: where python-control is not installed.
        ValueError: for a step that is not positive.
    """
    if dt is not True and real("dt", dt) <= 0:
        raise ValueError(f"dt: got {dt!r}, expected a positive number, or True")
    try:
        import control  # pyright: ignore[reportMissingImports] (it need not be there)
    except ImportError as error:
        raise ImportError("control: python-control is not installed: pip install control") from error
    seen, inputs = np.asarray(C), np.asarray(B)
    return control.ss(np.asarray(A), inputs, seen, np.zeros((len(seen), inputs.shape[1])), dt)


def _check_step(system: Any) -> None:
    if system.dt is True:
        return
    if system.dt is None or system.dt == 0:
        how = "system.sample(0.1)" if hasattr(system, "sample") else "system.to_discrete(0.1)"
        raise ValueError(f"system: got a continuous one (dt = {system.dt!r}), expected a discrete one: {how}")
    if real("dt", system.dt) < 0:
        raise ValueError(f"dt: got {system.dt!r}, expected a positive number, or True")
