(* Numbers that a run makes in several steps, in IEEE binary32: each is within what `gauge` says of the exact one. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Ways Sums Float IEEE.
Import ListNotations.
Open Scope R_scope.

(* ---- what a way asks of its constants, and that nothing overflows -------------------------------------------------------------------------- *)
Definition near_inverse (n : nat) (k : D) : Prop := Rabs (INR n * val k - 1) <= / 2 ^ 60.
Definition step_fit (h : how) (b : D) (parts : list (D * way)) : Prop :=
  2 * (INR (length parts + 3) * u) <= 1 /\
  match h with
  | Products => True
  | Average n => (0 < n)%nat /\ INR n <= 2 ^ 20 /\ val b = 0 /\ forall k v, In (k, v) parts -> near_inverse n k
  | Joined => val b = 0 /\ exists k1 v1 k2 v2, parts = [(k1, v1); (k2, v2)] /\ val k1 = 1 /\ val k2 = 1
  | Scaled base floor => val b <> 0 /\ gamma 17 * Rabs (val base) + Rabs (val floor) <= 1 /\ exists k v, parts = [(k, v)]
  end.
Definition gathered (g : way -> R * R) (parts : list (D * way)) : gauged := fold_right (fun kw a => gauge_part (g (snd kw)) (val (fst kw)) a) nothing parts.
Fixpoint way_fit (w : way) (x : nat -> R) : Prop :=
  match w with
  | Given i => Rabs (x i) <= 2 ^ 100
  | Made h b parts => step_fit h b parts /\ moduli_of (gathered (fun v => gauge v x) parts) + Rabs (val b) <= 2 ^ 100 /\ fold_right (fun kw P => way_fit (snd kw) x /\ P) True parts
  end.

(* ---- sums of parts ---------------------------------------------------------------------------------------------------------------------------- *)
Definition weighed (parts : list (D * way)) (ys : list b32) : list R := map (fun ky : D * way * b32 => val (fst (fst ky)) * real (snd ky)) (combine parts ys).
Definition good (g : way -> R * R) (f : way -> R) (v : way) (y : b32) : Prop := finite y /\ Rabs (real y) <= fst (g v) /\ Rabs (real y - f v) <= snd (g v).
Definition made_good (g : way -> R * R) (f : way -> R) (h : how) (b : D) (parts : list (D * way)) (c : b32) : Prop :=
  let s := closed h (Rabs (val b)) (gathered g parts) in finite c /\ Rabs (real c) <= fst s /\ Rabs (real c - (parted f parts + val b)) <= snd s.
Lemma size_0 : forall ps, size ps <= 0 -> count ps = O /\ sum ps = 0.
Proof.
  induction ps as [|p ps IH]; intros H; [split; reflexivity|]. simpl in H. pose proof (Rabs_pos p). pose proof (size_pos ps). destruct IH as [A B]; [lra|].
  assert (p = 0) as -> by (destruct (Req_dec p 0) as [|N]; [assumption|apply Rabs_pos_lt in N; lra]). rewrite count_cons, zero_0. simpl. split; [exact A|lra].
Qed.
Lemma weighed_parts : forall (g : way -> R * R) (f : way -> R) parts ys, Forall2 (fun kw y => good g f (snd kw) y) parts ys -> let a := gathered g parts in
  size (weighed parts ys) <= moduli_of a /\ Rabs (sum (weighed parts ys) - parted (f) parts) <= errors_of a /\ (count (weighed parts ys) <= met_parts a)%nat.
Proof.
  intros g f parts ys H. cbv zeta. induction H as [|[k v] y parts ys [F [S E]] H IH].
  - simpl. unfold Rminus. rewrite Ropp_0, Rplus_0_r, Rabs_R0. repeat split; try lra. unfold count. simpl. lia.
  - unfold weighed, gathered in *. cbn [combine map fold_right fst snd gauge_part moduli_of errors_of met_parts size sum parted] in *. destruct IH as [I1 [I2 I3]].
    cbn [snd] in S, E. split; [|split].
    + rewrite Rabs_mult. assert (Rabs (val k) * Rabs (real y) <= Rabs (val k) * fst (g v)) by (apply Rmult_le_compat_l; [apply Rabs_pos|exact S]). unfold size in *. lra.
    + unfold parted in *. unfold sum in *. match goal with |- Rabs (?p + ?q - (?r + ?t)) <= _ => replace (p + q - (r + t)) with ((p - r) + (q - t)) by ring end.
      eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; [|exact I2]. rewrite <- Rmult_minus_distr_l, Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|exact E].
    + rewrite count_cons. apply Nat.add_le_mono; [|exact I3]. unfold heavy, zero. destruct (Req_EM_T (val k * fst (g v)) 0) as [Z|Z].
      * destruct (Req_EM_T (val k * real y) 0) as [|N]; [lia|]. exfalso. apply N. apply Rmult_integral in Z. destruct Z as [Z|Z]; [rewrite Z; ring|].
        rewrite Z in S. pose proof (Rabs_pos (real y)). destruct (Req_dec (real y) 0) as [R0|R0]; [rewrite R0; ring|apply Rabs_pos_lt in R0; lra].
      * destruct (Req_EM_T _ 0); lia.
