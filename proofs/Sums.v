(* Sums of binary32 numbers: whatever the order, and with or without fused multiply-adds, a float sum is near the exact one. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core Relative Plus_error.
Require Import Semantics.
Import ListNotations.
Open Scope R_scope.

(* ---- rounding to binary32: nearest, ties to even, with subnormal numbers ------------------------------------------------------------ *)
Definition fl : R -> R := round radix2 (FLT_exp (-149) 24) ZnearestE.
Definition format : R -> Prop := generic_format radix2 (FLT_exp (-149) 24).
Definition eta : R := / 2 ^ 150.                                   (* half of the least positive number *)

Global Instance prec24 : Prec_gt_0 24 := eq_refl.

Lemma u_pos : 0 < u. Proof. apply Rinv_0_lt_compat, pow_lt; lra. Qed.
Lemma u_small : u <= / 16777216. Proof. unfold u. right. f_equal. ring. Qed.
Lemma eta_pos : 0 < eta. Proof. apply Rinv_0_lt_compat, pow_lt; lra. Qed.
Lemma tiny_pos : 0 < tiny. Proof. apply Rinv_0_lt_compat, pow_lt; lra. Qed.
Lemma eta_tiny : 16777216 * eta = tiny.
Proof.
  unfold eta, tiny. replace (2 ^ 150) with (16777216 * 2 ^ 126) by (replace 150%nat with (24 + 126)%nat by reflexivity; rewrite pow_add; ring).
  assert (2 ^ 126 <> 0) by (apply pow_nonzero; lra). field; assumption.
Qed.
Lemma u_bpow : u = / 2 * bpow radix2 (-24 + 1). Proof. unfold u. simpl. lra. Qed.
Lemma half_pow : forall k, / 2 ^ S k = / 2 * / 2 ^ k. Proof. intros k. assert (2 ^ k <> 0) by (apply pow_nonzero; lra). simpl pow. field; assumption. Qed.
Lemma bpow_inv : forall k, bpow radix2 (- Z.of_nat k) = / 2 ^ k.
Proof.
  intros k. rewrite bpow_opp, bpow_powerRZ. f_equal. rewrite <- pow_powerRZ. reflexivity.
Qed.
Lemma eta_bpow : eta = / 2 * bpow radix2 (-149).
Proof. unfold eta. change (-149)%Z with (- Z.of_nat 149)%Z. rewrite bpow_inv. apply (half_pow 149). Qed.
Lemma tiny_bpow : tiny = bpow radix2 (-126). Proof. unfold tiny. change (-126)%Z with (- Z.of_nat 126)%Z. symmetry. apply bpow_inv. Qed.

Lemma format_fl : forall x, format (fl x).
Proof. intros x. unfold format, fl. apply generic_format_round; auto with typeclass_instances. Qed.
Lemma fl_format : forall x, format x -> fl x = x.
Proof. intros x H. unfold fl. apply round_generic; auto with typeclass_instances. Qed.
Lemma format_0 : format 0. Proof. apply generic_format_0. Qed.
Lemma fl_0 : fl 0 = 0. Proof. apply fl_format, format_0. Qed.
Lemma fl_le : forall x y, x <= y -> fl x <= fl y.
Proof. intros x y H. unfold fl. apply round_le; auto with typeclass_instances. Qed.

Lemma fl_near : forall x, Rabs (fl x - x) <= u * Rabs x + eta.
Proof.
  intros x. destruct (error_N_FLT radix2 (-149) 24 ltac:(reflexivity) (fun z => negb (Z.even z)) x) as [d [e [H1 [H2 [_ H3]]]]].
  unfold fl. rewrite H3. replace (x * (1 + d) + e - x) with (d * x + e) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, u_bpow, eta_bpow. apply Rplus_le_compat; [|exact H2].
  apply Rmult_le_compat_r; [apply Rabs_pos|exact H1].
Qed.
Lemma fl_sum : forall a b, format a -> format b -> Rabs (fl (a + b) - (a + b)) <= u * Rabs (a + b).
Proof.
  intros a b Ha Hb. destruct (FLT_plus_error_N_ex radix2 (-149) 24 (fun z => negb (Z.even z)) a b Ha Hb) as [d [H1 H2]].
  unfold fl. rewrite H2. replace ((a + b) * (1 + d) - (a + b)) with (d * (a + b)) by ring. rewrite Rabs_mult.
  apply Rmult_le_compat_r; [apply Rabs_pos|]. eapply Rle_trans; [exact H1|].
  pose proof u_pos as P. change (u_ro radix2 24) with (/ 2 * bpow radix2 (-24 + 1)). rewrite <- u_bpow. apply Rmult_le_reg_r with (1 + u); [lra|].
  unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. assert (0 <= u * u) by (apply Rmult_le_pos; lra). lra.
Qed.
Lemma fl_normal : forall x, x = 0 \/ tiny <= Rabs x -> Rabs (fl x - x) <= u * Rabs x.
Proof.
  intros x [->|H]; [rewrite fl_0, Rminus_0_r, Rabs_R0; lra|].
  rewrite u_bpow. unfold fl. apply relative_error_N_FLT; [reflexivity|]. rewrite tiny_bpow in H. exact H.
Qed.
(* whole numbers are exact up to 2^24 *)
Lemma format_whole : forall z, (Z.abs z <= 2 ^ 24)%Z -> format (IZR z).
Proof.
  intros z H. destruct (Z.eq_dec (Z.abs z) (2 ^ 24)) as [E|E].
  - assert (format (IZR (2 ^ 24))) as P by (change (IZR (2 ^ 24)) with (bpow radix2 24); apply generic_format_FLT_bpow; [apply prec24|lia]).
    destruct (Z.abs_spec z) as [[_ A]|[_ A]]; rewrite A in E.
    + rewrite E. exact P.
    + replace z with (- (2 ^ 24))%Z by lia. rewrite opp_IZR. apply generic_format_opp. exact P.
  - apply generic_format_FLT. exists (Float radix2 z 0); [unfold F2R; simpl; ring|simpl; lia|simpl; lia].
Qed.

(* ---- near: a is A up to k relative errors on terms of moduli M, and e of underflow ---------------------------------------------------- *)
Definition grow (k : nat) : R := (1 + u) ^ k.
Definition near (k : nat) (e M a A : R) : Prop := Rabs A <= M /\ 0 <= e /\ Rabs (a - A) <= (grow k - 1) * M + grow k * e.

Lemma grow_S : forall k, grow (S k) = grow k * (1 + u). Proof. intros k. unfold grow. simpl. ring. Qed.
Lemma grow_1 : forall k, 1 <= grow k. Proof. intros k. apply pow_R1_Rle. pose proof u_pos. lra. Qed.
Lemma grow_le : forall j k, (j <= k)%nat -> grow j <= grow k. Proof. intros j k H. apply Rle_pow; [pose proof u_pos; lra|exact H]. Qed.
Lemma grow_plus : forall j k, grow (j + k) = grow j * grow k. Proof. intros j k. apply pow_add. Qed.

Lemma mul_pos : forall a b, 0 <= a -> 0 <= b -> 0 <= a * b. Proof. intros. apply Rmult_le_pos; assumption. Qed.

Lemma near_size : forall k e M a A, near k e M a A -> Rabs a <= grow k * (M + e).
Proof.
  intros k e M a A [H1 [H2 H3]]. replace a with (A + (a - A)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma near_weaken : forall k k' e e' M M' a A, near k e M a A -> (k <= k')%nat -> e <= e' -> M <= M' -> near k' e' M' a A.
Proof.
  intros k k' e e' M M' a A [H1 [H2 H3]] K E L. split; [lra|]. split; [lra|]. eapply Rle_trans; [exact H3|].
  pose proof (grow_1 k). pose proof (grow_le k k' K). pose proof (Rabs_pos A).
  apply Rplus_le_compat; apply Rmult_le_compat; lra.
Qed.
Lemma near_refl : forall M a, Rabs a <= M -> near 0 0 M a a.
Proof. intros M a H. split; [exact H|]. split; [lra|]. unfold grow. simpl. replace (a - a) with 0 by ring. rewrite Rabs_R0. lra. Qed.
Lemma near_exact : forall k a, near k 0 (Rabs a) a a.
Proof. intros k a. apply near_weaken with (k := O) (e := 0) (M := Rabs a); [apply near_refl|lia|..]; lra. Qed.
Lemma near_plus : forall k e1 e2 M1 M2 a b A B, near k e1 M1 a A -> near k e2 M2 b B -> near k (e1 + e2) (M1 + M2) (a + b) (A + B).
Proof.
  intros k e1 e2 M1 M2 a b A B [H1 [H2 H3]] [G1 [G2 G3]]. split; [eapply Rle_trans; [apply Rabs_triang|lra]|]. split; [lra|].
  replace (a + b - (A + B)) with ((a - A) + (b - B)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma near_scale : forall w k e M a A, near k e M a A -> near k (Rabs w * e) (Rabs w * M) (w * a) (w * A).
Proof.
  intros w k e M a A [H1 [H2 H3]]. pose proof (Rabs_pos w).
  split; [rewrite Rabs_mult; apply Rmult_le_compat_l; assumption|]. split; [apply mul_pos; assumption|].
  replace (w * a - w * A) with (w * (a - A)) by ring. rewrite Rabs_mult.
  replace ((grow k - 1) * (Rabs w * M) + grow k * (Rabs w * e)) with (Rabs w * ((grow k - 1) * M + grow k * e)) by ring.
  apply Rmult_le_compat_l; assumption.
Qed.
(* one more rounding, here of modulus e' *)
Lemma near_more : forall k e e' M a A x, near k e M a A -> 0 <= e' -> Rabs (x - a) <= u * Rabs a + e' -> near (S k) (e + e') M x A.
Proof.
  intros k e e' M a A x N E H. pose proof (near_size _ _ _ _ _ N) as S. destruct N as [H1 [H2 H3]]. split; [exact H1|]. split; [lra|].
  replace (x - A) with ((x - a) + (a - A)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite grow_S.
  pose proof u_pos. pose proof (grow_1 k) as G.
  assert (u * Rabs a <= u * (grow k * (M + e))) by (apply Rmult_le_compat_l; lra).
  assert (e' <= grow k * (1 + u) * e').
  { rewrite <- (Rmult_1_l e') at 1. apply Rmult_le_compat_r; [lra|]. assert (0 <= grow k * u) by (apply mul_pos; lra). lra. }
  lra.
Qed.
Lemma near_fl : forall k e M a A, near k e M a A -> near (S k) (e + eta) M (fl a) A.
Proof. intros k e M a A N. apply near_more with a; [exact N|pose proof eta_pos; lra|apply fl_near]. Qed.
Lemma near_rel : forall k e M a A x, near k e M a A -> Rabs (x - a) <= u * Rabs a -> near (S k) e M x A.
Proof. intros k e M a A x N H. rewrite <- (Rplus_0_r e). apply near_more with a; [exact N|lra|lra]. Qed.
(* near what is near *)
Lemma near_trans : forall j k e e' M M' a A' A, near k e M' a A' -> near j e' M A' A -> M' <= grow j * (M + e') -> near (k + j) (e + e') M a A.
Proof.
  intros j k e e' M M' a A' A [H1 [H2 H3]] [G1 [G2 G3]] L. split; [exact G1|]. split; [lra|].
  replace (a - A) with ((a - A') + (A' - A)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite grow_plus.
  pose proof (grow_1 k) as K. pose proof (grow_1 j) as J. pose proof (Rabs_pos A).
  assert ((grow k - 1) * M' <= (grow k - 1) * (grow j * (M + e'))) by (apply Rmult_le_compat_l; lra).
  assert (0 <= grow k * e * (grow j - 1)) by (apply mul_pos; [apply mul_pos; lra|lra]).
  lra.
Qed.

(* gamma: Higham's, with room *)
Lemma grow_gamma : forall k, 2 * (INR k * u) <= 1 -> grow k <= 1 + INR k * u + INR k * u * (INR k * u).
Proof.
  induction k as [|k IH]; intros H; [unfold grow; simpl; lra|]. rewrite grow_S. rewrite S_INR in *. pose proof u_pos. pose proof (pos_INR k).
  assert (grow k * (1 + u) <= (1 + INR k * u + INR k * u * (INR k * u)) * (1 + u)) by (apply Rmult_le_compat_r; [lra|apply IH; lra]).
  set (x := INR k * u) in *. assert (0 <= x) by (apply mul_pos; lra).
  replace ((INR k + 1) * u) with (x + u) in * by (unfold x; ring).
  assert (x * (x * u) <= x * (1 * u)) by (apply Rmult_le_compat_l; [lra|apply Rmult_le_compat_r; lra]).
  assert (0 <= u * u) by (apply mul_pos; lra). lra.
Qed.
Lemma grow_2 : forall k, 2 * (INR k * u) <= 1 -> grow k <= 2.
Proof.
  intros k H. pose proof (grow_gamma k H). pose proof u_pos. pose proof (pos_INR k). set (x := INR k * u) in *.
  assert (0 <= x) by (apply mul_pos; lra). assert (x * x <= / 2 * x) by (apply Rmult_le_compat_r; lra). lra.
Qed.
Lemma near_gamma : forall k e M a A, near k e M a A -> 2 * (INR k * u) <= 1 -> Rabs (a - A) <= gamma k * M + 2 * e.
Proof.
  intros k e M a A [H1 [H2 H3]] H. eapply Rle_trans; [exact H3|]. pose proof (grow_gamma k H) as G. pose proof (grow_2 k H).
  pose proof (Rabs_pos A). unfold gamma. pose proof u_pos. pose proof (pos_INR k). set (x := INR k * u) in *. assert (0 <= x * x) by (apply mul_pos; apply mul_pos; lra).
  apply Rplus_le_compat; apply Rmult_le_compat_r; lra.
Qed.
Lemma gamma_le : forall j k, (j <= k)%nat -> gamma j <= gamma k.
Proof.
  intros j k H. unfold gamma. apply le_INR in H. pose proof u_pos. pose proof (pos_INR j).
  assert (INR j * u <= INR k * u) by (apply Rmult_le_compat_r; lra). assert (0 <= INR j * u) by (apply mul_pos; lra). apply Rmult_le_compat; lra.
Qed.
Lemma gamma_pos : forall k, 0 <= gamma k.
Proof. intros k. unfold gamma. pose proof u_pos. pose proof (pos_INR k). assert (0 <= INR k * u) by (apply mul_pos; lra). apply mul_pos; lra. Qed.

(* ---- sums --------------------------------------------------------------------------------------------------------------------------------- *)
(* summed ps a: a is a float sum of the exact products ps, in some order. Zeros come and go. *)
Inductive summed : list R -> R -> Prop :=
| Empty : summed [] 0
| Product : forall p, summed [p] (fl p)
| Sum : forall ps qs a b, summed ps a -> summed qs b -> summed (ps ++ qs) (fl (a + b))
| Fused : forall ps a p, summed ps a -> summed (ps ++ [p]) (fl (a + p))
| Order : forall ps qs a, Permutation ps qs -> summed ps a -> summed qs a
| Pad : forall ps a, summed ps a -> summed (0 :: ps) a
| Skip : forall ps a, summed (0 :: ps) a -> summed ps a.

Definition zero (p : R) : bool := if Req_EM_T p 0 then true else false.
Definition count (ps : list R) : nat := length (filter (fun p => negb (zero p)) ps).
Definition sum (ps : list R) : R := fold_right Rplus 0 ps.
Definition size (ps : list R) : R := fold_right (fun p acc => Rabs p + acc) 0 ps.

Lemma zero_0 : zero 0 = true. Proof. unfold zero. destruct (Req_EM_T 0 0); [reflexivity|contradiction]. Qed.
Lemma sum_app : forall ps qs, sum (ps ++ qs) = sum ps + sum qs. Proof. induction ps as [|p ps IH]; intros qs; simpl; [ring|rewrite IH; ring]. Qed.
Lemma size_app : forall ps qs, size (ps ++ qs) = size ps + size qs. Proof. induction ps as [|p ps IH]; intros qs; simpl; [ring|rewrite IH; ring]. Qed.
Lemma count_app : forall ps qs, count (ps ++ qs) = (count ps + count qs)%nat. Proof. intros. unfold count. rewrite filter_app, length_app. reflexivity. Qed.
Lemma sum_perm : forall ps qs, Permutation ps qs -> sum ps = sum qs. Proof. induction 1; simpl; lra. Qed.
Lemma size_perm : forall ps qs, Permutation ps qs -> size ps = size qs. Proof. induction 1; simpl; lra. Qed.
Lemma count_cons : forall p ps, count (p :: ps) = ((if zero p then 0 else 1) + count ps)%nat. Proof. intros. unfold count. simpl. destruct (zero p); reflexivity. Qed.
Lemma count_perm : forall ps qs, Permutation ps qs -> count ps = count qs.
Proof. induction 1; rewrite ?count_cons; lia. Qed.
Lemma count_length : forall ps, (count ps <= length ps)%nat. Proof. intros. unfold count. induction ps as [|p ps IH]; simpl; [lia|destruct (negb (zero p)); simpl; lia]. Qed.
Lemma size_pos : forall ps, 0 <= size ps. Proof. induction ps as [|p ps IH]; simpl; [lra|pose proof (Rabs_pos p); lra]. Qed.
Lemma size_sum : forall ps, Rabs (sum ps) <= size ps.
Proof. induction ps as [|p ps IH]; simpl; [rewrite Rabs_R0; lra|eapply Rle_trans; [apply Rabs_triang|lra]]. Qed.
Lemma count_0 : forall ps, count ps = O -> size ps = 0.
Proof.
  induction ps as [|p ps IH]; intros H; [reflexivity|]. rewrite count_cons in H. unfold zero in H. simpl.
  destruct (Req_EM_T p 0) as [->|]; [rewrite Rabs_R0, IH by lia; ring|lia].
Qed.

Lemma summed_format : forall ps a, summed ps a -> format a.
Proof. induction 1; try assumption; try apply format_fl; apply format_0. Qed.

Lemma near_zero : forall M a A, near 0 0 M a A -> M = 0 -> a = 0.
Proof.
  intros M a A N Z. pose proof (near_size _ _ _ _ _ N) as S. rewrite Z in S. unfold grow in S. simpl in S.
  destruct (Req_dec a 0) as [|F]; [assumption|]. pose proof (Rabs_pos_lt a F). lra.
Qed.

Theorem summed_near : forall ps a, summed ps a -> near (count ps) (INR (count ps) * eta) (size ps) a (sum ps).
Proof.
  pose proof eta_pos as E. induction 1 as [|p|ps qs a b A IA B IB|ps a p A IA|ps qs a P A IA|ps a A IA|ps a A IA].
  - unfold count. simpl. rewrite Rmult_0_l. apply near_refl. rewrite Rabs_R0. lra.
  - simpl sum. simpl size. rewrite !Rplus_0_r, count_cons. unfold zero. destruct (Req_EM_T p 0) as [->|].
    + rewrite fl_0. unfold count. simpl. rewrite Rmult_0_l. apply near_refl. lra.
    + unfold count. simpl. rewrite Rmult_1_l. rewrite <- (Rplus_0_l eta). apply near_fl, near_refl. lra.
  - rewrite sum_app, size_app, count_app, plus_INR, Rmult_plus_distr_r.
    destruct (count ps) as [|m] eqn:M; [|destruct (count qs) as [|n] eqn:N].
    + simpl in IA. rewrite Rmult_0_l in IA. pose proof (count_0 ps M) as Z. pose proof (near_zero _ _ _ IA Z) as ->.
      pose proof (size_sum ps) as Q. rewrite Z in *. assert (sum ps = 0) as ->.
      { destruct (Req_dec (sum ps) 0) as [|F]; [assumption|]. pose proof (Rabs_pos_lt _ F). lra. }
      rewrite !Rplus_0_l, fl_format by (eapply summed_format; eassumption). simpl. rewrite Rmult_0_l, Rplus_0_l. exact IB.
    + simpl in IB. rewrite Rmult_0_l in IB. pose proof (count_0 qs N) as Z. pose proof (near_zero _ _ _ IB Z) as ->.
      pose proof (size_sum qs) as Q. rewrite Z in *. assert (sum qs = 0) as ->.
      { destruct (Req_dec (sum qs) 0) as [|F]; [assumption|]. pose proof (Rabs_pos_lt _ F). lra. }
      rewrite !Rplus_0_r, fl_format by (eapply summed_format; eassumption). change (INR 0) with 0. rewrite Rmult_0_l, Rplus_0_r, Nat.add_0_r. exact IA.
    + apply near_weaken with (k := S (Nat.max (S m) (S n))) (e := INR (S m) * eta + INR (S n) * eta) (M := size ps + size qs); try lra; try lia.
      apply near_rel with (a + b); [|apply fl_sum; eapply summed_format; eassumption].
      apply near_plus; eapply near_weaken; try eassumption; try lra; lia.
  - rewrite sum_app, size_app, count_app, plus_INR, Rmult_plus_distr_r. simpl sum. simpl size. rewrite !Rplus_0_r, count_cons. unfold zero.
    destruct (Req_EM_T p 0) as [->|].
    + rewrite Rabs_R0, !Rplus_0_r, fl_format by (eapply summed_format; eassumption). unfold count at 2 4. simpl. rewrite Rmult_0_l, Nat.add_0_r, Rplus_0_r. exact IA.
    + unfold count at 2 4. simpl. rewrite Rmult_1_l, Nat.add_1_r. apply near_fl.
      rewrite <- (Rplus_0_r (INR (count ps) * eta)). apply near_plus; [exact IA|apply near_exact].
  - rewrite <- (sum_perm _ _ P), <- (size_perm _ _ P), <- (count_perm _ _ P). exact IA.
  - rewrite count_cons, zero_0. simpl. rewrite Rabs_R0, !Rplus_0_l. exact IA.
  - rewrite count_cons, zero_0 in IA. simpl in IA. rewrite Rabs_R0, !Rplus_0_l in IA. exact IA.
Qed.

(* whole numbers: no rounding at all *)
Definition whole (p : R) : Prop := exists z, p = IZR z.
Lemma whole_plus : forall a b, whole a -> whole b -> whole (a + b). Proof. intros a b [x ->] [y ->]. exists (x + y)%Z. symmetry. apply plus_IZR. Qed.
Lemma whole_sum : forall ps, Forall whole ps -> whole (sum ps).
Proof. induction 1; simpl; [exists 0%Z; reflexivity|apply whole_plus; assumption]. Qed.
Lemma fl_whole : forall a, whole a -> Rabs a <= 2 ^ 24 -> fl a = a.
Proof.
  intros a [z ->] H. apply fl_format, format_whole. rewrite <- abs_IZR in H. apply le_IZR. eapply Rle_trans; [exact H|].
  right. rewrite pow_IZR. reflexivity.
Qed.
Theorem summed_whole : forall ps a, summed ps a -> Forall whole ps -> size ps <= 2 ^ 24 -> a = sum ps.
Proof.
  induction 1 as [|p|ps qs a b A IA B IB|ps a p A IA|ps qs a P A IA|ps a A IA|ps a A IA]; intros W L.
  - reflexivity.
  - simpl in *. rewrite Rplus_0_r in *. inversion W; subst. apply fl_whole; assumption.
  - apply Forall_app in W as [W1 W2]. pose proof (size_sum (ps ++ qs)) as S. rewrite sum_app, size_app in *. pose proof (size_pos ps). pose proof (size_pos qs).
    rewrite IA, IB by (assumption || lra). apply fl_whole; [apply whole_plus; apply whole_sum; assumption|lra].
  - apply Forall_app in W as [W1 W2]. inversion W2; subst. pose proof (size_sum (ps ++ [p])) as S. rewrite sum_app, size_app in *. simpl sum in *. simpl size in *. rewrite !Rplus_0_r in *.
    pose proof (Rabs_pos p). rewrite IA by (assumption || lra). apply fl_whole; [apply whole_plus; [apply whole_sum|]; assumption|lra].
  - rewrite (sum_perm _ _ (Permutation_sym P)). rewrite <- (size_perm _ _ P) in L. apply IA; [|exact L].
    apply Forall_forall. intros x I. rewrite Forall_forall in W. apply W. apply Permutation_in with ps; assumption.
  - inversion W; subst. simpl in *. rewrite Rabs_R0, Rplus_0_l in L. rewrite Rplus_0_l. auto.
  - simpl in IA. rewrite Rplus_0_l in IA. apply IA; [constructor; [exists 0%Z; reflexivity|exact W]|rewrite Rabs_R0, Rplus_0_l; exact L].
Qed.
