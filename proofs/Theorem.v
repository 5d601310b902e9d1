(* What is proven, from end to end.
   `sound`: where the machine accepts a certificate, every `run` from the box gives the class.
   `certified`: where the network fits besides, every IEEE binary32 run does. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Dyadic.
Require Check Soundness.
Require Import IEEE Fit.
Import ListNotations.
Open Scope R_scope.

Theorem sound : forall net y low high certificate, Check.accepts net y low high certificate = true ->
  forall x, (forall i a b, nth_error low i = Some a -> nth_error high i = Some b -> val a <= x i <= val b) ->
  forall s, run net x s ->
  forall k, (k < Check.classes net)%nat -> k <> y -> score net s y - score net s k > slack net y + slack net k.
Proof. exact Soundness.sound. Qed.

Lemma boxed : forall low high x, (forall i b, nth_error (combine low high) i = Some b -> among b (x i)) -> Soundness.inside x low high.
Proof.
  intros low high x H i a b Ha Hb. specialize (H i (a, b)). unfold among in H. cbn [fst snd] in H. apply H. clear H. revert high i Ha Hb.
  induction low as [|c low IH]; intros high i Ha Hb; [destruct i; discriminate|]. destruct high as [|d high]; [destruct i; discriminate|].
  destruct i; cbn in *; [congruence|auto].
Qed.
Theorem certified : forall net y low high certificate,
  fits net (combine low high) = true -> Check.accepts net y low high certificate = true ->
  forall x : nat -> b32, (forall i b, nth_error (combine low high) i = Some b -> among b (real (x i))) ->
  forall s, ieee_run net x s -> forall k, (k < Check.classes net)%nat -> k <> y ->
  forall ly lk, ieee_logit net s y ly -> ieee_logit net s k lk -> BinarySingleNaN.Bltb lk ly = true.
Proof.
  intros net y low high cert F A x X s R0 k Lk Nk ly lk Hy Hk.
  refine (decided net (combine low high) y F k _ x s ly lk X R0 Hy Hk).
  intros z r Z0 Rr. pose proof (Soundness.sound net y low high cert A z (boxed low high z Z0) r Rr k Lk Nk). lra.
Qed.
Print Assumptions certified.
Print Assumptions sound.
Print Assumptions Soundness.sound_argmax.