Qed.
Lemma met_all : forall (g : way -> R * R) parts, (met_parts (gathered g parts) <= length parts)%nat.
Proof.
  intros g parts. unfold gathered. induction parts as [|kw parts IH]; cbn [fold_right gauge_part met_parts length nothing]; [lia|]. destruct (heavy _ _); lia.
Qed.
Lemma gathered_pos : forall g, (forall v, 0 <= fst (g v) /\ 0 <= snd (g v)) -> forall parts, 0 <= moduli_of (gathered g parts) /\ 0 <= errors_of (gathered g parts).
Proof.
  intros g G parts. unfold gathered. induction parts as [|[k v] parts [I1 I2]]; cbn [fold_right gauge_part moduli_of errors_of nothing fst snd]; [lra|].
  destruct (G v). split; (apply Rplus_le_le_0_compat; [apply Rmult_le_pos; [apply Rabs_pos|assumption]|assumption]).
Qed.
Lemma closed_pos : forall h B a, 0 <= B -> 0 <= moduli_of a -> 0 <= errors_of a -> 0 <= fst (closed h B a) /\ 0 <= snd (closed h B a).
Proof.
  intros h B a HB M E. unfold closed. cbv zeta. destruct (own_mono h (met_parts a) (met_parts a) (moduli_of a) (moduli_of a) B ltac:(lia) ltac:(lra) HB) as [O _]. destruct (Req_EM_T _ 0); cbn [fst snd]; lra.
Qed.
Lemma parts_pos : forall (g : way -> R * R) parts, (forall k v, In (k, v) parts -> 0 <= fst (g v) /\ 0 <= snd (g v)) -> 0 <= moduli_of (gathered g parts) /\ 0 <= errors_of (gathered g parts).
Proof.
  intros g parts H. unfold gathered. induction parts as [|[k v] parts IH]; cbn [fold_right gauge_part moduli_of errors_of nothing fst snd]; [lra|].
  destruct (H k v (or_introl eq_refl)). destruct (IH (fun k' v' I => H k' v' (or_intror I))). split; (apply Rplus_le_le_0_compat; [apply Rmult_le_pos; [apply Rabs_pos|assumption]|assumption]).
Qed.
Lemma gauge_pos : forall x w, 0 <= fst (gauge w x) /\ 0 <= snd (gauge w x).
Proof.
  intros x. induction w as [i|h b parts IH] using way_all; cbn [gauge]; [cbn [fst snd]; pose proof (Rabs_pos (x i)); lra|].
  apply closed_pos; [apply Rabs_pos|..]; apply (parts_pos (fun v => gauge v x) parts IH).
Qed.

(* ---- one step --------------------------------------------------------------------------------------------------------------------------------- *)
Definition rounding (h : how) (B : R) (a : gauged) : R := if Req_EM_T (moduli_of a + B) 0 then 0 else own h (met_parts a) (moduli_of a) B.
Lemma good_made : forall (g : way -> R * R) (f : way -> R) h b parts ys c, Forall2 (fun kw y => good g f (snd kw) y) parts ys -> finite c ->
  Rabs (real c - (sum (weighed parts ys) + val b)) <= rounding h (Rabs (val b)) (gathered g parts) -> made_good g f h b parts c.
