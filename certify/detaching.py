"""Results stand alone: what is handed out belongs to no graph of gradients."""


def detach(owner: object, *names: str) -> None:
    """Cut the tensors in fields of a frozen dataclass off the graph of whatever made them; None stays."""
    for name in names:
        tensor = getattr(owner, name)
        if tensor is not None:
            object.__setattr__(owner, name, tensor.detach())
