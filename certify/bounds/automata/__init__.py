"""The trains of any rule that declares its automaton, as paths of its reachable states."""