Proof.
  intros g f h b parts ys c H F R0. destruct (weighed_parts g f parts ys H) as [S [E _]]. pose proof (size_sum (weighed parts ys)) as Z.
  assert (Q : Rabs (real c) <= moduli_of (gathered g parts) + Rabs (val b) + rounding h (Rabs (val b)) (gathered g parts)
    /\ Rabs (real c - (parted f parts + val b)) <= errors_of (gathered g parts) + rounding h (Rabs (val b)) (gathered g parts)).
  { split.
    - replace (real c) with (real c - (sum (weighed parts ys) + val b) + (sum (weighed parts ys) + val b)) by ring. eapply Rle_trans; [apply Rabs_triang|].
      pose proof (Rabs_triang (sum (weighed parts ys)) (val b)). lra.
    - match goal with |- Rabs (?p - (?r + ?t)) <= _ => replace (p - (r + t)) with (p - (sum (weighed parts ys) + t) + (sum (weighed parts ys) - r)) by ring end.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
  unfold made_good. cbv zeta. split; [exact F|]. unfold closed, rounding in *. cbv zeta.
  destruct (Req_EM_T _ 0) as [Z0|Z0]; cbn [fst snd]; [|exact Q]. lra.
Qed.
Lemma products_near : forall (g : way -> R * R) (f : way -> R) b parts ys c, 2 * (INR (length parts + 3) * u) <= 1 -> moduli_of (gathered g parts) + Rabs (val b) <= P ->
  Forall2 (fun kw y => good g f (snd kw) y) parts ys -> ieee_summed (val b :: weighed parts ys) c -> made_good g f Products b parts c.
Proof.
  intros g f b parts ys c L M H Sm. destruct (weighed_parts g f parts ys H) as [Z [_ N]]. pose proof (met_all g parts) as A. pose proof P_1 as P1. pose proof (Rabs_pos (val b)).
  assert (C : (count (val b :: weighed parts ys) <= met_parts (gathered g parts) + 1)%nat) by (rewrite count_cons; destruct (Sums.zero _); lia).
  assert (C2 : 2 * (INR (met_parts (gathered g parts) + 1) * u) <= 1) by (apply INR_u with (length parts + 3)%nat; [lia|exact L]).
  assert (SZ : size (val b :: weighed parts ys) = Rabs (val b) + size (weighed parts ys)) by reflexivity.
  destruct (ieee_summed_summed _ _ Sm) as [F Q]; [apply INR_u with (2 := C2); lia|rewrite SZ; lra|]. apply good_made with ys; [exact H|exact F|].
  apply summed_near in Q. rewrite SZ in Q. change (sum (val b :: weighed parts ys)) with (val b + sum (weighed parts ys)) in Q. rewrite (Rplus_comm (val b)) in Q. unfold rounding. destruct (Req_EM_T _ 0) as [Z0|Z0].
  - destruct (size_0 (val b :: weighed parts ys)) as [C0 S0]; [rewrite SZ; pose proof (size_pos (weighed parts ys)); lra|]. rewrite C0 in Q.
    change (INR 0) with 0 in Q. rewrite Rmult_0_l in Q. destruct Q as [_ [_ Q]]. unfold grow in Q. simpl pow in Q. pose proof (size_pos (weighed parts ys)). lra.
  - pose proof eta_pos. pose proof eta_tiny. set (m := met_parts (gathered g parts)) in *.
    assert (near (m + 1) (INR (m + 1) * eta) (moduli_of (gathered g parts) + Rabs (val b)) (real c) (sum (weighed parts ys) + val b)) as Q'.
    { eapply near_weaken; [exact Q|exact C| |lra]. apply Rmult_le_compat_r; [lra|apply le_INR, C]. }
    apply near_gamma in Q'; [|exact C2]. eapply Rle_trans; [exact Q'|]. cbn [own]. apply Rplus_le_compat_l.
    replace (m + 2)%nat with (S (m + 1)) by lia. rewrite S_INR. pose proof (pos_INR (m + 1)). pose proof tiny_pos.
    assert (INR (m + 1) * (2 * eta) <= INR (m + 1) * tiny) by (apply Rmult_le_compat_l; lra). lra.
Qed.
Lemma joined_near : forall (g : way -> R * R) (f : way -> R), (forall v, 0 <= fst (g v) /\ 0 <= snd (g v)) -> forall b k1 v1 k2 v2 p q, val b = 0 -> val k1 = 1 -> val k2 = 1 -> let parts := [(k1, v1); (k2, v2)] in
  moduli_of (gathered g parts) + Rabs (val b) <= P -> good g f v1 p -> good g f v2 q -> made_good g f Joined b parts (add p q).
