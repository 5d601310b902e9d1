"""Write a stream (export.py) as a Coq file: the network, the box and the certificate as terms, and what is proven of them. python coqterm.py < stream > ExampleCheck.v"""

import sys


def number(word):
    digits, _, bits = word.partition("p")
    return f"(d ({int(digits, 16)}) (-{bits or 0}))"


def some(word):
    return "None" if word == "-1" else f"(Some {word})"


class Words:
    def __init__(self, line):
        self.words, self.at = line.split(), 0

    def __call__(self):
        self.at += 1
        return self.words[self.at - 1]

    def whole(self):
        return int(self())

    def left(self):
        return self.at < len(self.words)

    def listed(self, count, item):
        return "[" + "; ".join(item() for _ in range(count)) + "]"

    def until_end(self, item):
        found = []
        while self.left():
            found.append(item())
        return "[" + "; ".join(found) + "]"

    def num(self):
        return number(self())

    def pair(self, first, second):
        a = first()
        return f"({a}, {second()})"


def row(w):
    bias = w.num()
    return f"({w.until_end(lambda: w.pair(w, w.num))}, {bias})"


def node(w):
    lo, hi, parent, silent, spike = w.num(), w.num(), some(w()), some(w()), some(w())
    cuts = w.listed(w.whole(), w)
    taken = f"Some {w.pair(w.num, w.num)}" if w.whole() else "None"
    return f"{{| lo := {lo}; hi := {hi}; parent := {parent}; silent := {silent}; spike := {spike}; cuts := {cuts}; taken := {taken} |}}"


def pot(w):
    pieces, *hints = (
        w.listed(w.whole(), lambda: w.pair(w.num, w.num)),
        *(w.listed(w.whole(), lambda: w.pair(w, w.num)) for _ in range(2)),
    )
    return f"({pieces}, ({hints[0]}, {hints[1]}))"


def main():
    lines = sys.stdin.read().split("\n")[:-1]
    layers, places, inputs, last, records, sizes, stack = [], {}, [], None, [], {}, []
    rows_into, steps, label = None, 0, 0
    for line in lines:
        w = Words(line)
        word = w()
        if word == "steps":
            steps = w.whole()
        elif word == "input":
            inputs.append((w.num(), w.num()))
        elif word == "layer":
            places[w.whole()] = len(layers)
            layers.append(([], []))
            rows_into = layers[-1][0]
        elif word == "row":
            rows_into.append(row(w))
        elif word == "neuron":
            decay, theta, kind, drop = (
                w.num(),
                w.num(),
                {"zero": "Zero", "subtract": "Subtract", "none": "Never"}[w()],
                w.num(),
            )
            layers[-1][1].append(f"{{| decay := {decay}; theta := {theta}; kind := {kind}; drop := {drop} |}}")
        elif word == "last":
            last = rows_into = []
        elif word == "ties":
            assert w() == "strict"
        elif word == "label":
            label = w.whole()
        elif word == "table":
            w()
            train = lambda: "[" + "; ".join("true" if c == "1" else "false" for c in w()) + "]"
            records.append(f"Table {w.until_end(lambda: w.pair(train, lambda: w.pair(w.num, w.num)))}")
        elif word == "graph":
            l, j = places[w.whole()], w.whole()
            counts = [w.whole() for _ in range(steps + 1)]
            sizes[l, j] = counts[:-1]
            records.append(f"Graph {l} {j} [" + ";\n   ".join(w.listed(n, lambda: node(w)) for n in counts) + "]")
        elif word == "narrow":
            w()
            sign = {"1": "Some true", "-1": "Some false", "0": "None"}
            records.append(
                f"Narrow {w.until_end(lambda: f'({w()}, {sign[w()]}, {w.listed(w.whole(), lambda: w.pair(w, w.num))})')}"
            )
        elif word == "rows":
            w()
            stack.append(dict(sizes))
            records.append(f"SplitRows {w()} {w()} false")
        elif word == "spike":
            stack.append(dict(sizes))
            records.append(f"SplitSpike {places[w.whole()]} {w()} {w()} false")
        elif word == "class":
            stack.append(dict(sizes))
            records.append(f"Class {w()}")
        elif word == "potential":
            l, j = places[w.whole()], w.whole()
            mu = w.listed(steps, w.num)
            records.append(
                f"Potential {l} {j} {mu} [" + ";\n   ".join(w.listed(n, lambda: pot(w)) for n in sizes[l, j]) + "]"
            )
        elif word == "price":
            w()
            records.append(f"Price {w()} {w.num()}")
        else:
            records.append({"leaf": "Leaf", "close": "Close", "empty": "Empty"}[word])
            if word != "leaf":
                sizes = stack.pop()
        assert not w.left(), line
    told = lambda items: "[" + ";\n  ".join(items) + "]"
    print(f"""(* A small network, a box and a certificate (made by coqterm.py from a kept proof): the machine accepts it, by computation in Coq, so what follows is proven.*)
From Coq Require Import ZArith Reals List Bool.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Dyadic.
Require Import Check.
Require Fit Certified.
Import ListNotations.
Open Scope nat_scope.
Local Notation d := (Float radix2).
Definition net : network := {{| steps := {steps}; hidden := {told(f"({told(rows)}, {told(neurons)})" for rows, neurons in layers)};
  last := {"None" if last is None else "Some " + told(last)} |}}.
Definition low : list D := {told(a for a, _ in inputs)}.
Definition high : list D := {told(b for _, b in inputs)}.
Definition certificate : list record := {told(records)}.
Example fitting : Fit.fits net (combine low high) = true. Proof. vm_compute. reflexivity. Qed.
Example accepted : accepts net {label} low high certificate = true. Proof. vm_compute. reflexivity. Qed.
(* of each input in the box class {label} has the greatest logit, in every IEEE binary32 run of this network *)
Definition robust := Certified.certified net {label} low high certificate fitting accepted.
Check robust.
Example listed : {label} < classes net. Proof. vm_compute. repeat constructor. Qed.
Definition robust_loops := Certified.certified_loops net {label} low high certificate fitting accepted listed.
""")


if __name__ == "__main__":
    main()
