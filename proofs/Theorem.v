(* What is proven, from end to end (no file may require this one: its name is a word of Coq's).
   `sound`: where the machine accepts a certificate, every `run` (Semantics.v) from the box gives the class.
   `certified`: where the network fits besides, every IEEE binary32 run does. *)
From Coq Require Import ZArith Reals List Bool.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Dyadic.
Require Check Soundness.
Require Import IEEE Runs Fit.
Require Certified.
Import ListNotations.
Open Scope R_scope.

Theorem sound : forall net y low high certificate, Check.accepts net y low high certificate = true ->
  forall x, (forall i a b, nth_error low i = Some a -> nth_error high i = Some b -> val a <= x i <= val b) ->
  forall s, run net x s ->
  forall k, (k < Check.classes net)%nat -> k <> y -> score net s y - score net s k > slack net y + slack net k.
Proof. exact Soundness.sound. Qed.

Theorem certified : forall net y low high certificate,
  fits net (combine low high) = true -> Check.accepts net y low high certificate = true ->
  forall x : nat -> b32, (forall i b, nth_error (combine low high) i = Some b -> among b (real (x i))) ->
  forall s, ieee_run net x s -> forall k, (k < Check.classes net)%nat -> k <> y ->
  forall ly lk, ieee_logit net s y ly -> ieee_logit net s k lk -> BinarySingleNaN.Bltb lk ly = true.
Proof. exact Certified.certified. Qed.

(* ties: of equal logits the first wins *)
Theorem certified_argmax : forall net y low high certificate, last net <> None ->
  fits net (combine low high) = true -> Check.accepts_argmax net y low high certificate = true ->
  forall x : nat -> b32, (forall i b, nth_error (combine low high) i = Some b -> among b (real (x i))) ->
  forall s, ieee_run net x s -> forall k, (k < Check.classes net)%nat ->
  forall ly lk, ieee_logit net s y ly -> ieee_logit net s k lk ->
  ((k < y)%nat -> BinarySingleNaN.Bltb lk ly = true) /\ ((y < k)%nat -> BinarySingleNaN.Bleb lk ly = true).
Proof. exact Certified.certified_argmax. Qed.

(* max pools of spikes are neurons of a network as the machine has it (native/network.ml): in each of its runs they are the maxima *)
Theorem maxima : forall net boxes, Check.sane net = true -> fits net boxes = true ->
  forall x : nat -> b32, (forall i b, nth_error boxes i = Some b -> among b (real (x i))) ->
  forall s, ieee_run net x s -> forall l j r, nth_error (State.marked net l) j = Some (true, r) -> forall t, (t < steps net)%nat ->
  (s l j t = true <-> exists i w, In (i, w) (fst r) /\ source net (fun i => real (x i)) s l t i = 1).
Proof. exact Certified.maxima. Qed.

Print Assumptions sound.
Print Assumptions Soundness.sound_argmax.
Print Assumptions certified.
Print Assumptions certified_argmax.
Print Assumptions maxima.