Proof.
  intros g f G0 b k1 v1 k2 v2 p q B K1 K2 parts M Gp Gq. pose proof Gp as [Fp _]. pose proof Gq as [Fq _]. pose proof P_1 as P1.
  assert (H : Forall2 (fun kw y => good g f (snd kw) y) parts [p; q]) by (unfold parts; constructor; [exact Gp|constructor; [exact Gq|constructor]]).
  destruct (weighed_parts g f parts _ H) as [Z _]. assert (S : sum (weighed parts [p; q]) = real p + real q) by (unfold weighed, parts; simpl; rewrite K1, K2; ring).
  pose proof (size_sum (weighed parts [p; q])) as SS. rewrite S in SS. rewrite B, Rabs_R0 in M.
  destruct (add_real p q Fp Fq) as [F E]. { eapply Rle_lt_trans; [apply fl_size|]. lra. }
  apply good_made with [p; q]; [exact H|exact F|]. rewrite S, B, Rplus_0_r, E, Rabs_R0.
  eapply Rle_trans; [apply fl_sum; apply real_format|]. pose proof u_pos. destruct (gathered_pos g G0 parts) as [M0 _].
  assert (u * Rabs (real p + real q) <= u * moduli_of (gathered g parts)) by (apply Rmult_le_compat_l; lra).
  unfold rounding. destruct (Req_EM_T _ 0) as [Z0|Z0]; cbn [own]; [|lra]. rewrite Rplus_0_r in Z0. rewrite Z0 in *. lra.
Qed.
Lemma scaled_near : forall (g : way -> R * R) (f : way -> R) base floor b parts ys c, val b <> 0 -> Forall2 (fun kw y => good g f (snd kw) y) parts ys -> finite c ->
  Rabs (real c - (sum (weighed parts ys) + val b)) <= gamma 17 * (size (weighed parts ys) + Rabs (val base)) + Rabs (val floor) -> made_good g f (Scaled base floor) b parts c.
Proof.
  intros g f base floor b parts ys c B H F N. destruct (weighed_parts g f parts ys H) as [S _]. pose proof (size_pos (weighed parts ys)) as S0. apply good_made with ys; [exact H|exact F|].
  apply Rabs_pos_lt in B. unfold rounding. destruct (Req_EM_T _ 0) as [Z|_]; [lra|]. cbn [own]. pose proof (gamma_pos 17) as G.
  assert (gamma 17 * (size (weighed parts ys) + Rabs (val base)) <= gamma 17 * (moduli_of (gathered g parts) + Rabs (val base))) by (apply Rmult_le_compat_l; lra). lra.
Qed.

Lemma size_real : forall ys, size (map real ys) = fold_right (fun y acc => Rabs (real y) + acc) 0 ys. Proof. induction ys as [|y ys IH]; simpl; [reflexivity|rewrite IH; reflexivity]. Qed.
(* the parts of an average, all of nearly the weight 1/n *)
Lemma alike : forall (g : way -> R * R) (f : way -> R) n parts ys, 1 <= INR n -> (forall k v, In (k, v) parts -> near_inverse n k) -> Forall2 (fun kw y => good g f (snd kw) y) parts ys ->
  let e := / 2 ^ 60 in
  Rabs (sum (map real ys) / INR n - sum (weighed parts ys)) <= e * (size (map real ys) / INR n) /\ (1 - e) * (size (map real ys) / INR n) <= moduli_of (gathered g parts)
  /\ (count (map real ys) <= met_parts (gathered g parts))%nat /\ Forall (fun y => finite y) ys.
