(* The machine as OCaml: whole numbers by Zarith, small counts by the machine's own integers. *)
From Coq Require Import ZArith List Bool.
From Coq Require Extraction ExtrOcamlBasic ExtrOcamlNatInt.
Require Import Semantics Dyadic Ways Check.
Require Fit Box.
Extract Inductive positive => "Big.t" ["Big.doubled_and_one" "Big.doubled" "Big.one"] "Big.on_positive".
Extract Inductive Z => "Big.t" ["Big.zero" "(fun p -> p)" "Big.opp"] "Big.on_sign".
Extract Constant BinInt.Z.add => "Big.add".
Extract Constant BinInt.Z.sub => "Big.sub".
Extract Constant BinInt.Z.mul => "Big.mul".
Extract Constant BinInt.Z.opp => "Big.opp".
Extract Constant BinInt.Z.abs => "Big.abs".
Extract Constant BinInt.Z.leb => "Big.leq".
Extract Constant BinInt.Z.eqb => "Big.equal".
Extract Constant BinInt.Z.shiftl => "Big.shiftl".
Extract Constant BinInt.Z.shiftr => "Big.shiftr".
Extract Constant BinInt.Z.div => "Big.div".
(* counts: quotients as Coq's, which are 0 and the whole behind 0 *)
Extract Constant Nat.div => "(fun n k -> if k = 0 then 0 else n / k)".
Extract Constant Nat.modulo => "(fun n k -> if k = 0 then n else n mod k)".
Extract Constant BinInt.Z.of_nat => "Big.of_int".
Extract Constant BinInt.Z.ltb => "Big.lt".
Extraction "checker.ml" step finished flatten Fit.fits Box.box_of Box.inhabited.
