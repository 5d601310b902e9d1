(* From end to end: where a network fits and the machine accepts a certificate, every IEEE binary32 run from the box gives the class. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Dyadic.
Require Check Soundness.
Require Import IEEE Runs Reference Fit.
Import ListNotations.
Open Scope R_scope.

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

(* where the first of equal logits wins, logits being those of an affine map *)
Theorem certified_argmax : forall net y low high certificate, last net <> None ->
  fits net (combine low high) = true -> Check.accepts_argmax net y low high certificate = true ->
  forall x : nat -> b32, (forall i b, nth_error (combine low high) i = Some b -> among b (real (x i))) ->
  forall s, ieee_run net x s -> forall k, (k < Check.classes net)%nat ->
  forall ly lk, ieee_logit net s y ly -> ieee_logit net s k lk ->
  ((k < y)%nat -> BinarySingleNaN.Bltb lk ly = true) /\ ((y < k)%nat -> BinarySingleNaN.Bleb lk ly = true).
Proof.
  intros net y low high cert Ln F A x X s R0 k Lk ly lk Hy Hk. destruct (fits_sound net _ F) as [Ft [_ M]]. specialize (M _ X). pose proof (ieee_run_run net x s Ft M R0) as Rr.
  destruct (Soundness.sound_argmax net y low high cert A _ (boxed low high _ X) s Rr k Lk) as [B1 B2]. split; intro L.
  - apply (ieee_logits_order net _ s y k ly lk Ft M Hy Hk). specialize (B1 L). lra.
  - apply (ieee_logits_least net _ s y k ly lk Ft M Ln Hy Hk). specialize (B2 L). lra.
Qed.

(* the claim is not empty: the plain loops of Reference.v, fused or not, with >= or >, are such runs *)
Theorem certified_loops : forall net y low high certificate, nested net = [] ->
  fits net (combine low high) = true -> Check.accepts net y low high certificate = true -> (y < Check.classes net)%nat ->
  forall h (x : nat -> b32), (forall i, finite (x i)) -> (forall i b, nth_error (combine low high) i = Some b -> among b (real (x i))) ->
  forall k, (k < Check.classes net)%nat -> k <> y ->
  BinarySingleNaN.Bltb (logit32 net (spikes32 h net x) k) (logit32 net (spikes32 h net x) y) = true.
Proof.
  intros net y low high cert W F A Ly h x Fx X k Lk Nk. destruct (fits_sound net _ F) as [Ft [Sg M]]. specialize (M _ X).
  assert (Lt : forall q, (q < Check.classes net)%nat -> forall rows, last net = Some rows -> (q < length rows)%nat).
  { intros q L rows E. unfold Check.classes in L. rewrite E in L. exact L. }
  apply (certified net y low high cert F A x X (spikes32 h net x) (reference_run h net x W (Sg W) Fx) k Lk Nk);
    apply (reference_logit net _ _ _ W Ft M (Sg W)); auto.
Qed.

(* in each IEEE run the neurons that stand for a max pool fire where one of the spikes in their window does *)
Theorem maxima : forall net boxes, Check.sane net = true -> fits net boxes = true ->
  forall x : nat -> b32, (forall i b, nth_error boxes i = Some b -> among b (real (x i))) ->
  forall s, ieee_run net x s -> forall l j r, nth_error (State.marked net l) j = Some (true, r) -> forall t, (t < steps net)%nat ->
  (s l j t = true <-> exists i w, In (i, w) (fst r) /\ source net (fun i => real (x i)) s l t i = 1).
Proof.
  intros net boxes Sn F x X s R0 l j r M t L. destruct (fits_sound net _ F) as [Ft [_ Mn]]. specialize (Mn _ X). pose proof (ieee_run_run net x s Ft Mn R0) as Rr.
  unfold Check.sane in Sn. apply andb_prop in Sn as [Sn _]. apply andb_prop in Sn as [_ Al]. destruct (Soundness.marked_or net _ s Rr Al l j r t M L) as [_ [[E Q]|[E Q]]].
  - split; [intros _; exact Q|intros _; destruct (s l j t); [reflexivity|cbn in E; lra]].
  - split; [intro K; rewrite K in E; cbn in E; lra|]. intros [i [w [I O]]]. specialize (Q i w I). lra.
Qed.
