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

Definition ieee_mean (T : nat) (a m : b32) : Prop :=
  exists one t, (finite one /\ real one = 1) /\ (finite t /\ real t = INR T) /\ (m = div a t \/ m = mul a (div one t)).
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
