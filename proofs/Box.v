(* A claim's set of inputs: what a box of the machine is made of, and that it holds them all. *)
From Coq Require Import Reals Bool Lra.
From Flocq Require Import Core.
Require Import Semantics Dyadic.
Open Scope R_scope.

(* of one number: within the radius of the sample's, and in the range *)
Definition box_of (x r lower upper : D) : D * D := (dmax (sub x r) lower, dmin (add x r) upper).
Definition inhabited (b : D * D) : bool := leb (fst b) (snd b).

Theorem box_holds : forall x r lower upper y,
  Rabs (y - val x) <= val r -> val lower <= y <= val upper -> among (box_of x r lower upper) y.
Proof.
  intros x r lower upper y B L. unfold among, box_of. cbn [fst snd]. rewrite val_max, val_min, val_sub, val_add.
  apply Rabs_le_inv in B. split; [apply Rmax_lub|apply Rmin_glb]; lra.
Qed.
