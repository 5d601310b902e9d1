"""A mutation-based fuzzer of everything that reads files from strangers.

    cd tests && python -m fuzz --reader record --seconds 600

Each reader is fuzzed in a process of its own, so that a crash is seen, and the memory is its own. Seeds are small
valid files. Each run mutates one of them, by bytes or by structure, and a reader may answer with its documented
errors only, within seconds and within memory. Inputs that end in a new way (by the lines that the error passed,
and its words) are kept and mutated further.
"""