Proof.
  intros g f n parts ys N K H. cbv zeta. set (e := / 2 ^ 60). assert (E : 0 < e <= / 2) by (unfold e; split; [apply Rinv_0_lt_compat, pow_lt; lra|apply Rinv_le_contravar; [lra|]; replace 2 with (2 ^ 1) at 1 by ring; apply Rle_pow; [lra|lia]]).
  induction H as [|[k v] y parts ys [F [S G]] H IH].
  - simpl. unfold Rdiv. rewrite !Rmult_0_l, Rminus_0_r, Rabs_R0, !Rmult_0_r. repeat split; try lra; [unfold count; simpl; lia|constructor].
  - destruct IH as [I1 [I2 [I3 I4]]]; [intros k' v' I; apply (K k' v'); right; exact I|]. specialize (K k v (or_introl eq_refl)). unfold near_inverse in K. fold e in K.
    unfold weighed, gathered in *. cbn [combine map fold_right fst snd gauge_part moduli_of errors_of met_parts size sum] in *. set (Q := sum _) in *. set (W := fold_right Rplus 0 (map (fun ky : D * way * b32 => _) (combine parts ys))) in *.
    assert (B : Rabs (real y / INR n - val k * real y) <= e * (Rabs (real y) / INR n)).
    { replace (real y / INR n - val k * real y) with (- ((INR n * val k - 1) * (real y / INR n))) by (field; lra). rewrite Rabs_Ropp, Rabs_mult.
      unfold Rdiv at 1. rewrite Rabs_mult, (Rabs_pos_eq (/ INR n)) by (left; apply Rinv_0_lt_compat; lra). apply Rmult_le_compat_r; [|exact K]. apply Rmult_le_pos; [apply Rabs_pos|left; apply Rinv_0_lt_compat; lra]. }
    assert (KP : (1 - e) * (Rabs (real y) / INR n) <= Rabs (val k) * fst (g v)).
    { apply Rle_trans with (Rabs (val k) * Rabs (real y)); [|apply Rmult_le_compat_l; [apply Rabs_pos|exact S]]. unfold Rdiv. replace ((1 - e) * (Rabs (real y) * / INR n)) with ((1 - e) * / INR n * Rabs (real y)) by ring.
      apply Rmult_le_compat_r; [apply Rabs_pos|]. apply Rabs_le_inv in K. apply Rle_trans with (val k); [|apply Rle_abs].
      apply Rmult_le_reg_l with (INR n); [lra|]. replace (INR n * ((1 - e) * / INR n)) with (1 - e) by (field; lra). lra. }
    split; [|split; [|split]].
    + simpl sum. unfold size. simpl fold_right. fold (size (map real ys)). unfold Rdiv in *. rewrite !Rmult_plus_distr_r, Rmult_plus_distr_l. fold (sum (map real ys)).
      match goal with |- Rabs (?p + ?q - (?r + ?t)) <= _ => replace (p + q - (r + t)) with ((p - r) + (q - t)) by ring end. eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; [exact B|exact I1].
    + unfold size. simpl fold_right. fold (size (map real ys)). unfold Rdiv in *. rewrite Rmult_plus_distr_r, Rmult_plus_distr_l. apply Rplus_le_compat; [exact KP|exact I2].
    + simpl map. rewrite count_cons. apply Nat.add_le_mono; [|exact I3]. unfold heavy, Sums.zero. destruct (Req_EM_T (val k * fst (g v)) 0) as [Z|Z]; [|destruct (Req_EM_T _ 0); lia].
      destruct (Req_EM_T (real y) 0) as [|R0]; [lia|]. exfalso. apply R0. apply Rmult_integral in Z. destruct Z as [Z|Z].
      * rewrite Z, Rmult_0_r in K. replace (0 - 1) with (- (1)) in K by ring. rewrite Rabs_Ropp, Rabs_R1 in K. lra.
      * rewrite Z in S. pose proof (Rabs_pos (real y)). destruct (Req_dec (real y) 0) as [|R1]; [assumption|apply Rabs_pos_lt in R1; lra].
    + constructor; assumption.
Qed.
Lemma gamma_next : forall m, gamma m + u <= gamma (S m).
Proof.
  intros m. unfold gamma. rewrite S_INR. pose proof u_pos. pose proof (pos_INR m). set (a := INR m * u). replace ((INR m + 1) * u) with (a + u) by (unfold a; ring).
  assert (0 <= a) by (apply mul_pos; lra). assert (0 <= a * u) by (apply mul_pos; lra). assert (0 <= u * u) by (apply mul_pos; lra). lra.
Qed.
Lemma gamma_1 : forall m, 2 * (INR m * u) <= 1 -> gamma m <= 1.
Proof.
  intros m H. unfold gamma. pose proof u_pos. pose proof (pos_INR m). set (a := INR m * u) in *. assert (0 <= a) by (apply mul_pos; lra).
  assert (a * (1 + 2 * a) <= / 2 * 2) by (apply Rmult_le_compat; lra). lra.
