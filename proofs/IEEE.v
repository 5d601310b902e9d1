(* The same with Flocq's IEEE 754 data type: infinities and NaNs are there, and do not come up where moduli stay below 2^100. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core BinarySingleNaN.
Require Import Semantics Sums Float.
Import ListNotations.
Open Scope R_scope.

Global Instance emax128 : Prec_lt_emax 24 128 := eq_refl.
Definition b32 := binary_float 24 128.
Definition real (x : b32) : R := B2R x.
Definition finite (x : b32) : Prop := is_finite x = true.
Definition add (x y : b32) : b32 := Bplus mode_NE x y.
Definition sub (x y : b32) : b32 := Bminus mode_NE x y.
Definition mul (x y : b32) : b32 := Bmult mode_NE x y.
Definition fma (x y z : b32) : b32 := Bfma mode_NE x y z.
Definition div (x y : b32) : b32 := Bdiv mode_NE x y.
Definition nil0 : b32 := B754_zero false.

(* ---- the network on binary32 ------------------------------------------------------------------------------------------------------------- *)
Inductive ieee_summed : list R -> b32 -> Prop :=
| IEmpty : ieee_summed [] nil0
| INumber : forall b, finite b -> ieee_summed [real b] b
| IProduct : forall w x, finite w -> finite x -> ieee_summed [real w * real x] (mul w x)
| ISum : forall ps qs a b, ieee_summed ps a -> ieee_summed qs b -> ieee_summed (ps ++ qs) (add a b)
| IFused : forall ps a w x, finite w -> finite x -> ieee_summed ps a -> ieee_summed (ps ++ [real w * real x]) (fma w x a)
| IOrder : forall ps qs a, Permutation ps qs -> ieee_summed ps a -> ieee_summed qs a
| IPad : forall ps a, ieee_summed ps a -> ieee_summed (0 :: ps) a
| ISkip : forall ps a, ieee_summed (0 :: ps) a -> ieee_summed ps a.

(* a neuron's constants, rounded to binary32 *)
Record constants := { decay32 : b32; theta32 : b32; drop32 : b32 }.
Definition rounded (n : neuron) (k : constants) : Prop :=
  (finite (decay32 k) /\ real (decay32 k) = fl (val (decay n))) /\ (finite (theta32 k) /\ real (theta32 k) = fl (val (theta n)))
  /\ (finite (drop32 k) /\ real (drop32 k) = fl (val (drop n))).
Definition ieee_leaked (h : style) (k : constants) (v0 c : b32) : b32 := if fused h then fma (decay32 k) v0 c else add (mul (decay32 k) v0) c.
Definition ieee_fires (h : style) (k : constants) (v : b32) : bool := if strict h then Bltb (theta32 k) v else Bleb (theta32 k) v.
Definition ieee_after (n : neuron) (k : constants) (v : b32) (s : bool) : b32 :=
  match kind n, s with Zero, true => nil0 | Subtract, true => sub v (drop32 k) | _, _ => v end.
Definition ieee_neuron (h : style) (n : neuron) (k : constants) (v0 c : b32) : bool * b32 :=
  let v := ieee_leaked h k v0 c in let s := ieee_fires h k v in (s, ieee_after n k v s).
Fixpoint ieee_potential (go : b32 -> b32 -> bool * b32) (c : nat -> b32) (t : nat) : b32 :=
  match t with O => nil0 | S t => snd (go (ieee_potential go c t) (c t)) end.

Definition ieee_run (net : network) (x : nat -> b32) (s : trains) : Prop :=
  forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
  forall j r n, nth_error rows j = Some r -> nth_error ns j = Some n ->
  exists h k c, rounded n k
    /\ (l = O -> forall t, c t = c O)
    /\ (forall t, (t < steps net)%nat -> ieee_summed (products r (source (fun i => real (x i)) s l t)) (c t))
    /\ (forall t, (t < steps net)%nat -> s l j t = fst (ieee_neuron h n k (ieee_potential (ieee_neuron h n k) c t) (c t))).

Definition ieee_mean (T : nat) (a m : b32) : Prop :=
  exists one t, (finite one /\ real one = 1) /\ (finite t /\ real t = INR T) /\ (m = div a t \/ m = mul a (div one t)).
Definition ieee_logit (net : network) (s : trains) (k : nat) (y : b32) : Prop :=
  let T := steps net in let o := output net s in
  match last net with
  | Some rows => exists r, nth_error rows k = Some r /\
      ((exists z a, (forall t, (t < T)%nat -> ieee_summed (products r (o t)) (z t)) /\ ieee_summed (map (fun t => real (z t)) (seq 0 T)) a /\ ieee_mean T a y)
       \/ (exists m, (forall i, exists a, ieee_summed (map (fun t => o t i) (seq 0 T)) a /\ ieee_mean T a (m i)) /\ ieee_summed (products r (fun i => real (m i))) y))
  | None => exists a, ieee_summed (map (fun t => o t k) (seq 0 T)) a /\ ieee_mean T a y
  end.

(* nothing comes near to overflow *)
Definition mild (net : network) (x : nat -> R) : Prop :=
  (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
     (forall j r, nth_error rows j = Some r -> moduli (fst r) (match l with O => x | S _ => fun _ => 1 end) + Rabs (val (snd r)) <= 2 ^ 100)
     /\ (forall j n, nth_error ns j = Some n -> val (drop n) <= 2 ^ 100))
  /\ (forall rows, last net = Some rows -> forall k r, nth_error rows k = Some r -> moduli (fst r) (fun _ => 1) + Rabs (val (snd r)) <= 2 ^ 100).

(* ---- operations --------------------------------------------------------------------------------------------------------------------------- *)
Definition P : R := 2 ^ 100.
Lemma P_1 : 1 <= P. Proof. apply pow_R1_Rle. lra. Qed.
Lemma top : bpow radix2 128 = 268435456 * P.
Proof.
  change 128%Z with (Z.of_nat (28 + 100)). rewrite bpow_powerRZ, <- pow_powerRZ, pow_add. unfold P. f_equal. simpl. ring.
Qed.
Lemma low : forall x, Rabs x < 268435456 * P -> Rlt_bool (Rabs x) (bpow radix2 128) = true.
Proof. intros x H. rewrite top. apply Rlt_bool_true. exact H. Qed.

Lemma add_real : forall x y, finite x -> finite y -> Rabs (fl (real x + real y)) < 268435456 * P -> finite (add x y) /\ real (add x y) = fl (real x + real y).
Proof.
  intros x y X Y H. pose proof (Bplus_correct 24 128 _ _ mode_NE x y X Y) as C. apply low in H. unfold fl, real in H. change (SpecFloat.fexp 24 128) with (FLT_exp (-149) 24) in C.
  simpl round_mode in C. rewrite H in C. destruct C as [C1 [C2 _]]. split; assumption.
Qed.
Lemma sub_real : forall x y, finite x -> finite y -> Rabs (fl (real x - real y)) < 268435456 * P -> finite (sub x y) /\ real (sub x y) = fl (real x - real y).
Proof.
  intros x y X Y H. pose proof (Bminus_correct 24 128 _ _ mode_NE x y X Y) as C. apply low in H. unfold fl, real in H. change (SpecFloat.fexp 24 128) with (FLT_exp (-149) 24) in C.
  simpl round_mode in C. rewrite H in C. destruct C as [C1 [C2 _]]. split; assumption.
Qed.
Lemma mul_real : forall x y, finite x -> finite y -> Rabs (fl (real x * real y)) < 268435456 * P -> finite (mul x y) /\ real (mul x y) = fl (real x * real y).
Proof.
  intros x y X Y H. pose proof (Bmult_correct 24 128 _ _ mode_NE x y) as C. apply low in H. unfold fl, real in H. change (SpecFloat.fexp 24 128) with (FLT_exp (-149) 24) in C.
  simpl round_mode in C. rewrite H in C. destruct C as [C1 [C2 _]]. unfold finite in *. rewrite X, Y in C2. split; assumption.
Qed.
Lemma fma_real : forall x y z, finite x -> finite y -> finite z -> Rabs (fl (real x * real y + real z)) < 268435456 * P -> finite (fma x y z) /\ real (fma x y z) = fl (real x * real y + real z).
Proof.
  intros x y z X Y Z H. pose proof (Bfma_correct 24 128 _ _ mode_NE x y z X Y Z) as C. cbv zeta in C. apply low in H. unfold fl, real in H. change (SpecFloat.fexp 24 128) with (FLT_exp (-149) 24) in C.
  simpl round_mode in C. rewrite H in C. destruct C as [C1 [C2 _]]. split; assumption.
Qed.
Lemma div_real : forall x y, finite x -> real y <> 0 -> Rabs (fl (real x / real y)) < 268435456 * P -> finite (div x y) /\ real (div x y) = fl (real x / real y).
Proof.
  intros x y X Y H. pose proof (Bdiv_correct 24 128 _ _ mode_NE x y Y) as C. apply low in H. unfold fl, real in H. change (SpecFloat.fexp 24 128) with (FLT_exp (-149) 24) in C.
  simpl round_mode in C. rewrite H in C. destruct C as [C1 [C2 _]]. unfold finite in *. rewrite X in C2. split; assumption.
Qed.
Lemma real_format : forall x, format (real x).
Proof. intros x. apply (generic_format_B2R 24 128). Qed.

(* ---- sums ---------------------------------------------------------------------------------------------------------------------------------- *)
Lemma fl_size : forall x, Rabs (fl x) <= 2 * Rabs x + 1.
Proof.
  intros x. pose proof (fl_near x) as N. pose proof u_pos. pose proof u_small. pose proof eta_pos. pose proof eta_tiny. pose proof (Rabs_pos x).
  assert (tiny <= 1) by (unfold tiny; rewrite <- Rinv_1; apply Rinv_le_contravar; [lra|apply pow_R1_Rle; lra]).
  replace (fl x) with (x + (fl x - x)) by ring. eapply Rle_trans; [apply Rabs_triang|]. assert (u * Rabs x <= 1 * Rabs x) by (apply Rmult_le_compat_r; lra). lra.
Qed.
Lemma summed_size : forall ps a, summed ps a -> 2 * (INR (count ps) * u) <= 1 -> Rabs a <= 2 * size ps + 1.
Proof.
  intros ps a H L. apply summed_near in H. apply near_size in H. pose proof (grow_2 _ L). pose proof (size_pos ps). pose proof u_pos. pose proof eta_pos. pose proof eta_tiny. pose proof (pos_INR (count ps)).
  assert (0 <= INR (count ps) * eta) by (apply mul_pos; lra).
  assert (eta <= u) by (unfold eta, u; apply Rinv_le_contravar; [apply pow_lt; lra|apply Rle_pow; [lra|lia]]).
  assert (INR (count ps) * eta <= INR (count ps) * u) by (apply Rmult_le_compat_l; lra).
  assert (grow (count ps) * (size ps + INR (count ps) * eta) <= 2 * (size ps + INR (count ps) * eta)) by (apply Rmult_le_compat_r; lra). lra.
Qed.
Theorem ieee_summed_summed : forall ps a, ieee_summed ps a -> 2 * (INR (count ps) * u) <= 1 -> size ps <= 67108864 * P -> finite a /\ summed ps (real a).
Proof.
  pose proof P_1 as P1.
  assert (forall ps qs, 2 * (INR (count (ps ++ qs)) * u) <= 1 -> 2 * (INR (count ps) * u) <= 1 /\ 2 * (INR (count qs) * u) <= 1) as split_count.
  { intros ps qs. rewrite count_app. intros H. split; (eapply INR_u; [|exact H]; lia). }
  induction 1 as [|b F|w x W X|ps qs a b A IA B IB|ps a w x W X A IA|ps qs a E A IA|ps a A IA|ps a A IA]; intros C S.
  - split; [reflexivity|constructor].
  - split; [exact F|]. rewrite <- (fl_format (real b)) at 2 by apply real_format. constructor.
  - pose proof (Product (real w * real x)) as D. pose proof (summed_size _ _ D C). destruct (mul_real w x W X) as [Q1 Q2]; [lra|]. rewrite Q2. split; assumption.
  - destruct (split_count _ _ C) as [C1 C2]. rewrite size_app in S. pose proof (size_pos ps). pose proof (size_pos qs).
    destruct IA as [FA SA]; [assumption|lra|]. destruct IB as [FB SB]; [assumption|lra|]. pose proof (Sum _ _ _ _ SA SB) as D.
    pose proof (summed_size _ _ D C) as Z. rewrite size_app in Z. destruct (add_real a b FA FB) as [Q1 Q2]; [lra|]. rewrite Q2. split; assumption.
  - destruct (split_count _ _ C) as [C1 _]. rewrite size_app in S. pose proof (size_pos ps). pose proof (size_pos [real w * real x]).
    destruct IA as [FA SA]; [assumption|lra|]. pose proof (Fused _ _ (real w * real x) SA) as D.
    pose proof (summed_size _ _ D C) as Z. rewrite size_app in Z. rewrite Rplus_comm in D, Z. destruct (fma_real w x a W X FA) as [Q1 Q2]; [lra|]. rewrite Q2. split; assumption.
  - rewrite <- (count_perm _ _ E) in C. rewrite <- (size_perm _ _ E) in S. destruct (IA C S). split; [assumption|]. apply Order with ps; assumption.
  - rewrite count_cons, zero_0 in C. simpl in S. rewrite Rabs_R0, Rplus_0_l in S. destruct (IA C S). split; [assumption|]. apply Pad. assumption.
  - destruct IA as [F Q]; [rewrite count_cons, zero_0; exact C|simpl; rewrite Rabs_R0, Rplus_0_l; exact S|]. split; [assumption|]. apply Skip. assumption.
Qed.

(* ---- neurons -------------------------------------------------------------------------------------------------------------------------------- *)
Lemma ieee_step : forall h n k v0 c, proper n -> val (decay n) = 0 \/ tiny <= val (decay n) -> val (drop n) <= P -> rounded n k ->
  finite v0 -> finite c -> Rabs (real v0) <= 33554432 * P -> Rabs (real c) <= 3 * P ->
  finite (snd (ieee_neuron h n k v0 c)) /\ fst (ieee_neuron h n k v0 c) = fst (float_neuron h n (real v0) (real c))
  /\ real (snd (ieee_neuron h n k v0 c)) = snd (float_neuron h n (real v0) (real c))
  /\ Rabs (snd (float_neuron h n (real v0) (real c))) <= Rabs (real v0) + 32 * P.
Proof.
  intros h n k v0 c [[D0 D1] [TH DR]] DN DP [[Kd Ed] [[Kt Et] [Kr Er]]] V C BV BC.
  pose proof P_1 as P1. pose proof u_pos as U. pose proof u_small as U'. pose proof (Rabs_pos (real v0)) as V0. pose proof (Rabs_pos (real c)) as C0.
  assert (tiny <= / 8) as TI by (unfold tiny; apply Rle_trans with (/ 2 ^ 3); [apply Rinv_le_contravar; [apply pow_lt; lra|apply Rle_pow; [lra|lia]]|right; f_equal; ring]).
  pose proof tiny_pos.
  assert (0 <= fl (val (decay n)) <= 1) as FD.
  { split; [rewrite <- fl_0; apply fl_le; exact D0|]. rewrite <- (fl_format 1) by (apply (format_whole 1); lia). apply fl_le. exact D1. }
  assert (forall y, 0 <= y <= 1 -> y * Rabs (real v0) <= Rabs (real v0)) as shrink.
  { intros y Y. rewrite <- (Rmult_1_l (Rabs (real v0))) at 2. apply Rmult_le_compat_r; lra. }
  (* the potential *)
  pose proof (leaked_slip h n (real v0) (real c) D0 DN) as L. unfold slip in L.
  assert (4 * u * (val (decay n) * Rabs (real v0) + Rabs (real c)) <= 9 * P) as L1.
  { pose proof (shrink (val (decay n)) (conj D0 D1)). assert (u * (val (decay n) * Rabs (real v0) + Rabs (real c)) <= / 16777216 * (33554432 * P + 3 * P)).
    { apply Rmult_le_compat; try lra. assert (0 <= val (decay n) * Rabs (real v0)) by (apply mul_pos; lra). lra. } lra. }
  assert (Rabs (leaked h n (real v0) (real c)) <= Rabs (real v0) + 13 * P) as LV.
  { replace (leaked h n (real v0) (real c)) with (val (decay n) * real v0 + real c + (leaked h n (real v0) (real c) - (val (decay n) * real v0 + real c))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. eapply Rle_trans; [apply Rplus_le_compat_r, Rabs_triang|]. rewrite Rabs_mult, (Rabs_pos_eq (val (decay n))) by lra.
    pose proof (shrink (val (decay n)) (conj D0 D1)). lra. }
  assert (finite (ieee_leaked h k v0 c) /\ real (ieee_leaked h k v0 c) = leaked h n (real v0) (real c)) as [IF IE].
  { unfold ieee_leaked, leaked in *. rewrite <- Ed in *. destruct (fused h).
    - apply fma_real; try assumption. lra.
    - assert (Rabs (fl (real (decay32 k) * real v0)) <= 2 * Rabs (real v0) + 1) as M.
      { eapply Rle_trans; [apply fl_size|]. rewrite Rabs_mult, (Rabs_pos_eq (real (decay32 k))) by lra. pose proof (shrink _ FD). lra. }
      destruct (mul_real (decay32 k) v0 Kd V) as [MF ME]; [lra|]. rewrite <- ME. apply add_real; try assumption. rewrite ME. lra. }
  unfold ieee_neuron, float_neuron. cbn [fst snd]. cbv zeta.
  set (iv := ieee_leaked h k v0 c) in *. set (v := leaked h n (real v0) (real c)) in *.
  assert (ieee_fires h k iv = fires h n v) as FE.
  { unfold ieee_fires, fires. rewrite <- Et, <- IE. destruct (strict h); [apply Bltb_correct; assumption|apply Bleb_correct; assumption]. }
  rewrite FE. unfold ieee_after, after. destruct (kind n); destruct (fires h n v); cbn [fst snd].
  - repeat split; try (simpl; rewrite Rabs_R0); try lra.
  - repeat split; try assumption. lra.
  - pose proof (subtracted_lost n v DR) as S. unfold lost in S.
    assert (u * (Rabs v + val (drop n)) <= / 16777216 * (33554432 * P + 13 * P + P)) by (apply Rmult_le_compat; try lra; pose proof (Rabs_pos v); lra).
    assert (Rabs (fl (v - fl (val (drop n)))) <= Rabs (real v0) + 32 * P) as SV.
    { replace (fl (v - fl (val (drop n)))) with (v + - val (drop n) + (fl (v - fl (val (drop n))) - (v - val (drop n)))) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. eapply Rle_trans; [apply Rplus_le_compat_r, Rabs_triang|]. rewrite Rabs_Ropp, (Rabs_pos_eq (val (drop n))) by lra. lra. }
    rewrite <- Er, <- IE in *. destruct (sub_real iv (drop32 k) IF Kr) as [Q1 Q2]; [lra|]. rewrite Q2. repeat split; assumption.
  - repeat split; try assumption. lra.
  - repeat split; try assumption. lra.
  - repeat split; try assumption. lra.
Qed.

Lemma moduli_source : forall x s l t ws, moduli ws (source x s l t) <= moduli ws (match l with O => x | S _ => fun _ => 1 end).
Proof.
  intros x s [|l] t ws; [apply Rle_refl|]. simpl. eapply Rle_trans; [apply moduli_le with (g := 1)|lra].
  intros i. destruct (s l i t); simpl; [rewrite Rabs_R1|rewrite Rabs_R0]; lra.
Qed.
Lemma count_row : forall r x m, (length (fst r) + 1 <= m)%nat -> 2 * (INR m * u) <= 1 -> 2 * (INR (count (products r x)) * u) <= 1.
Proof. intros r x m H L. eapply INR_u; [|exact L]. pose proof (count_products r x). pose proof (met_length (fst r) x). lia. Qed.

Theorem ieee_run_float_run : forall net x s, fit net -> mild net (fun i => real (x i)) -> ieee_run net x s -> float_run net (fun i => real (x i)) s.
Proof.
  intros net x s [T0 [T20 [F _]]] [M _] H l rows ns L j r n Hr Hn. destruct (F l rows ns L) as [Fn Fr]. destruct (Fn j n Hn) as [Pn Dn]. specialize (Fr j r Hr).
  destruct (M l rows ns L) as [Mr Mn]. specialize (Mr j r Hr). specialize (Mn j n Hn). fold P in *.
  destruct (H l rows ns L j r n Hr Hn) as [h [k [c [K [H0 [H1 H2]]]]]]. exists h, (fun t => real (c t)). pose proof P_1 as P1.
  assert (forall t, (t < steps net)%nat -> finite (c t) /\ summed (products r (source (fun i => real (x i)) s l t)) (real (c t)) /\ Rabs (real (c t)) <= 3 * P) as HC.
  { intros t Ht. pose proof (moduli_source (fun i => real (x i)) s l t (fst r)) as MS.
    assert (2 * (INR (count (products r (source (fun i => real (x i)) s l t))) * u) <= 1) as CR by (eapply count_row; [|exact Fr]; lia).
    destruct (ieee_summed_summed _ _ (H1 t Ht) CR) as [Q1 Q2]; [rewrite size_products; lra|]. split; [exact Q1|]. split; [exact Q2|].
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
Lemma ieee_mean_mean : forall T a m, (0 < T)%nat -> finite a -> Rabs (real a) <= 67108864 * P -> ieee_mean T a m -> finite m /\ mean T (real a) (real m).
Proof.
  intros T a m T0 A B [one [t [[O1 O2] [[N1 N2] H]]]]. pose proof (T_pos T T0) as T1. pose proof P_1 as P1.
  assert (0 < / INR T <= 1) as I by (split; [apply Rinv_0_lt_compat; lra|rewrite <- Rinv_1; apply Rinv_le_contravar; lra]).
  assert (real t <> 0) as NZ by (rewrite N2; lra). pose proof (Rabs_pos (real a)). destruct H as [->| ->].
  - destruct (div_real a t A NZ) as [Q1 Q2].
    { rewrite N2. eapply Rle_lt_trans; [apply fl_size|]. unfold Rdiv. rewrite Rabs_mult, (Rabs_pos_eq (/ INR T)) by lra.
      assert (Rabs (real a) * / INR T <= Rabs (real a) * 1) by (apply Rmult_le_compat_l; lra). lra. }
    split; [exact Q1|]. left. rewrite Q2, N2. reflexivity.
  - destruct (div_real one t O1 NZ) as [Q1 Q2].
    { rewrite O2, N2. eapply Rle_lt_trans; [apply fl_size|]. unfold Rdiv. rewrite Rmult_1_l, Rabs_pos_eq by lra. lra. }
    rewrite O2, N2 in Q2. unfold Rdiv in Q2. rewrite Rmult_1_l in Q2.
    assert (0 <= fl (/ INR T) <= 1) as FI by (split; [rewrite <- fl_0; apply fl_le; lra|rewrite <- (fl_format 1) by (apply (format_whole 1); lia); apply fl_le; lra]).
    destruct (mul_real a (div one t) A Q1) as [R1 R2].
    { rewrite Q2. eapply Rle_lt_trans; [apply fl_size|]. rewrite Rabs_mult, (Rabs_pos_eq (fl (/ INR T))) by lra.
      assert (Rabs (real a) * fl (/ INR T) <= Rabs (real a) * 1) by (apply Rmult_le_compat_l; lra). lra. }
    split; [exact R1|]. right. rewrite R2, Q2. reflexivity.
Qed.
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

Lemma ieee_count : forall net s i a, fit net -> ieee_summed (map (fun t => output net s t i) (seq 0 (steps net))) a ->
  finite a /\ summed (map (fun t => output net s t i) (seq 0 (steps net))) (real a) /\ Rabs (real a) <= 67108864 * P.
Proof.
  intros net s i a [T0 [T20 _]] H. pose proof P_1 as P1. pose proof (count_steps (steps net) (fun t => output net s t i) T20) as C.
  assert (size (map (fun t => output net s t i) (seq 0 (steps net))) <= 1048576 * 1) as Z.
  { apply size_steps; [exact T20|lra|]. intros t _. unfold output. destruct (s _ i t); simpl; [rewrite Rabs_R1|rewrite Rabs_R0]; lra. }
  destruct (ieee_summed_summed _ _ H C) as [Q1 Q2]; [lra|]. split; [exact Q1|]. split; [exact Q2|]. pose proof (summed_size _ _ Q2 C). lra.
Qed.

Theorem ieee_logit_float_logit : forall net x s k y, fit net -> mild net x -> ieee_logit net s k y -> finite y /\ float_logit net s k (real y).
Proof.
  intros net x s k y F [_ M] H. pose proof F as [T0 [T20 [_ FL]]]. pose proof P_1 as P1. unfold ieee_logit, float_logit in *. destruct (last net) as [rows|].
  - destruct H as [r [Hr H]]. specialize (M rows eq_refl k r Hr). specialize (FL rows eq_refl k r Hr). fold P in M.
    assert (forall f a, (forall i, Rabs (f i) <= 3) -> ieee_summed (products r f) a -> finite a /\ summed (products r f) (real a) /\ Rabs (real a) <= 7 * P) as row32.
    { intros f a B S. assert (2 * (INR (count (products r f)) * u) <= 1) as C by (eapply count_row; [|exact FL]; lia).
      assert (size (products r f) <= 3 * P) as Z. { rewrite size_products. pose proof (moduli_le (fst r) f 3 B). pose proof (Rabs_pos (val (snd r))). lra. }
      destruct (ieee_summed_summed _ _ S C) as [Q1 Q2]; [lra|]. split; [exact Q1|]. split; [exact Q2|]. pose proof (summed_size _ _ Q2 C). lra. }
    destruct H as [[z [a [Hz [Ha Hm]]]]|[m [Hm Hs]]].
    + assert (forall t, (t < steps net)%nat -> finite (z t) /\ summed (products r (output net s t)) (real (z t)) /\ Rabs (real (z t)) <= 7 * P) as HZ.
      { intros t Ht. apply row32; [|apply Hz; exact Ht]. intros i. unfold output. destruct (s _ i t); simpl; [rewrite Rabs_R1|rewrite Rabs_R0]; lra. }
      pose proof (count_steps (steps net) (fun t => real (z t)) T20) as C.
      assert (size (map (fun t => real (z t)) (seq 0 (steps net))) <= 1048576 * (7 * P)) as Z by (apply size_steps; [exact T20|lra|intros t Ht; apply HZ; exact Ht]).
      destruct (ieee_summed_summed _ _ Ha C) as [Q1 Q2]; [lra|]. pose proof (summed_size _ _ Q2 C) as B.
      destruct (ieee_mean_mean _ _ _ T0 Q1 ltac:(lra) Hm) as [R1 R2]. split; [exact R1|]. exists r. split; [exact Hr|]. left. exists (fun t => real (z t)), (real a).
      split; [intros t Ht; apply HZ; exact Ht|]. split; assumption.
    + assert (forall i, exists a, summed (map (fun t => output net s t i) (seq 0 (steps net))) a /\ mean (steps net) a (real (m i))) as HM.
      { intros i. destruct (Hm i) as [a [Ha Hma]]. destruct (ieee_count net s i a F Ha) as [Q1 [Q2 Q3]]. destruct (ieee_mean_mean _ _ _ T0 Q1 Q3 Hma) as [R1 R2].
        exists (real a). split; assumption. }
      destruct (row32 (fun i => real (m i)) y) as [Q1 [Q2 _]]; [|exact Hs|].
      { intros i. destruct (HM i) as [a [Ha Hma]]. unfold output in Ha. apply counted in Ha; [|exact T20]. subst a.
        apply (mean_count _ T0 T20) in Hma; [|apply total_whole|apply bits_total]. apply near_size in Hma. pose proof (bits_total (steps net) (fun t => s (outputs net - 1)%nat i t)) as BT.
        pose proof (T_pos _ T0) as T1. cbv beta in *. set (c := total _ _) in *. assert (0 <= c / INR (steps net) <= 1) as CT.
        { split; [apply mul_pos; [lra|left; apply Rinv_0_lt_compat; lra]|]. apply Rmult_le_reg_r with (INR (steps net)); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
        assert (grow 2 <= 2) as G2 by (apply grow_2; pose proof u_small; simpl; lra).
        assert (grow 2 * (c / INR (steps net) + 0) <= 2 * 1); [|lra]. pose proof (grow_1 2). apply Rmult_le_compat; lra. }
      split; [exact Q1|]. exists r. split; [exact Hr|]. right. exists (fun i => real (m i)). split; assumption.
  - destruct H as [a [Ha Hm]]. destruct (ieee_count net s k a F Ha) as [Q1 [Q2 Q3]]. destruct (ieee_mean_mean _ _ _ T0 Q1 Q3 Hm) as [R1 R2].
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

Print Assumptions ieee_run_run.
Print Assumptions ieee_logits_order.
