"""Operations of torch, by what they make of signals."""
