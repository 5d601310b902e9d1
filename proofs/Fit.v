(* A check that computes for what Float.v, IEEE.v and Reference.v ask of a network and of the box of its inputs. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Ways Sums Float IEEE Steps Rests Runs Reference Dyadic.
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
Definition two24 : Z := (2 ^ 24)%Z.
Definition lowest : Z := (-149)%Z.
Definition huge : D := large 126.
Definition brief (d : D) : bool := Z.ltb (Z.abs (Fnum d)) two24 && Z.leb lowest (Fexp d) && leb (dabs d) huge.
Definition holds (d : D) : bool := if brief d then true else brief (reduce d).

Definition neuron_fits (n : neuron) : bool :=
  leb zero (decay n) && leb (decay n) one && (leb (decay n) zero || leb least_normal (decay n))
  && ltb zero (theta n) && leb (theta n) (large 126) && ltb zero (drop n) && leb (drop n) (large 100).
Definition bound (reach : nat -> option D) (r : row) : option D :=
  fold_right (fun jw acc => match reach (fst jw), acc with Some g, Some a => Some (add (mul (dabs (snd jw)) g) a) | _, _ => None end) (Some (dabs (snd r))) (fst r).
Definition row_fits (reach : nat -> option D) (more : nat) (r : row) : bool :=
  forallb (fun jw => holds (snd jw)) (fst r) && holds (snd r) && Z.leb (2 * Z.of_nat (length (fst r) + more)) (2 ^ 24)
  && match bound reach r with Some a => leb a (large 100) | None => false end.
Definition spiking (_ : nat) : option D := Some one.
(* numbers that are made in several steps: a bound of the modulus, where all is as it should be *)
Definition step_fits (h : how) (b : D) (parts : list (D * way)) : bool :=
  Z.leb (2 * Z.of_nat (length parts + 3)) (2 ^ 24)
  && match h with
     | Products => true
     | Average n => Nat.ltb 0 n && Z.leb (Z.of_nat n) (2 ^ 20) && leb (dabs b) zero && forallb (fun kw => leb (dabs (sub (mul (ofnat n) (fst kw)) one)) (num 1 (-60))) parts
     | Joined => leb (dabs b) zero && match parts with [(k1, _); (k2, _)] => same k1 one && same k2 one | _ => false end
     | Scaled base floor => ltb zero (dabs b) && leb (add (mul (gammaD 17) (dabs base)) (dabs floor)) one && match parts with [_] => true | _ => false end
     end.
Fixpoint way_reach (reach : nat -> option D) (w : way) : option D :=
  match w with
  | Given i => match reach i with Some g => if leb g (large 100) then Some g else None | None => None end
  | Made h b parts =>
      match fold_right (fun kw acc => match way_reach reach (snd kw), acc with Some g, Some a => Some (add (mul (dabs (fst kw)) g) a) | _, _ => None end) (Some (dabs b)) parts with
      | Some t => if step_fits h b parts && leb t (large 100) then Some (add (add t t) one) else None
      | None => None
      end
  end.
Fixpoint rest_fits (T : nat) (w : way) : bool :=
  match w with
  | Given _ => true
  | Made h b parts => step_fits h b parts && match all_parts (restingD T) parts with Some a => leb (add (moduliD a) (dabs b)) (large 100) | None => false end
                      && forallb (fun kw => rest_fits T (snd kw)) parts
  end.
Fixpoint lasts_fit (T : nat) (rows : list row) (ws : list (option way)) : bool :=
  match rows, ws with
  | [], _ => true
  | r :: rows, Some w :: ws => Z.leb (2 * Z.of_nat (length (fst r) + (T + 4))) (2 ^ 24) && rest_fits T w && lasts_fit T rows ws
  | r :: rows, ws => row_fits spiking (T + 4) r && lasts_fit T rows (tl ws)
  end.
Fixpoint rows_fit (reach : nat -> option D) (rows : list row) (ws : list (option way)) : bool :=
  match rows, ws with
  | [], _ => true
  | r :: rows, Some w :: ws =>
      Z.leb (2 * Z.of_nat (length (fst r) + 1)) (2 ^ 24) && match way_reach reach w with Some _ => true | None => false end && rows_fit reach rows ws
  | r :: rows, ws => row_fits reach 1 r && rows_fit reach rows (tl ws)
  end.
Definition layer_fits (reach : nat -> option D) (ws : list (option way)) (layer : list row * list neuron) : bool := rows_fit reach (fst layer) ws && forallb neuron_fits (snd layer).
(* of n inputs none is beyond m *)
Definition widest (boxes : list (D * D)) : D := fold_right (fun b m => dmax (size_of b) m) zero boxes.
(* what layer l reads: k spikes, then the inputs *)
Definition reaches (k n : nat) (m : D) (i : nat) : option D := if Nat.ltb i k then Some one else if Nat.ltb i (k + n) then Some m else None.
Lemma widest_ge : forall boxes i b, nth_error boxes i = Some b -> val (size_of b) <= val (widest boxes).
Proof.
  induction boxes as [|a boxes IH]; intros i b E; [destruct i; discriminate|]. unfold widest in *. cbn [fold_right]. rewrite val_max. destruct i; cbn in E.
  - injection E as ->. apply Rmax_l.
  - eapply Rle_trans; [eapply IH, E|apply Rmax_r].
Qed.
Fixpoint layers_fit (net : network) (n : nat) (m : D) (l : nat) (layers : list (list row * list neuron)) : bool :=
  match layers with
  | [] => true
  | layer :: rest => layer_fits (reaches (spikes net l) n m) (nth l (nested net) []) layer && layers_fit net n m (S l) rest
  end.
Definition fits (net : network) (boxes : list (D * D)) : bool :=
  Z.ltb 0 (Z.of_nat (steps net)) && Z.leb (Z.of_nat (steps net)) (2 ^ 20)
  && layers_fit net (length boxes) (widest boxes) 0 (hidden net)
  && match last net with Some rows => lasts_fit (steps net) rows (nth (outputs net) (nested net) []) | None => true end.

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
Lemma brief_held : forall d, brief d = true -> held d.
Proof.
  intros d H. unfold brief in H. apply andb_true_iff in H as [H B]. apply andb_true_iff in H as [M E].
  apply Z.ltb_lt in M. apply Z.leb_le in E. apply leb_true in B. unfold huge in B. rewrite val_abs, val_large in B by lia. split.
  - apply generic_format_FLT. exists d; [reflexivity|exact M|exact E].
  - eapply Rle_lt_trans; [exact B|]. apply Rlt_pow; [lra|]. vm_compute. lia.
Qed.
Lemma holds_held : forall d, holds d = true -> held d.
Proof.
  intros d H. unfold holds in H. destruct (brief d) eqn:S; [apply brief_held; exact S|]. apply brief_held in H. unfold held in *. rewrite reduce_val in H. exact H.
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

Lemma step_fits_sound : forall h b parts, step_fits h b parts = true -> step_fit h b parts.
Proof.
  intros h b parts H. unfold step_fits in H. apply andb_true_iff in H as [L H]. split.
  - apply Z.leb_le, IZR_le in L. rewrite mult_IZR, <- INR_IZR_INZ in L. change (IZR (2 ^ 24)) with 16777216 in L. pose proof Sums.u_pos. pose proof u_small.
    set (m := INR (length parts + 3)) in *. assert (0 <= m) by apply pos_INR. assert (2 * m * u <= 16777216 * / 16777216); [apply Rmult_le_compat; lra|lra].
  - assert (Z0 : forall d, leb (dabs d) zero = true -> val d = 0).
    { intros d E. apply leb_true in E. rewrite val_abs, val_zero in E. pose proof (Rabs_pos (val d)). destruct (Req_dec (val d) 0) as [|N]; [assumption|apply Rabs_pos_lt in N; lra]. }
    destruct h as [|n| |base floor]; [exact I|..].
    + apply andb_true_iff in H as [H K]. apply andb_true_iff in H as [H B]. apply andb_true_iff in H as [N1 N2]. apply Nat.ltb_lt in N1. apply Z.leb_le, IZR_le in N2.
      rewrite <- INR_IZR_INZ in N2. change (IZR (2 ^ 20)) with 1048576 in N2. split; [exact N1|]. split; [rewrite pow_20; exact N2|]. split; [apply Z0, B|].
      intros k v I. rewrite forallb_forall in K. specialize (K _ I). cbn [fst] in K. apply leb_true in K. rewrite val_abs, val_sub, val_mul, val_ofnat, val_one in K. unfold near_inverse.
      eapply Rle_trans; [exact K|]. rewrite val_num, Rmult_1_l. change (-60)%Z with (- Z.of_nat 60)%Z. rewrite bpow_inv. apply Rle_refl.
    + apply andb_true_iff in H as [B H]. split; [apply Z0, B|]. destruct parts as [|[k1 v1] [|[k2 v2] [|]]]; try discriminate. apply andb_true_iff in H as [K1 K2].
      apply same_val in K1, K2. rewrite val_one in *. exists k1, v1, k2, v2. auto.
    + apply andb_true_iff in H as [H Q]. apply andb_true_iff in H as [B H]. apply ltb_true in B. apply leb_true in H. autorewrite with vals in B, H.
      split; [intros E; rewrite E, Rabs_R0 in B; lra|]. split; [exact H|]. destruct parts as [|[k v] [|]]; try discriminate. exists k, v. reflexivity.
Qed.
Lemma way_reach_sound : forall reach x, (forall i g, reach i = Some g -> Rabs (x i) <= val g) -> forall w d, way_reach reach w = Some d -> way_fit w x /\ fst (gauge w x) <= val d.
Proof.
  intros reach x X. induction w as [i|h b parts IH] using way_all; intros d H; cbn [way_reach way_fit] in *.
  - destruct (reach i) as [g|] eqn:E; [|discriminate]. destruct (leb g (large 100)) eqn:L; [|discriminate]. injection H as <-. apply leb_true in L. rewrite val_large in L by lia.
    change (Z.to_nat 100) with 100%nat in L. specialize (X i g E). cbn [gauge fst]. lra.
  - match type of H with match ?e with _ => _ end = _ => destruct e as [t|] eqn:E; [|discriminate] end. destruct (step_fits h b parts) eqn:SF; [|discriminate].
    destruct (leb t (large 100)) eqn:L; [|discriminate]. injection H as <-. apply step_fits_sound in SF. apply leb_true in L. rewrite val_large in L by lia. change (Z.to_nat 100) with 100%nat in L.
    assert (A : moduli_of (gathered (fun v => gauge v x) parts) + Rabs (val b) <= val t /\ fold_right (fun kw P => way_fit (snd kw) x /\ P) True parts).
    { clear SF L. revert t E. induction parts as [|[k v] parts IHp]; intros t E; cbn [fold_right fst snd] in *.
      - injection E as <-. rewrite val_abs. unfold gathered. cbn [fold_right nothing moduli_of]. split; [lra|exact I].
      - destruct (way_reach reach v) as [g|] eqn:Ev; [|discriminate]. match type of E with match ?e with _ => _ end = _ => destruct e as [a|] eqn:Ea; [|discriminate] end. injection E as <-.
        destruct (IH k v (or_introl eq_refl) g Ev) as [W1 W2]. destruct (IHp (fun k' v' I => IH k' v' (or_intror I)) a eq_refl) as [P1 P2]. split; [|split; assumption].
        unfold gathered in *. cbn [fold_right gauge_part moduli_of fst snd]. rewrite val_add, val_mul, val_abs.
        assert (Rabs (val k) * fst (gauge v x) <= Rabs (val k) * val g) by (apply Rmult_le_compat_l; [apply Rabs_pos|exact W2]). lra. }
    destruct A as [A1 A2]. split; [split; [exact SF|]; split; [lra|exact A2]|]. pose proof (made_size x h b parts SF). rewrite !val_add, val_one. lra.
Qed.
Lemma rest_fits_sound : forall T w, rest_fits T w = true -> rest_fit T w.
Proof.
  intros T. induction w as [i|h b parts IH] using way_all; intros H; [exact I|]. cbn [rest_fits rest_fit] in *. apply andb_true_iff in H as [H F]. apply andb_true_iff in H as [SF L].
  split; [apply step_fits_sound, SF|]. destruct (all_parts (restingD T) parts) as [a|] eqn:E; [|discriminate]. apply leb_true in L. rewrite val_add, val_abs, val_large in L by lia. change (Z.to_nat 100) with 100%nat in L.
  destruct (all_bounds (resting T) (restingD T) parts a) as [_ [B _]]; [intros k v g _; apply restingD_bounds|exact E|]. unfold gathered. split; [lra|].
  rewrite forallb_forall in F. clear - IH F. induction parts as [|[k v] parts IHp]; cbn [fold_right snd]; [exact I|]. split; [apply (IH k v); [left; reflexivity|apply (F (k, v)); left; reflexivity]|].
  apply IHp; [intros k' v' I'; apply (IH k' v'); right; exact I'|intros kw I'; apply F; right; exact I'].
Qed.
Lemma counted_fits : forall n : nat, Z.leb (2 * Z.of_nat n) (2 ^ 24) = true -> 2 * (INR n * u) <= 1.
Proof.
  intros n L. apply Z.leb_le, IZR_le in L. rewrite mult_IZR, <- INR_IZR_INZ in L. change (IZR (2 ^ 24)) with 16777216 in L. pose proof Sums.u_pos. pose proof u_small.
  assert (0 <= INR n) by apply pos_INR. assert (2 * INR n * u <= 16777216 * / 16777216); [apply Rmult_le_compat; lra|lra].
Qed.
Lemma lasts_fit_sound : forall T rows ws j r, lasts_fit T rows ws = true -> nth_error rows j = Some r ->
  2 * (INR (length (fst r) + (T + 4)) * u) <= 1 /\ match nth_error ws j with Some (Some w) => rest_fit T w | _ => row_fits spiking (T + 4) r = true end.
Proof.
  intros T. induction rows as [|r0 rows IH]; intros ws j r H Hr; [destruct j; discriminate|].
  destruct ws as [|[w|] ws]; cbn [lasts_fit tl] in H.
  - apply andb_true_iff in H as [H1 H2]. destruct j as [|j]; cbn [nth_error] in *; [injection Hr as ->; split; [apply (row_fits_sound _ _ r H1)|exact H1]|].
    destruct (IH [] j r H2 Hr) as [A B]. split; [exact A|]. destruct j; exact B.
  - apply andb_true_iff in H as [H H2]. apply andb_true_iff in H as [H0 H1]. destruct j as [|j]; cbn [nth_error] in *; [|exact (IH ws j r H2 Hr)].
    injection Hr as ->. split; [apply counted_fits, H0|apply rest_fits_sound, H1].
  - apply andb_true_iff in H as [H1 H2]. destruct j as [|j]; cbn [nth_error] in *; [injection Hr as ->; split; [apply (row_fits_sound _ _ r H1)|exact H1]|exact (IH ws j r H2 Hr)].
Qed.
Lemma rows_fit_sound : forall reach rows ws j r, rows_fit reach rows ws = true -> nth_error rows j = Some r ->
  2 * (INR (length (fst r) + 1) * u) <= 1 /\
  match nth_error ws j with Some (Some w) => exists d, way_reach reach w = Some d | _ => row_fits reach 1 r = true end.
Proof.
  intros reach. induction rows as [|r0 rows IH]; intros ws j r H Hr; [destruct j; discriminate|].
  assert (C : forall r1 : row, Z.leb (2 * Z.of_nat (length (fst r1) + 1)) (2 ^ 24) = true -> 2 * (INR (length (fst r1) + 1) * u) <= 1).
  { intros r1 L. apply Z.leb_le, IZR_le in L. rewrite mult_IZR, <- INR_IZR_INZ in L. change (IZR (2 ^ 24)) with 16777216 in L. pose proof Sums.u_pos. pose proof u_small.
    set (m := INR (length (fst r1) + 1)) in *. assert (0 <= m) by apply pos_INR. assert (2 * m * u <= 16777216 * / 16777216); [apply Rmult_le_compat; lra|lra]. }
  destruct ws as [|[w|] ws]; cbn [rows_fit tl] in H.
  - apply andb_true_iff in H as [H1 H2]. destruct j as [|j]; cbn [nth_error] in *; [injection Hr as ->; split; [apply (row_fits_sound _ 1 r H1)|exact H1]|].
    destruct (IH [] j r H2 Hr) as [A B]. split; [exact A|]. destruct j; exact B.
  - apply andb_true_iff in H as [H H2]. apply andb_true_iff in H as [H0 H1]. destruct j as [|j]; cbn [nth_error] in *; [|exact (IH ws j r H2 Hr)].
    injection Hr as ->. split; [apply C, H0|]. destruct (way_reach reach w) as [d|]; [exists d; reflexivity|discriminate].
  - apply andb_true_iff in H as [H1 H2]. destruct j as [|j]; cbn [nth_error] in *; [injection Hr as ->; split; [apply (row_fits_sound _ 1 r H1)|exact H1]|exact (IH ws j r H2 Hr)].
Qed.
Lemma layers_fit_at : forall net n m layers k l layer, layers_fit net n m k layers = true -> nth_error layers l = Some layer ->
  layer_fits (reaches (spikes net (k + l)) n m) (nth (k + l) (nested net) []) layer = true.
Proof.
  intros net n m. induction layers as [|y layers IH]; intros k l layer H E; [destruct l; discriminate|]. cbn [layers_fit] in H. apply andb_true_iff in H as [H1 H2].
  destruct l as [|l]; cbn [nth_error] in E; [injection E as ->; rewrite Nat.add_0_r; exact H1|]. replace (k + S l)%nat with (S k + l)%nat by lia. apply IH; assumption.
Qed.
Lemma source_within : forall net boxes x s, (forall i b, nth_error boxes i = Some b -> among b (x i)) ->
  forall l t i g, reaches (spikes net l) (length boxes) (widest boxes) i = Some g -> Rabs (source net x s l t i) <= val g.
Proof.
  intros net boxes x s X. induction l as [|l IH]; intros t i g H; unfold reaches in H; cbn [spikes source] in *.
  - destruct (Nat.ltb_spec i 0); [lia|]. destruct (Nat.ltb_spec i (0 + length boxes)) as [L|]; [|discriminate]. injection H as <-.
    destruct (nth_error boxes i) as [b|] eqn:E; [|apply nth_error_None in E; lia]. eapply Rle_trans; [apply size_ge, X, E|eapply widest_ge, E].
  - destruct (Nat.ltb_spec i (wide net l)) as [W|W].
    + destruct (Nat.ltb_spec i (wide net l + spikes net l)); [|lia]. injection H as <-. rewrite val_one. destruct (s l i t); simpl; [rewrite Rabs_R1|rewrite Rabs_R0]; lra.
    + apply IH. unfold reaches. rewrite <- H. destruct (Nat.ltb_spec i (wide net l + spikes net l)); destruct (Nat.ltb_spec (i - wide net l) (spikes net l)); try lia; [reflexivity|].
      destruct (Nat.ltb_spec i (wide net l + spikes net l + length boxes)); destruct (Nat.ltb_spec (i - wide net l) (spikes net l + length boxes)); try lia; reflexivity.
Qed.

Theorem fits_sound : forall net boxes, fits net boxes = true ->
  fit net /\ (nested net = [] -> single net) /\ forall x, (forall i b, nth_error boxes i = Some b -> among b (x i)) -> mild net x.
Proof.
  intros net boxes H. unfold fits in H. apply andb_true_iff in H as [H HR]. apply andb_true_iff in H as [H HH]. apply andb_true_iff in H as [S0 S1].
  apply Z.ltb_lt in S0. apply Z.leb_le, IZR_le in S1. rewrite <- INR_IZR_INZ in S1. change (IZR (2 ^ 20)) with 1048576 in S1.
  assert (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
    (forall j r, nth_error rows j = Some r -> 2 * (INR (length (fst r) + 1) * u) <= 1 /\
       match way_of net l j with Some w => exists d, way_reach (reaches (spikes net l) (length boxes) (widest boxes)) w = Some d
                               | None => row_fits (reaches (spikes net l) (length boxes) (widest boxes)) 1 r = true end)
    /\ (forall j n, nth_error ns j = Some n -> neuron_fits n = true)) as HN.
  { intros l rows ns L. pose proof (layers_fit_at net _ _ _ 0 l _ HH L) as F. cbn [Nat.add] in F. unfold layer_fits in F. apply andb_true_iff in F as [A B]. cbn [fst snd] in A, B.
    rewrite forallb_forall in B. split; [|intros j n J; apply B; eapply nth_error_In, J]. intros j r J. destruct (rows_fit_sound _ _ _ j r A J) as [R1 R2]. split; [exact R1|].
    unfold way_of. destruct (nth_error (nested net) l) as [ws|] eqn:W.
    - rewrite (nth_error_nth _ _ _ W) in R2. destruct (nth_error ws j) as [[w|]|]; exact R2.
    - apply nth_error_None in W. rewrite nth_overflow in R2 by exact W. destruct j; exact R2. }
  assert (forall rows, last net = Some rows -> forall k r, nth_error rows k = Some r -> 2 * (INR (length (fst r) + (steps net + 4)) * u) <= 1 /\
    match way_of net (outputs net) k with Some w => rest_fit (steps net) w | None => row_fits spiking (steps net + 4) r = true end) as HO.
  { intros rows L k r Hr. rewrite L in HR. destruct (lasts_fit_sound _ _ _ k r HR Hr) as [R1 R2]. split; [exact R1|].
    unfold way_of. destruct (nth_error (nested net) (outputs net)) as [ws|] eqn:W.
    - rewrite (nth_error_nth _ _ _ W) in R2. destruct (nth_error ws k) as [[w|]|]; exact R2.
    - apply nth_error_None in W. rewrite nth_overflow in R2 by exact W. destruct k; exact R2. }
  assert (forall i g, spiking i = Some g -> Rabs ((fun _ => 1) i) <= val g) as SP by (intros i g E; injection E as <-; rewrite val_one, Rabs_R1; lra).
  split; [|split].
  - split; [lia|]. split; [rewrite pow_20; exact S1|]. split.
    + intros l rows ns L. destruct (HN l rows ns L) as [A B]. split; [intros j n J; apply neuron_fits_sound, B with j, J|]. intros j r J. apply (A j r J).
    + intros rows L k r Hr. replace (length (fst r) + steps net + 4)%nat with (length (fst r) + (steps net + 4))%nat by lia. apply (HO rows L k r Hr).
  - intros W. split.
    + intros l rows ns L. destruct (HN l rows ns L) as [A B]. split; apply Forall_forall; intros y I; apply In_nth_error in I as [j J].
      * destruct (A j y J) as [_ Q]. rewrite no_way in Q by exact W. destruct (row_fits_sound _ _ _ Q) as [_ [Wh [V _]]]. split; assumption.
      * apply neuron_fits_sound, B with j, J.
    + intros rows L. apply Forall_forall. intros r I. apply In_nth_error in I as [j J]. destruct (HO rows L j r J) as [_ Q]. rewrite no_way in Q by exact W. destruct (row_fits_sound _ _ _ Q) as [_ [Wh [V _]]]. split; assumption.
  - intros x X. split.
    + intros l rows ns L. destruct (HN l rows ns L) as [A B]. split; [|intros j n J; apply neuron_fits_sound, B with j, J].
      intros j r J s t. cbv zeta. destruct (A j r J) as [_ Q]. destruct (way_of net l j) as [w|].
      * destruct Q as [d Q]. apply (way_reach_sound _ (source net x s l t) (fun i g => source_within net boxes x s X l t i g) w d Q).
      * apply (row_fits_sound _ _ _ Q). intros i g. apply source_within. exact X.
    + intros rows L k r Hr. destruct (HO rows L k r Hr) as [_ Q]. destruct (way_of net (outputs net) k); [exact Q|]. apply (row_fits_sound _ _ _ Q). exact SP.
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
