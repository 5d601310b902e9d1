(* Runs of a network in IEEE binary32, and their logits: where moduli stay below 2^100 they are runs of Semantics.v. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core BinarySingleNaN.
Require Import Semantics Ways Sums Float IEEE Steps Rests.
Import ListNotations.
Open Scope R_scope.

Definition ieee_run (net : network) (x : nat -> b32) (s : trains) : Prop :=
  forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
  forall j r n, nth_error rows j = Some r -> nth_error ns j = Some n ->
  exists h k c, rounded n k
    /\ (l = O -> forall t, c t = c O)
    /\ (forall t, (t < steps net)%nat -> ieee_amount (way_of net l j) r (source net (fun i => real (x i)) s l t) (c t))
    /\ (forall t, (t < steps net)%nat -> s l j t = fst (ieee_neuron h n k (ieee_potential (ieee_neuron h n k) c t) (c t))).

Definition ieee_logit (net : network) (s : trains) (k : nat) (y : b32) : Prop :=
  let T := steps net in let o := output net s in
  match last net with
  | Some rows => exists r, nth_error rows k = Some r /\
      match way_of net (outputs net) k with
      | Some w => ieee_rest T w o y
      | None =>
      ((exists z a, (forall t, (t < T)%nat -> ieee_summed (products r (o t)) (z t)) /\ ieee_summed (map (fun t => real (z t)) (seq 0 T)) a /\ ieee_mean T a y)
       \/ (exists m, (forall i, exists a, ieee_summed (map (fun t => o t i) (seq 0 T)) a /\ ieee_mean T a (m i)) /\ ieee_summed (products r (fun i => real (m i))) y))
      end
  | None => exists a, ieee_summed (map (fun t => bit (s (outputs net - 1)%nat k t)) (seq 0 T)) a /\ ieee_mean T a y
  end.

(* nothing comes near to overflow, whatever the spikes *)
Definition mild (net : network) (x : nat -> R) : Prop :=
  (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
     (forall j r, nth_error rows j = Some r -> forall s t, let z := source net x s l t in
        match way_of net l j with None => moduli (fst r) z + Rabs (val (snd r)) <= 2 ^ 100 | Some w => way_fit w z end)
     /\ (forall j n, nth_error ns j = Some n -> val (drop n) <= 2 ^ 100))
  /\ (forall rows, last net = Some rows -> forall k r, nth_error rows k = Some r ->
        match way_of net (outputs net) k with None => moduli (fst r) (fun _ => 1) + Rabs (val (snd r)) <= 2 ^ 100 | Some w => rest_fit (steps net) w end).

Lemma count_row : forall r x m, (length (fst r) + 1 <= m)%nat -> 2 * (INR m * u) <= 1 -> 2 * (INR (count (products r x)) * u) <= 1.
Proof. intros r x m H L. eapply INR_u; [|exact L]. pose proof (count_products r x). pose proof (met_length (fst r) x). lia. Qed.

Theorem ieee_run_float_run : forall net x s, fit net -> mild net (fun i => real (x i)) -> ieee_run net x s -> float_run net (fun i => real (x i)) s.
Proof.
  intros net x s [T0 [T20 [F _]]] [M _] H l rows ns L j r n Hr Hn. destruct (F l rows ns L) as [Fn Fr]. destruct (Fn j n Hn) as [Pn Dn]. specialize (Fr j r Hr).
  destruct (M l rows ns L) as [Mr Mn]. specialize (Mr j r Hr). specialize (Mn j n Hn). fold P in *.
  destruct (H l rows ns L j r n Hr Hn) as [h [k [c [K [H0 [H1 H2]]]]]]. exists h, (fun t => real (c t)). pose proof P_1 as P1.
  assert (forall t, (t < steps net)%nat -> finite (c t) /\ Rabs (real (c t) - amount (way_of net l j) r (source net (fun i => real (x i)) s l t)) <= error (way_of net l j) r (source net (fun i => real (x i)) s l t)
    /\ Rabs (real (c t)) <= 3 * P) as HC.
  { intros t Ht. specialize (H1 t Ht). specialize (Mr s t). cbv zeta in Mr. set (z := source net (fun i => real (x i)) s l t) in *. destruct (way_of net l j) as [w|]; cbn [ieee_amount amount error] in *.
    - pose proof (way_good z w (c t) Mr H1) as G. pose proof (way_size z w (c t) Mr G). destruct G as [G1 [_ G2]]. split; [exact G1|]. split; assumption.
    - assert (2 * (INR (count (products r z)) * u) <= 1) as CR by (eapply count_row; [|exact Fr]; lia).
      destruct (ieee_summed_summed _ _ H1 CR) as [Q1 Q2]; [rewrite size_products; lra|]. split; [exact Q1|]. split; [apply summed_allowance; assumption|].
      pose proof (summed_size _ _ Q2 CR) as Z. rewrite size_products in Z. lra. }
  assert (forall t, (t <= steps net)%nat -> finite (ieee_potential (ieee_neuron h n k) c t)
    /\ real (ieee_potential (ieee_neuron h n k) c t) = potential (float_neuron h n) (fun t => real (c t)) t
    /\ Rabs (real (ieee_potential (ieee_neuron h n k) c t)) <= INR t * (32 * P)) as HP.
  { induction t as [|t IH]; intros Ht.
    - simpl. rewrite Rabs_R0. repeat split; lra.
    - destruct IH as [I1 [I2 I3]]; [lia|]. destruct (HC t) as [C1 [_ C3]]; [lia|].
      assert (INR t * (32 * P) <= 33554432 * P) as TB.
      { assert (INR t <= INR (steps net)) by (apply le_INR; lia). rewrite pow_20 in T20. assert (INR t * (32 * P) <= 1048576 * (32 * P)) by (apply Rmult_le_compat_r; lra). lra. }
      destruct (ieee_step h n k _ _ Pn Dn Mn K I1 C1 ltac:(lra) C3) as [S1 [S2 [S3 S4]]].
      cbn [ieee_potential potential]. rewrite <- I2. split; [exact S1|]. split; [exact S3|]. rewrite S3, S_INR. lra. }
  split; [intros E t; rewrite (H0 E t); reflexivity|]. split; [intros t Ht; apply HC; exact Ht|].
  intros t Ht. rewrite (H2 t Ht). unfold spiked. destruct (HP t) as [I1 [I2 I3]]; [lia|]. destruct (HC t Ht) as [C1 [_ C3]].
  assert (INR t * (32 * P) <= 33554432 * P) as TB.
  { assert (INR t <= INR (steps net)) by (apply le_INR; lia). rewrite pow_20 in T20. assert (INR t * (32 * P) <= 1048576 * (32 * P)) by (apply Rmult_le_compat_r; lra). lra. }
  destruct (ieee_step h n k _ _ Pn Dn Mn K I1 C1 ltac:(lra) C3) as [_ [S2 _]]. rewrite <- I2. exact S2.
Qed.

(* ---- logits ----------------------------------------------------------------------------------------------------------------------------------- *)
Lemma count_steps : forall T (f : nat -> R), INR T <= 2 ^ 20 -> 2 * (INR (count (map f (seq 0 T))) * u) <= 1.
Proof.
  intros T f H. rewrite pow_20 in H. pose proof u_pos. pose proof u_small. pose proof (count_length (map f (seq 0 T))) as C. rewrite length_map, length_seq in C. apply le_INR in C.
  assert (INR (count (map f (seq 0 T))) * u <= 1048576 * / 16777216); [|lra]. apply Rmult_le_compat; try lra. apply pos_INR.
Qed.
Lemma size_steps : forall T (f : nat -> R) g, INR T <= 2 ^ 20 -> 0 <= g -> (forall t, (t < T)%nat -> Rabs (f t) <= g) -> size (map f (seq 0 T)) <= 1048576 * g.
Proof.
  intros T f g H G B. rewrite pow_20 in H. assert (size (map f (seq 0 T)) <= INR T * g) as Z.
  { clear H. induction T as [|T IH]; [simpl; lra|]. rewrite seq_S, map_app, size_app, S_INR. simpl. assert (size (map f (seq 0 T)) <= INR T * g) by (apply IH; intros; apply B; lia).
    assert (Rabs (f T) <= g) by (apply B; lia). lra. }
  assert (INR T * g <= 1048576 * g) by (apply Rmult_le_compat_r; lra). lra.
Qed.

Lemma ieee_bits : forall T (f : nat -> bool) a, INR T <= 2 ^ 20 -> ieee_summed (map (fun t => bit (f t)) (seq 0 T)) a ->
  finite a /\ summed (map (fun t => bit (f t)) (seq 0 T)) (real a) /\ Rabs (real a) <= 67108864 * P.
Proof.
  intros T f a T20 H. pose proof P_1 as P1. pose proof (count_steps T (fun t => bit (f t)) T20) as C.
  assert (size (map (fun t => bit (f t)) (seq 0 T)) <= 1048576 * 1) as Z.
  { apply size_steps; [exact T20|lra|]. intros t _. destruct (f t); simpl; [rewrite Rabs_R1|rewrite Rabs_R0]; lra. }
  destruct (ieee_summed_summed _ _ H C) as [Q1 Q2]; [lra|]. split; [exact Q1|]. split; [exact Q2|]. pose proof (summed_size _ _ Q2 C). lra.
Qed.
Lemma ieee_count : forall net s i a, fit net -> ieee_summed (map (fun t => output net s t i) (seq 0 (steps net))) a ->
  finite a /\ summed (map (fun t => output net s t i) (seq 0 (steps net))) (real a) /\ Rabs (real a) <= 67108864 * P.
Proof. intros net s i a [T0 [T20 _]] H. destruct (output_bit net s i) as [f E]. rewrite (map_ext _ _ E) in *. apply ieee_bits; assumption. Qed.

Theorem ieee_logit_float_logit : forall net x s k y, fit net -> mild net x -> ieee_logit net s k y -> finite y /\ float_logit net s k (real y).
Proof.
  intros net x s k y F [_ M] H. pose proof F as [T0 [T20 [_ FL]]]. pose proof P_1 as P1. unfold ieee_logit, float_logit in *. destruct (last net) as [rows|].
  - destruct H as [r [Hr H]]. specialize (M rows eq_refl k r Hr). destruct (way_of net (outputs net) k) as [w|] eqn:Wn.
    { destruct (rest_good (steps net) (output net s) T0 T20 (output_1 net s) w y M H) as [G1 [_ G2]]. split; [exact G1|]. exists r. split; [exact Hr|]. exact G2. } specialize (FL rows eq_refl k r Hr). fold P in M.
    assert (forall f a, (forall i, Rabs (f i) <= 3) -> ieee_summed (products r f) a -> finite a /\ summed (products r f) (real a) /\ Rabs (real a) <= 7 * P) as row32.
    { intros f a B S. assert (2 * (INR (count (products r f)) * u) <= 1) as C by (eapply count_row; [|exact FL]; lia).
      assert (size (products r f) <= 3 * P) as Z. { rewrite size_products. pose proof (moduli_le (fst r) f 3 B). pose proof (Rabs_pos (val (snd r))). lra. }
      destruct (ieee_summed_summed _ _ S C) as [Q1 Q2]; [lra|]. split; [exact Q1|]. split; [exact Q2|]. pose proof (summed_size _ _ Q2 C). lra. }
    destruct H as [[z [a [Hz [Ha Hm]]]]|[m [Hm Hs]]].
    + assert (forall t, (t < steps net)%nat -> finite (z t) /\ summed (products r (output net s t)) (real (z t)) /\ Rabs (real (z t)) <= 7 * P) as HZ.
      { intros t Ht. apply row32; [|apply Hz; exact Ht]. intros i. eapply Rle_trans; [apply output_1|lra]. }
      pose proof (count_steps (steps net) (fun t => real (z t)) T20) as C.
      assert (size (map (fun t => real (z t)) (seq 0 (steps net))) <= 1048576 * (7 * P)) as Z by (apply size_steps; [exact T20|lra|intros t Ht; apply HZ; exact Ht]).
      destruct (ieee_summed_summed _ _ Ha C) as [Q1 Q2]; [lra|]. pose proof (summed_size _ _ Q2 C) as B.
      destruct (ieee_mean_mean _ _ _ T0 Q1 ltac:(lra) Hm) as [R1 R2]. split; [exact R1|]. exists r. split; [exact Hr|]. left. exists (fun t => real (z t)), (real a).
      split; [intros t Ht; apply HZ; exact Ht|]. split; assumption.
    + assert (forall i, exists a, summed (map (fun t => output net s t i) (seq 0 (steps net))) a /\ mean (steps net) a (real (m i))) as HM.
      { intros i. destruct (Hm i) as [a [Ha Hma]]. destruct (ieee_count net s i a F Ha) as [Q1 [Q2 Q3]]. destruct (ieee_mean_mean _ _ _ T0 Q1 Q3 Hma) as [R1 R2].
        exists (real a). split; assumption. }
      destruct (row32 (fun i => real (m i)) y) as [Q1 [Q2 _]]; [|exact Hs|].
      { intros i. destruct (HM i) as [a [Ha Hma]]. destruct (output_bit net s i) as [f Ef]. rewrite (map_ext _ _ Ef) in Ha. apply counted in Ha; [|exact T20]. subst a.
        apply (mean_count _ T0 T20) in Hma; [|apply total_whole|apply bits_total]. apply near_size in Hma. pose proof (bits_total (steps net) f) as BT.
        pose proof (T_pos _ T0) as T1. cbv beta in *. set (c := total _ _) in *. assert (0 <= c / INR (steps net) <= 1) as CT.
        { split; [apply mul_pos; [lra|left; apply Rinv_0_lt_compat; lra]|]. apply Rmult_le_reg_r with (INR (steps net)); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
        assert (grow 2 <= 2) as G2 by (apply grow_2; pose proof u_small; simpl; lra).
        assert (grow 2 * (c / INR (steps net) + 0) <= 2 * 1); [|lra]. pose proof (grow_1 2). apply Rmult_le_compat; lra. }
      split; [exact Q1|]. exists r. split; [exact Hr|]. right. exists (fun i => real (m i)). split; assumption.
  - destruct H as [a [Ha Hm]]. destruct (ieee_bits (steps net) (s (outputs net - 1)%nat k) a T20 Ha) as [Q1 [Q2 Q3]]. destruct (ieee_mean_mean _ _ _ T0 Q1 Q3 Hm) as [R1 R2].
    split; [exact R1|]. exists (real a). split; assumption.
Qed.

(* ---- what Theorem.v may use ------------------------------------------------------------------------------------------------------------------ *)
Theorem ieee_run_run : forall net x s, fit net -> mild net (fun i => real (x i)) -> ieee_run net x s -> run net (fun i => real (x i)) s.
Proof. intros net x s F M H. apply float_run_run; [exact F|]. apply ieee_run_float_run; assumption. Qed.
Theorem ieee_logits_order : forall net x s y k ly lk, fit net -> mild net x -> ieee_logit net s y ly -> ieee_logit net s k lk ->
  slack net y + slack net k < score net s y - score net s k -> Bltb lk ly = true.
Proof.
  intros net x s y k ly lk F M Hy Hk H. destruct (ieee_logit_float_logit net x s y ly F M Hy) as [Fy Ly]. destruct (ieee_logit_float_logit net x s k lk F M Hk) as [Fk Lk].
  rewrite (Bltb_correct 24 128 lk ly Fk Fy). apply Rlt_bool_true. apply (logits_order net s y k _ _ F Ly Lk H).
Qed.

Theorem ieee_logits_least : forall net x s y k ly lk, fit net -> mild net x -> last net <> None -> ieee_logit net s y ly -> ieee_logit net s k lk ->
  slack net y + slack net k <= score net s y - score net s k -> Bleb lk ly = true.
Proof.
  intros net x s y k ly lk F M L Hy Hk H. destruct (ieee_logit_float_logit net x s y ly F M Hy) as [Fy Ly]. destruct (ieee_logit_float_logit net x s k lk F M Hk) as [Fk Lk].
  rewrite (Bleb_correct 24 128 lk ly Fk Fy). apply Rle_bool_true. pose proof (logit_slack net s y _ F L Ly) as A. pose proof (logit_slack net s k _ F L Lk) as B.
  apply Rabs_le_inv in A. apply Rabs_le_inv in B. destruct F as [T0 _]. pose proof (T_pos (steps net) T0). unfold real in *. apply Rmult_le_reg_l with (INR (steps net)); lra.
Qed.

Print Assumptions ieee_run_run.
Print Assumptions ieee_logits_order.