Qed.
Lemma averaged_near : forall (g : way -> R * R) (f : way -> R) n b parts ys a c, step_fit (Average n) b parts -> moduli_of (gathered g parts) + Rabs (val b) <= P ->
  Forall2 (fun kw y => good g f (snd kw) y) parts ys -> ieee_summed (map real ys) a -> ieee_mean n a c -> made_good g f (Average n) b parts c.
Proof.
  intros g f n b parts ys a c [L [N0 [N20 [B K]]]] M H Sm Mn. pose proof (T_pos n N0) as N1. pose proof P_1 as P1. pose proof u_pos as U. pose proof u_small as U'.
  destruct (alike g f n parts ys N1 K H) as [A1 [A2 [A3 _]]]. pose proof (met_all g parts) as A4. destruct (weighed_parts g f parts ys H) as [W1 _].
  set (e := / 2 ^ 60) in *. assert (E : 0 < e /\ 4 * e <= u).
  { unfold e, u. split; [apply Rinv_0_lt_compat, pow_lt; lra|]. replace (2 ^ 60) with (4 * 2 ^ 58) by ring. rewrite Rinv_mult. assert (/ 2 ^ 58 <= / 2 ^ 24) by (apply Rinv_le_contravar; [apply pow_lt; lra|apply Rle_pow; [lra|lia]]). lra. }
  set (m := met_parts (gathered g parts)) in *. set (Z := size (map real ys)) in *. set (z := Z / INR n) in *. rewrite B, Rabs_R0, Rplus_0_r in M.
  assert (Z0 : 0 <= Z) by apply size_pos. assert (ZE : Z = INR n * z) by (unfold z; field; lra). assert (z0 : 0 <= z) by (apply mul_pos; [exact Z0|left; apply Rinv_0_lt_compat; lra]).
  assert (ZB : Z <= 2097152 * P).
  { rewrite pow_20 in N20. assert (z <= 2 * P). { assert (e * z <= / 2 * z) by (apply Rmult_le_compat_r; lra). lra. } rewrite ZE. replace (2097152 * P) with (1048576 * (2 * P)) by ring. apply Rmult_le_compat; lra. }
  assert (C2 : 2 * (INR (m + 2) * u) <= 1) by (apply INR_u with (length parts + 3)%nat; [lia|exact L]).
  assert (C3 : 2 * (INR (count (map real ys)) * u) <= 1) by (apply INR_u with (m + 2)%nat; [lia|exact C2]).
  destruct (ieee_summed_summed _ _ Sm C3) as [Fa Sa]; [fold Z; lra|]. pose proof (summed_size _ _ Sa C3) as Ba. fold Z in Ba.
  destruct (ieee_mean_mean n a c N0 Fa ltac:(lra) Mn) as [Fc Mc]. apply good_made with ys; [exact H|exact Fc|]. rewrite B, Rplus_0_r, Rabs_R0.
  apply summed_near in Sa. unfold rounding. destruct (Req_EM_T _ 0) as [Q|Q].
  - rewrite Rplus_0_r in Q. rewrite Q in *. assert (z = 0). { assert (e * z <= / 2 * z) by (apply Rmult_le_compat_r; lra). lra. }
    destruct (size_0 (map real ys)) as [C0 S0]; [fold Z; rewrite ZE, H0; lra|]. destruct (size_0 (weighed parts ys)) as [_ S1]; [lra|]. rewrite S1.
    fold Z in Sa. rewrite C0, S0, ZE, H0 in Sa. change (INR 0) with 0 in Sa. rewrite Rmult_0_l, Rmult_0_r in Sa. apply near_zero in Sa; [|reflexivity]. rewrite Sa in Mc.
    assert (real c = 0) as ->. { destruct Mc as [->| ->]; unfold Rdiv; rewrite Rmult_0_l; apply fl_0. } rewrite Rminus_0_r, Rabs_R0. lra.
  - pose proof eta_pos. pose proof eta_tiny. fold Z in Sa.
    assert (near m (INR m * eta) Z (real a) (sum (map real ys))) as Na by (eapply near_weaken; [exact Sa|exact A3|apply Rmult_le_compat_r; [lra|apply le_INR, A3]|lra]).
    apply (mean_near n N0 N20 _ _ _ _ _ _ Na) in Mc. fold z in Mc. apply near_gamma in Mc; [|exact C2].
    assert (INR m * eta / INR n <= INR m * eta). { apply Rmult_le_reg_r with (INR n); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. rewrite Rmult_1_r. assert (0 <= INR m * eta) by (apply mul_pos; [apply pos_INR|lra]).
      rewrite <- (Rmult_1_r (INR m * eta)) at 1. apply Rmult_le_compat_l; lra. }
    replace (real c - sum (weighed parts ys)) with ((real c - sum (map real ys) / INR n) + (sum (map real ys) / INR n - sum (weighed parts ys))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. cbn [own]. fold m. replace (m + 3)%nat with (S (m + 2)) by lia. pose proof (gamma_next (m + 2)) as G. pose proof (gamma_pos (m + 2)) as G0.
    assert (G1 : gamma (S (m + 2)) <= 1) by (apply gamma_1, INR_u with (length parts + 3)%nat; [lia|exact L]).
    assert ((gamma (m + 2) + e) * z <= gamma (S (m + 2)) * moduli_of (gathered g parts)).
    { apply Rle_trans with (gamma (S (m + 2)) * ((1 - e) * z)); [|apply Rmult_le_compat_l; lra]. rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [exact z0|].
      assert (gamma (S (m + 2)) * e <= 1 * e) by (apply Rmult_le_compat_r; lra). lra. }
    rewrite S_INR, plus_INR. simpl (INR 2). pose proof (pos_INR m). pose proof tiny_pos. assert (INR m * (2 * eta) <= INR m * tiny) by (apply Rmult_le_compat_l; lra). lra.
Qed.

(* ---- a way, step by step ----------------------------------------------------------------------------------------------------------------------- *)
(* how a run makes a number of the numbers of its parts *)
Definition ieee_made (h : how) (b : D) (parts : list (D * way)) (ys : list b32) (c : b32) : Prop :=
  match h with
  | Products => ieee_summed (val b :: weighed parts ys) c
  | Average n => exists a, ieee_summed (map real ys) a /\ ieee_mean n a c
  | Joined => exists p q, ys = [p; q] /\ c = add p q
  | Scaled base floor => exists y, ys = [y] /\ finite c /\
      Rabs (real c - (sum (weighed parts ys) + val b)) <= gamma 17 * (size (weighed parts ys) + Rabs (val base)) + Rabs (val floor)    (* assumed: NOTES-float.md *)
  end.
Fixpoint ieee_way (w : way) (x : nat -> R) (c : b32) : Prop :=
  match w with
  | Given i => finite c /\ real c = x i
  | Made h b parts => exists ys, (fix each (parts : list (D * way)) (ys : list b32) : Prop :=
      match parts, ys with [], [] => True | kw :: parts, y :: ys => ieee_way (snd kw) x y /\ each parts ys | _, _ => False end) parts ys /\ ieee_made h b parts ys c
  end.
Definition ieee_amount (o : option way) (r : row) (x : nat -> R) (c : b32) : Prop := match o with None => ieee_summed (products r x) c | Some w => ieee_way w x c end.

Theorem way_good : forall x w c, way_fit w x -> ieee_way w x c -> good (fun v => gauge v x) (fun v => worth v x) w c.
Proof.
  intros x. induction w as [i|h b parts IH] using way_all; intros c W H.
  - destruct H as [F E]. split; [exact F|]. cbn [gauge worth fst snd]. rewrite E, Rminus_diag, Rabs_R0. split; apply Rle_refl.
  - cbn [way_fit] in W. destruct W as [SF [M W]]. cbn [ieee_way] in H. destruct H as [ys [E G]].
    assert (A : Forall2 (fun kw y => good (fun v => gauge v x) (fun v => worth v x) (snd kw) y) parts ys).
    { clear SF M G. revert ys E. induction parts as [|[k v] parts IHp]; intros [|y ys] E; try destruct E; [constructor|]. cbn [fold_right snd] in *. destruct W as [W1 W2]. constructor.
      - cbn [snd]. apply (IH k v); [left; reflexivity|exact W1|assumption].
      - apply IHp; [intros k' v' I; apply (IH k' v'); right; exact I|exact W2|assumption]. }
    pose proof SF as [L Q]. destruct h as [|n| |base floor]; cbn [ieee_made] in G.
    + apply (products_near (fun v => gauge v x) (fun v => worth v x)) with ys; assumption.
    + destruct G as [a [G1 G2]]. apply (averaged_near (fun v => gauge v x) (fun v => worth v x)) with ys a; assumption.
    + destruct G as [p [q [-> ->]]]. destruct Q as [B [k1 [v1 [k2 [v2 [-> [K1 K2]]]]]]]. inversion A as [|? ? ? ? G1 A']; subst. inversion A' as [|? ? ? ? G2 A'']; subst.
      apply (joined_near (fun v => gauge v x) (fun v => worth v x) (gauge_pos x)); assumption.
    + destruct G as [y [_ [F N]]]. destruct Q as [B _]. apply (scaled_near (fun v => gauge v x) (fun v => worth v x)) with ys; assumption.
Qed.
(* the size of what comes out *)
Lemma closed_size : forall (g : way -> R * R) h b parts, (forall v, 0 <= fst (g v) /\ 0 <= snd (g v)) -> step_fit h b parts ->
  fst (closed h (Rabs (val b)) (gathered g parts)) <= 2 * (moduli_of (gathered g parts) + Rabs (val b)) + 1.
Proof.
  intros g h b parts G0 [L Q]. unfold closed. cbv zeta.
  destruct (gathered_pos g G0 parts) as [G _]. pose proof (Rabs_pos (val b)). pose proof (met_all g parts) as A. set (m := met_parts (gathered g parts)) in *. set (mo := moduli_of (gathered g parts)) in *.
  pose proof tiny_pos. pose proof u_pos. pose proof u_small. assert (forall k, (k <= m + 3)%nat -> gamma k <= 1 /\ INR k * tiny <= 1) as small.
  { intros k K. assert (2 * (INR k * u) <= 1) as U by (apply INR_u with (length parts + 3)%nat; [lia|exact L]). split; [apply gamma_1; exact U|].
    assert (tiny <= u) by (unfold tiny, u; apply Rinv_le_contravar; [apply pow_lt; lra|apply Rle_pow; [lra|lia]]). pose proof (pos_INR k).
    assert (INR k * tiny <= INR k * u) by (apply Rmult_le_compat_l; lra). lra. }
  assert (own h m mo (Rabs (val b)) <= mo + Rabs (val b) + 1); [|destruct (Req_EM_T _ 0); cbn [fst]; lra].
  destruct h as [|n| |base floor]; cbn [own].
  - destruct (small (m + 1)%nat ltac:(lia)) as [g1 _]. destruct (small (m + 2)%nat ltac:(lia)) as [_ g2]. assert (gamma (m + 1) * (mo + Rabs (val b)) <= 1 * (mo + Rabs (val b))) by (apply Rmult_le_compat_r; lra). lra.
  - destruct (small (m + 3)%nat ltac:(lia)) as [g1 g2]. assert (gamma (m + 3) * mo <= 1 * mo) by (apply Rmult_le_compat_r; lra). lra.
  - assert (u * mo <= 1 * mo) by (apply Rmult_le_compat_r; lra). lra.
  - destruct Q as [_ [Q _]]. assert (gamma 17 <= 1) by (apply gamma_1; simpl (INR 17); lra). assert (gamma 17 * mo <= 1 * mo) by (apply Rmult_le_compat_r; lra). rewrite Rmult_plus_distr_l. lra.
Qed.
Lemma made_size : forall x h b parts, step_fit h b parts -> fst (gauge (Made h b parts) x) <= 2 * (moduli_of (gathered (fun v => gauge v x) parts) + Rabs (val b)) + 1.
Proof. intros x h b parts L. exact (closed_size (fun v => gauge v x) h b parts (gauge_pos x) L). Qed.
Lemma way_size : forall x w c, way_fit w x -> good (fun v => gauge v x) (fun v => worth v x) w c -> Rabs (real c) <= 3 * P.
Proof.
  intros x [i|h b parts] c W [_ [S _]]; pose proof P_1 as P1; [cbn [gauge fst way_fit] in *; fold P in W; lra|]. destruct W as [L [M _]]. fold P in M.
  pose proof (made_size x h b parts L). lra.
Qed.
