(* Means over time of numbers that a run makes in several steps: the run may take them of the spikes, of any part, or at the end. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Ways Sums Float IEEE Steps.
Import ListNotations.
Open Scope R_scope.

(* y is a float mean over T steps of the number, whose columns are o t at step t *)
Fixpoint ieee_rest (T : nat) (w : way) (o : nat -> nat -> R) (y : b32) : Prop :=
  (exists z a, (forall t, (t < T)%nat -> ieee_way w (o t) (z t)) /\ ieee_summed (map (fun t => real (z t)) (seq 0 T)) a /\ ieee_mean T a y)
  \/ match w with
     | Given _ => False
     | Made h b parts => exists ys, (fix each (parts : list (D * way)) (ys : list b32) : Prop :=
         match parts, ys with [], [] => True | kw :: parts, y :: ys => ieee_rest T (snd kw) o y /\ each parts ys | _, _ => False end) parts ys /\ ieee_made h b parts ys y
     end.
Fixpoint rest_fit (T : nat) (w : way) : Prop :=
  match w with
  | Given _ => True
  | Made h b parts => step_fit h b parts /\ moduli_of (gathered (resting T) parts) + Rabs (val b) <= 2 ^ 100 /\ fold_right (fun kw P => rest_fit T (snd kw) /\ P) True parts
  end.

Lemma closed_le : forall h B a c, 0 <= B -> (met_parts a <= met_parts c)%nat -> 0 <= moduli_of a <= moduli_of c -> 0 <= errors_of a <= errors_of c ->
  fst (closed h B a) <= fst (closed h B c) /\ snd (closed h B a) <= snd (closed h B c).
Proof.
  intros h B a c HB N M E. unfold closed. cbv zeta. destruct (own_mono h _ _ _ _ B N M HB) as [O1 O2].
  destruct (Req_EM_T (moduli_of a + B) 0); destruct (Req_EM_T (moduli_of c + B) 0); cbn [fst snd]; lra.
Qed.
Lemma gathered_le : forall (g k : way -> R * R) parts, (forall q v, In (q, v) parts -> (0 <= fst (g v) <= fst (k v)) /\ (0 <= snd (g v) <= snd (k v))) ->
  (met_parts (gathered g parts) <= met_parts (gathered k parts))%nat /\ 0 <= moduli_of (gathered g parts) <= moduli_of (gathered k parts)
  /\ 0 <= errors_of (gathered g parts) <= errors_of (gathered k parts).
Proof.
  intros g k. unfold gathered. induction parts as [|[q v] parts IH]; intros H; cbn [fold_right gauge_part met_parts moduli_of errors_of nothing fst snd]; [split; [lia|lra]|].
  destruct (H q v (or_introl eq_refl)) as [A B]. destruct IH as [I1 [I2 I3]]; [intros q' v' I; apply (H q' v'); right; exact I|]. pose proof (Rabs_pos (val q)).
  assert (0 <= Rabs (val q) * fst (g v) <= Rabs (val q) * fst (k v)) by (split; [apply mul_pos; lra|apply Rmult_le_compat_l; lra]).
  assert (0 <= Rabs (val q) * snd (g v) <= Rabs (val q) * snd (k v)) by (split; [apply mul_pos; lra|apply Rmult_le_compat_l; lra]).
  split; [|lra]. apply Nat.add_le_mono; [|exact I1]. unfold heavy. destruct (Req_EM_T (val q * fst (g v)) 0) as [Z|Z]; [lia|]. destruct (Req_EM_T (val q * fst (k v)) 0) as [Y|Y]; [|lia].
  exfalso. apply Z. apply Rmult_integral in Y. destruct Y as [Y|Y]; [rewrite Y; ring|]. replace (fst (g v)) with 0 by lra. ring.
Qed.
Lemma rested_ge : forall T g, 0 <= fst g -> fst g <= fst (rested T g) /\ snd g <= snd (rested T g).
Proof.
  intros T g G. unfold rested. cbv zeta. cbn [fst snd]. pose proof (gamma_pos (T + 2)). pose proof tiny_pos. pose proof (pos_INR (T + 2)).
  assert (0 <= gamma (T + 2) * fst g) by (apply mul_pos; lra). assert (0 <= INR (T + 2) * tiny) by (apply mul_pos; lra). lra.
Qed.
Lemma resting_pos : forall T w, 0 <= fst (resting T w) /\ 0 <= snd (resting T w).
Proof.
  intros T. induction w as [i|h b parts IH] using way_all; cbn [resting].
  - pose proof (rested_ge T (1, 0)) as R0. cbn [fst snd] in R0. specialize (R0 ltac:(lra)). lra.
  - destruct (parts_pos (resting T) parts IH) as [M E]. destruct (closed_pos h (Rabs (val b)) (gathered (resting T) parts) (Rabs_pos _) M E) as [A B].
    pose proof (rested_ge T (closed h (Rabs (val b)) (gathered (resting T) parts)) A). unfold gathered in *. lra.
Qed.
Lemma resting_ge : forall T z, (forall i, Rabs (z i) <= 1) -> forall w, fst (gauge w z) <= fst (resting T w) /\ snd (gauge w z) <= snd (resting T w).
Proof.
  intros T z Z. induction w as [i|h b parts IH] using way_all; cbn [gauge resting].
  - pose proof (rested_ge T (1, 0)) as R0. cbn [fst snd] in *. specialize (R0 ltac:(lra)). specialize (Z i). lra.
  - destruct (gathered_le (fun v => gauge v z) (resting T) parts) as [N [M E]].
    { intros q v I. destruct (IH q v I). destruct (gauge_pos z v). lra. }
    destruct (closed_le h (Rabs (val b)) _ _ (Rabs_pos _) N M E) as [A B]. unfold gathered in A, B.
    destruct (parts_pos (resting T) parts (fun k v _ => resting_pos T v)) as [M' E']. destruct (closed_pos h (Rabs (val b)) _ (Rabs_pos _) M' E') as [C _].
    pose proof (rested_ge T _ C) as R0. unfold gathered in R0. lra.
Qed.
Lemma rest_way_fit : forall T z, (forall i, Rabs (z i) <= 1) -> forall w, rest_fit T w -> way_fit w z.
Proof.
  intros T z Z. induction w as [i|h b parts IH] using way_all; intros H.
  - specialize (Z i). pose proof P_1 as P1. cbn [way_fit]. fold P. lra.
  - destruct H as [SF [M W]]. cbn [way_fit]. split; [exact SF|]. split.
    + destruct (gathered_le (fun v => gauge v z) (resting T) parts) as [_ [L _]]; [|lra]. intros q v I. destruct (resting_ge T z Z v). destruct (gauge_pos z v). lra.
    + clear SF M. induction parts as [|[k v] parts IHp]; cbn [fold_right snd] in *; [exact I|]. destruct W as [W1 W2]. split; [apply (IH k v); [left; reflexivity|exact W1]|].
      apply IHp; [|exact W2]. intros k' v' I. apply (IH k' v'). right. exact I.
Qed.

Section Rest.
Variables (T : nat) (o : nat -> nat -> R).
Hypotheses (T0 : (0 < T)%nat) (T20 : INR T <= 2 ^ 20) (O1 : forall t i, Rabs (o t i) <= 1).
Definition mean_of (w : way) : R := total T (fun t => worth w (o t)) / INR T.

Lemma mean_parts : forall h b parts, mean_of (Made h b parts) = parted mean_of parts + val b.
Proof.
  intros h b parts. unfold mean_of. pose proof (T_pos T T0).
  assert (E : total T (fun t => worth (Made h b parts) (o t)) = parted (fun v => total T (fun t => worth v (o t))) parts + INR T * val b).
  { cbn [worth]. clear. induction T as [|m IH]; [simpl; clear; induction parts as [|[k v] parts IH]; cbn [parted fold_right fst snd] in *; [ring|unfold parted in IH; rewrite Rmult_0_l, Rplus_0_r in *; rewrite <- IH; ring]|].
    rewrite S_INR. cbn [total]. rewrite IH. clear IH.
    assert (A : forall f k, parted (fun v => f v + k v) parts = parted f parts + parted k parts).
    { intros f k. induction parts as [|[q v] parts I]; cbn [parted fold_right fst snd] in *; [ring|]. unfold parted in I. rewrite I. ring. }
    rewrite (A (fun v => total m (fun t => worth v (o t))) (fun v => worth v (o m))). ring. }
  rewrite E. unfold Rdiv. rewrite Rmult_plus_distr_r. f_equal; [|field; lra].
  clear E. induction parts as [|[k v] parts IH]; cbn [parted fold_right fst snd] in *; [ring|]. unfold parted in IH. rewrite Rmult_plus_distr_r, IH. ring.
Qed.
(* a float mean of numbers near their exact ones *)
Lemma mean_good : forall (z : nat -> b32) (A : nat -> R) a y S E, 0 <= S -> S <= 3 * P ->
  (forall t, (t < T)%nat -> finite (z t) /\ Rabs (real (z t)) <= S /\ Rabs (real (z t) - A t) <= E) ->
  ieee_summed (map (fun t => real (z t)) (seq 0 T)) a -> ieee_mean T a y ->
  finite y /\ Rabs (real y) <= fst (rested T (S, E)) /\ Rabs (real y - total T A / INR T) <= snd (rested T (S, E)).
Proof.
  intros z A a y S E S0 SP H Sm Mn. pose proof (T_pos T T0) as T1. pose proof P_1 as P1. pose proof u_pos. pose proof u_small. pose proof eta_pos. pose proof eta_tiny.
  set (q := map (fun t => real (z t)) (seq 0 T)) in *. assert (T20' := T20). rewrite pow_20 in T20'.
  assert (C : (count q <= T)%nat) by (unfold q; rewrite <- (length_seq T 0) at 2; rewrite <- (length_map (fun t => real (z t))); apply count_length).
  assert (U2 : 2 * (INR (T + 2) * u) <= 1).
  { rewrite plus_INR. simpl (INR 2). assert ((INR T + 2) * u <= 1048578 * / 16777216) by (apply Rmult_le_compat; lra). lra. }
  assert (U1 : 2 * (INR (count q) * u) <= 1) by (apply INR_u with (T + 2)%nat; [lia|exact U2]).
  assert (Z : size q <= INR T * S /\ Rabs (sum q - total T A) <= INR T * E /\ Rabs (sum q) <= INR T * S).
  { assert (G : size q <= INR T * S /\ Rabs (sum q - total T A) <= INR T * E).
    { unfold q. clear - H. induction T as [|m IH]; [simpl; rewrite Rminus_0_r, Rabs_R0; lra|]. destruct IH as [I1 I2]; [intros t L; apply H; lia|]. destruct (H m ltac:(lia)) as [_ [B1 B2]].
      rewrite seq_S, map_app, size_app, sum_app, S_INR. cbn [Nat.add map total]. unfold size at 2, sum at 2. cbn [fold_right]. split; [lra|].
      replace (sum (map (fun t => real (z t)) (seq 0 m)) + (real (z m) + 0) - (total m A + A m)) with ((sum (map (fun t => real (z t)) (seq 0 m)) - total m A) + (real (z m) - A m)) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    pose proof (size_sum q). lra. }
  destruct Z as [Z1 [Z2 Z3]]. assert (ZB : INR T * S <= 1048576 * (3 * P)) by (apply Rmult_le_compat; lra).
  destruct (ieee_summed_summed _ _ Sm U1) as [Fa Sa]; [fold q; lra|]. pose proof (summed_size _ _ Sa U1) as Ba. fold q in Ba.
  destruct (ieee_mean_mean T a y T0 Fa ltac:(lra) Mn) as [Fy My]. apply summed_near in Sa. fold q in Sa.
  assert (Na : near T (INR T * eta) (INR T * S) (real a) (sum q)) by (eapply near_weaken; [exact Sa|exact C|apply Rmult_le_compat_r; [lra|apply le_INR, C]|lra]).
  apply (mean_near T T0 T20 _ _ _ _ _ _ Na) in My. apply near_gamma in My; [|exact U2]. pose proof (gamma_pos (T + 2)) as G0.
  replace (INR T * S / INR T) with S in My by (field; lra). replace (INR T * eta / INR T) with eta in My by (field; lra).
  assert (R1 : forall p k, Rabs p <= INR T * k -> Rabs (p / INR T) <= k).
  { intros p k L. unfold Rdiv. rewrite Rabs_mult, (Rabs_pos_eq (/ INR T)) by (left; apply Rinv_0_lt_compat; lra). apply Rmult_le_reg_l with (INR T); [lra|].
    replace (INR T * (Rabs p * / INR T)) with (Rabs p) by (field; lra). exact L. }
  pose proof (R1 _ _ Z3) as Q1. pose proof (R1 _ _ Z2) as Q2. replace ((sum q - total T A) / INR T) with (sum q / INR T - total T A / INR T) in Q2 by (field; lra).
  pose proof tiny_pos. assert (2 * (eta + eta) <= INR (T + 2) * tiny).
  { rewrite plus_INR. simpl (INR 2). assert (1 * tiny <= (INR T + 2) * tiny) by (apply Rmult_le_compat_r; lra). lra. }
  unfold rested. cbv zeta. cbn [fst snd]. split; [exact Fy|]. split.
  - replace (real y) with (real y - sum q / INR T + sum q / INR T) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra.
  - replace (real y - total T A / INR T) with ((real y - sum q / INR T) + (sum q / INR T - total T A / INR T)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Theorem rest_good : forall w y, rest_fit T w -> ieee_rest T w o y -> good (resting T) mean_of w y.
Proof.
  induction w as [i|h b parts IH] using way_all; intros y W H; pose proof P_1 as P1.
  - destruct H as [[z [a [Hz [Ha Hm]]]]|[]]. unfold good. cbn [resting]. apply (mean_good z (fun t => worth (Given i) (o t)) a y 1 0); try assumption; try lra.
    intros t Lt. destruct (Hz t Lt) as [F E]. split; [exact F|]. rewrite E. cbn [worth]. rewrite Rminus_diag, Rabs_R0. split; [apply O1|lra].
  - set (S0 := closed h (Rabs (val b)) (gathered (resting T) parts)). assert (ES : resting T (Made h b parts) = rested T S0) by reflexivity. pose proof W as W0. destruct W as [SF [M W]]. fold P in M.
    destruct (parts_pos (resting T) parts (fun k v _ => resting_pos T v)) as [M' E']. destruct (closed_pos h (Rabs (val b)) _ (Rabs_pos _) M' E') as [C0 C1]. fold S0 in C0, C1.
    destruct H as [[z [a [Hz [Ha Hm]]]]|[ys [E G]]].
    + unfold good. rewrite ES. rewrite (surjective_pairing S0). apply (mean_good z (fun t => worth (Made h b parts) (o t)) a y); try assumption.
      * unfold S0. pose proof (closed_size (resting T) h b parts (fun v => resting_pos T v) SF). lra.
      * intros t Lt. destruct (way_good (o t) (Made h b parts) (z t) (rest_way_fit T (o t) (O1 t) _ W0) (Hz t Lt)) as [F [G1 G2]]. split; [exact F|].
        destruct (gathered_le (fun v => gauge v (o t)) (resting T) parts) as [N1 [N2 N3]].
        { intros q v I. destruct (resting_ge T (o t) (O1 t) v). destruct (gauge_pos (o t) v). lra. }
        destruct (closed_le h (Rabs (val b)) _ _ (Rabs_pos _) N1 N2 N3) as [L1 L2]. fold S0 in L1, L2.
        change (gauge (Made h b parts) (o t)) with (closed h (Rabs (val b)) (gathered (fun v => gauge v (o t)) parts)) in G1, G2. lra.
    + assert (A : Forall2 (fun kw y => good (resting T) mean_of (snd kw) y) parts ys).
      { clear SF M G W0 ES S0 C0 C1 M' E'. revert ys E. induction parts as [|[k v] parts IHp]; intros [|y0 ys] E; try destruct E; [constructor|]. cbn [fold_right snd] in *. destruct W as [W1 W2]. constructor.
        - cbn [snd]. apply (IH k v); [left; reflexivity|exact W1|assumption].
        - apply IHp; [intros k' v' I; apply (IH k' v'); right; exact I|exact W2|assumption]. }
      assert (Q : made_good (resting T) mean_of h b parts y).
      { pose proof SF as [L Q]. destruct h as [|n| |base floor]; cbn [ieee_made] in G.
        + apply (products_near (resting T) mean_of) with ys; assumption.
        + destruct G as [a [G1 G2]]. apply (averaged_near (resting T) mean_of) with ys a; assumption.
        + destruct G as [p [q [-> ->]]]. destruct Q as [B [k1 [v1 [k2 [v2 [-> [K1 K2]]]]]]]. inversion A as [|? ? ? ? G1 A']; subst. inversion A' as [|? ? ? ? G2 A'']; subst.
          apply (joined_near (resting T) mean_of (fun v => resting_pos T v)); assumption.
        + destruct G as [z [_ [F N]]]. destruct Q as [B _]. apply (scaled_near (resting T) mean_of) with ys; assumption. }
      destruct Q as [F [Q1 Q2]]. fold S0 in Q1, Q2. destruct (rested_ge T S0 C0) as [R1 R2]. unfold good. rewrite ES, mean_parts. split; [exact F|]. split; lra.
Qed.
End Rest.
