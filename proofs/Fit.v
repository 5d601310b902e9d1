(* A check that computes for what Float.v, IEEE.v and Reference.v ask of a network and of the box of its inputs. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Sums Float IEEE Reference Dyadic.
Import ListNotations.
Open Scope R_scope.

(* ---- a number that binary32 has: without its trailing zeros it is short ------------------------------------------------------------------- *)
Fixpoint strip (p : positive) (e : Z) : positive * Z := match p with xO q => strip q (e + 1) | _ => (p, e) end.
Definition reduce (d : D) : D :=
  let (m, e) := d in
  match m with
  | Z0 => Float radix2 0 0
  | Zpos p => let (q, f) := strip p e in Float radix2 (Zpos q) f
  | Zneg p => let (q, f) := strip p e in Float radix2 (Zneg q) f
  end.
Definition large (k : Z) : D := num 1 k.
Definition holds (d : D) : bool :=
  let (m, e) := reduce d in Z.ltb (Z.abs m) (2 ^ 24) && Z.leb (-149) e && leb (dabs d) (large 126).

Definition neuron_fits (n : neuron) : bool :=
  leb zero (decay n) && leb (decay n) one && (leb (decay n) zero || leb least_normal (decay n))
  && ltb zero (theta n) && leb (theta n) (large 126) && ltb zero (drop n) && leb (drop n) (large 100).
Definition bound (reach : nat -> option D) (r : row) : option D :=
  fold_right (fun jw acc => match reach (fst jw), acc with Some g, Some a => Some (add (mul (dabs (snd jw)) g) a) | _, _ => None end) (Some (dabs (snd r))) (fst r).
Definition row_fits (reach : nat -> option D) (more : nat) (r : row) : bool :=
  forallb (fun jw => holds (snd jw)) (fst r) && holds (snd r) && Z.leb (2 * Z.of_nat (length (fst r) + more)) (2 ^ 24)
  && match bound reach r with Some a => leb a (large 100) | None => false end.
Definition spiking (_ : nat) : option D := Some one.
Definition layer_fits (reach : nat -> option D) (layer : list row * list neuron) : bool := forallb (row_fits reach 1) (fst layer) && forallb neuron_fits (snd layer).
(* of n inputs none is beyond m *)
Definition widest (boxes : list (D * D)) : D := fold_right (fun b m => dmax (size_of b) m) zero boxes.
Definition reaches (n : nat) (m : D) (i : nat) : option D := if Nat.ltb i n then Some m else None.
Lemma widest_ge : forall boxes i b, nth_error boxes i = Some b -> val (size_of b) <= val (widest boxes).
Proof.
  induction boxes as [|a boxes IH]; intros i b E; [destruct i; discriminate|]. unfold widest in *. cbn [fold_right]. rewrite val_max. destruct i; cbn in E.
  - injection E as ->. apply Rmax_l.
  - eapply Rle_trans; [eapply IH, E|apply Rmax_r].
Qed.
Definition fits (net : network) (boxes : list (D * D)) : bool :=
  Z.ltb 0 (Z.of_nat (steps net)) && Z.leb (Z.of_nat (steps net)) (2 ^ 20)
  && match hidden net with [] => true | l :: ls => let n := length boxes in let m := widest boxes in layer_fits (reaches n m) l && forallb (layer_fits spiking) ls end
  && match last net with Some rows => forallb (row_fits spiking (steps net + 4)) rows | None => true end.

(* ---- it is sound ----------------------------------------------------------------------------------------------------------------------------- *)
Lemma strip_val : forall p e, IZR (Zpos (fst (strip p e))) * bpow radix2 (snd (strip p e)) = IZR (Zpos p) * bpow radix2 e.
Proof.
  induction p as [p IH|p IH|]; intros e; simpl; try reflexivity. rewrite IH, bpow_plus, (Pos2Z.inj_xO p), mult_IZR. change (bpow radix2 1) with 2. ring.
Qed.
Lemma reduce_val : forall d, val (reduce d) = val d.
Proof.
  intros [[|p|p] e]; unfold reduce, val, F2R.
  - simpl. ring.
  - pose proof (strip_val p e) as S. destruct (strip p e) as [q f]. exact S.
  - pose proof (strip_val p e) as S. destruct (strip p e) as [q f]. cbn [Fnum Fexp fst snd] in *. rewrite <- !Pos2Z.opp_pos, !opp_IZR, !Ropp_mult_distr_l_reverse, S. reflexivity.
Qed.
Lemma val_large : forall k, (0 <= k)%Z -> val (large k) = 2 ^ Z.to_nat k.
Proof.
  intros k H. unfold large. rewrite val_num, Rmult_1_l. rewrite <- (Z2Nat.id k H) at 1. rewrite bpow_powerRZ, <- pow_powerRZ. reflexivity.
Qed.
Lemma holds_held : forall d, holds d = true -> held d.
Proof.
  intros d H. unfold holds in H. pose proof (reduce_val d) as V. destruct (reduce d) as [m e]. apply andb_true_iff in H as [H B]. apply andb_true_iff in H as [M E].
  apply Z.ltb_lt in M. apply Z.leb_le in E. apply leb_true in B. rewrite val_abs, val_large in B by lia. split.
  - rewrite <- V. apply generic_format_FLT. exists (Float radix2 m e); [reflexivity|exact M|exact E].
  - eapply Rle_lt_trans; [exact B|]. apply Rlt_pow; [lra|]. vm_compute. lia.
Qed.
Lemma neuron_fits_sound : forall n, neuron_fits n = true ->
  (proper n /\ (val (decay n) = 0 \/ tiny <= val (decay n))) /\ val (drop n) <= 2 ^ 100
  /\ Rabs (val (decay n)) <= 2 ^ 126 /\ Rabs (val (theta n)) <= 2 ^ 126 /\ Rabs (val (drop n)) <= 2 ^ 126.
Proof.
  intros n H. unfold neuron_fits in H. repeat (apply andb_true_iff in H as [H ?]).
  repeat match goal with A : leb _ _ = true |- _ => apply leb_true in A | A : ltb _ _ = true |- _ => apply ltb_true in A end.
  rewrite !val_large in * by lia. autorewrite with vals in *.
  match goal with A : (_ || _)%bool = true |- _ => apply orb_true_iff in A; rename A into O end.
  change (Z.to_nat 126) with 126%nat in *. change (Z.to_nat 100) with 100%nat in *.
  assert (1 <= 2 ^ 100) by (apply pow_R1_Rle; lra). assert (2 ^ 100 <= 2 ^ 126) by (apply Rle_pow; [lra|lia]).
  assert (val (decay n) = 0 \/ tiny <= val (decay n)).
  { destruct O as [O|O]; apply leb_true in O; autorewrite with vals in O; [left; lra|right; exact O]. }
  unfold proper. rewrite !Rabs_pos_eq by lra. repeat split; try assumption; lra.
Qed.
Lemma bound_sound : forall reach r x a, bound reach r = Some a -> (forall i g, reach i = Some g -> Rabs (x i) <= val g) -> moduli (fst r) x + Rabs (val (snd r)) <= val a.
Proof.
  intros reach [ws b] x a H X. unfold bound, moduli in *. simpl fst in *. simpl snd in *. revert a H. induction ws as [|[j w] ws IH]; intros a H; simpl in *.
  - injection H as <-. rewrite val_abs. lra.
  - destruct (reach j) as [g|] eqn:G; [|discriminate]. match type of H with match ?t with _ => _ end = _ => destruct t as [a'|] end; [|discriminate]. injection H as <-.
    specialize (IH a' eq_refl). rewrite val_add, val_mul, val_abs. assert (Rabs (val w) * Rabs (x j) <= Rabs (val w) * val g) by (apply Rmult_le_compat_l; [apply Rabs_pos|apply X, G]). lra.
Qed.
Lemma row_fits_sound : forall reach more r, row_fits reach more r = true ->
  2 * (INR (length (fst r) + more) * u) <= 1 /\ Forall (fun jw => held (snd jw)) (fst r) /\ held (snd r)
  /\ (forall x, (forall i g, reach i = Some g -> Rabs (x i) <= val g) -> moduli (fst r) x + Rabs (val (snd r)) <= 2 ^ 100).
Proof.
  intros reach more r H. unfold row_fits in H. apply andb_true_iff in H as [H B]. apply andb_true_iff in H as [H L]. apply andb_true_iff in H as [W V].
  split; [|split; [|split]].
  - apply Z.leb_le, IZR_le in L. rewrite mult_IZR, <- INR_IZR_INZ in L. change (IZR (2 ^ 24)) with 16777216 in L. pose proof Sums.u_pos. pose proof u_small.
    set (m := INR (length (fst r) + more)) in *. assert (2 * m * u <= 16777216 * / 16777216); [|lra]. assert (0 <= m) by apply pos_INR. apply Rmult_le_compat; lra.
  - apply Forall_forall. intros jw I. rewrite forallb_forall in W. apply holds_held, W, I.
  - apply holds_held, V.
  - intros x X. destruct (bound reach r) as [a|] eqn:E; [|discriminate]. pose proof (bound_sound _ _ x _ E X). apply leb_true in B. rewrite val_large in B by lia.
    change (Z.to_nat 100) with 100%nat in B. lra.
Qed.

Theorem fits_sound : forall net boxes, fits net boxes = true ->
  fit net /\ single net /\ forall x, (forall i b, nth_error boxes i = Some b -> among b (x i)) -> mild net x.
Proof.
  intros net boxes H. unfold fits in H. apply andb_true_iff in H as [H HR]. apply andb_true_iff in H as [H HH]. apply andb_true_iff in H as [S0 S1].
  apply Z.ltb_lt in S0. apply Z.leb_le, IZR_le in S1. rewrite <- INR_IZR_INZ in S1. change (IZR (2 ^ 20)) with 1048576 in S1.
  assert (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
    layer_fits (match l with O => reaches (length boxes) (widest boxes) | S _ => spiking end) (rows, ns) = true) as HL.
  { intros l rows ns L. destruct (hidden net) as [|l0 ls]; [destruct l; discriminate|]. apply andb_true_iff in HH as [H0 H1]. destruct l as [|l]; simpl in L.
    - injection L as ->. exact H0.
    - rewrite forallb_forall in H1. apply H1. eapply nth_error_In, L. }
  assert (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
    (forall j r, nth_error rows j = Some r -> row_fits (match l with O => reaches (length boxes) (widest boxes) | S _ => spiking end) 1 r = true) /\ (forall j n, nth_error ns j = Some n -> neuron_fits n = true)) as HN.
  { intros l rows ns L. specialize (HL l rows ns L). apply andb_true_iff in HL as [A B]. simpl in A, B. rewrite forallb_forall in A, B.
    split; intros j ? J; [apply A|apply B]; eapply nth_error_In, J. }
  assert (forall rows, last net = Some rows -> forall k r, nth_error rows k = Some r -> row_fits spiking (steps net + 4) r = true) as HO.
  { intros rows L k r Hr. rewrite L in HR. rewrite forallb_forall in HR. apply HR. eapply nth_error_In, Hr. }
  assert (forall i g, spiking i = Some g -> Rabs ((fun _ => 1) i) <= val g) as SP by (intros i g E; injection E as <-; rewrite val_one, Rabs_R1; lra).
  split; [|split].
  - split; [lia|]. split; [rewrite pow_20; exact S1|]. split.
    + intros l rows ns L. destruct (HN l rows ns L) as [A B]. split; [intros j n J; apply neuron_fits_sound, B with j, J|]. intros j r J. apply (row_fits_sound _ 1 r (A j r J)).
    + intros rows L k r Hr. replace (length (fst r) + steps net + 4)%nat with (length (fst r) + (steps net + 4))%nat by lia. eapply row_fits_sound, HO; eassumption.
  - split.
    + intros l rows ns L. destruct (HN l rows ns L) as [A B]. split; apply Forall_forall; intros y I; apply In_nth_error in I as [j J].
      * destruct (row_fits_sound _ _ _ (A j y J)) as [_ [W [V _]]]. split; assumption.
      * apply neuron_fits_sound, B with j, J.
    + intros rows L. apply Forall_forall. intros r I. apply In_nth_error in I as [j J]. destruct (row_fits_sound _ _ _ (HO rows L j r J)) as [_ [W [V _]]]. split; assumption.
  - intros x X. split.
    + intros l rows ns L. destruct (HN l rows ns L) as [A B]. split; [|intros j n J; apply neuron_fits_sound, B with j, J].
      intros j r J. apply (row_fits_sound _ _ _ (A j r J)). destruct l; [|exact SP].
      intros i g G. unfold reaches in G. destruct (Nat.ltb_spec i (length boxes)) as [I|I]; [|discriminate]. injection G as <-.
      destruct (nth_error boxes i) as [b|] eqn:E; [|apply nth_error_None in E; lia].
      eapply Rle_trans; [apply size_ge, X, E|eapply widest_ge, E].
    + intros rows L k r Hr. apply (row_fits_sound _ _ _ (HO rows L k r Hr)). exact SP.
Qed.

(* ---- the end: what a proof about all runs says of IEEE runs ------------------------------------------------------------------------------------ *)
Theorem decided : forall net boxes y, fits net boxes = true -> forall k,
  (forall x s, (forall i b, nth_error boxes i = Some b -> among b (x i)) -> run net x s -> slack net y + slack net k < score net s y - score net s k) ->
  forall (x : nat -> b32) s ly lk, (forall i b, nth_error boxes i = Some b -> among b (real (x i))) -> ieee_run net x s ->
  ieee_logit net s y ly -> ieee_logit net s k lk -> BinarySingleNaN.Bltb lk ly = true.
Proof.
  intros net boxes y H k C x s ly lk X R Hy Hk. destruct (fits_sound net boxes H) as [F [_ M]]. specialize (M _ X).
  apply (ieee_logits_order net (fun i => real (x i)) s y k ly lk F M Hy Hk). apply (C (fun i => real (x i))); [exact X|]. apply ieee_run_run; assumption.
Qed.

Print Assumptions fits_sound.
Print Assumptions decided.
