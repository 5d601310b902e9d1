(* Numbers that a run makes in several steps (`way`): their exact row, and what their roundings come to, computed from above. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Dyadic.
Import ListNotations.
Open Scope R_scope.

Lemma way_all : forall P : way -> Prop, (forall i, P (Given i)) -> (forall h b parts, (forall k v, In (k, v) parts -> P v) -> P (Made h b parts)) -> forall w, P w.
Proof.
  intros P HG HM. fix self 1. intros [i|h b parts]; [apply HG|]. apply HM. revert parts. fix go 1. intros [|[k0 v0] parts] k v H; [destruct H|].
  destruct H as [H|H]; [injection H as <- <-; apply self|exact (go parts k v H)].
Qed.

(* ---- the exact row of a way ------------------------------------------------------------------------------------------------------------- *)
Fixpoint merge (a : list (nat * D)) : list (nat * D) -> list (nat * D) :=
  fix inner b :=
    match a, b with
    | [], _ => b
    | _, [] => a
    | (i, v) :: a', (j, w) :: b' => if Nat.ltb i j then (i, v) :: merge a' b else if Nat.ltb j i then (j, w) :: inner b' else (i, add v w) :: merge a' b'
    end.
Fixpoint flat (k : D) (w : way) : list (nat * D) :=
  match w with Given i => [(i, k)] | Made _ _ parts => fold_right (fun kw acc => merge (flat (mul k (fst kw)) (snd kw)) acc) [] parts end.
Fixpoint offset (w : way) : D :=
  match w with Given _ => zero | Made _ b parts => fold_right (fun kw acc => add (mul (fst kw) (offset (snd kw))) acc) b parts end.
Definition flatten (w : way) : row := (flat one w, offset w).
Fixpoint same_terms (a b : list (nat * D)) : bool :=
  match a, b with [], [] => true | (i, v) :: a, (j, w) :: b => Nat.eqb i j && same v w && same_terms a b | _, _ => false end.
Fixpoint agree (rows : list row) (ws : list (option way)) : bool :=
  match rows, ws with
  | r :: rows, Some w :: ws => same_terms (fst r) (flat one w) && same (snd r) (offset w) && agree rows ws
  | _ :: rows, None :: ws => agree rows ws
  | _, _ => true
  end.

Lemma weighted_cons : forall j v ws x, weighted ((j, v) :: ws) x = val v * x j + weighted ws x. Proof. reflexivity. Qed.
Lemma weighted_merge : forall a b x, weighted (merge a b) x = weighted a x + weighted b x.
Proof.
  induction a as [|[i v] a IH]; intros b x; [destruct b; cbn; lra|]. induction b as [|[j w] b IHb]; [cbn; lra|].
  change (merge ((i, v) :: a) ((j, w) :: b)) with
    (if Nat.ltb i j then (i, v) :: merge a ((j, w) :: b) else if Nat.ltb j i then (j, w) :: merge ((i, v) :: a) b else (i, add v w) :: merge a b).
  destruct (Nat.ltb_spec i j); [rewrite weighted_cons, IH, !weighted_cons; lra|]. destruct (Nat.ltb_spec j i); [rewrite weighted_cons, IHb, !weighted_cons; lra|].
  assert (i = j) by lia. subst j. rewrite weighted_cons, IH, !weighted_cons, val_add. lra.
Qed.
Lemma flat_worth : forall w k x, weighted (flat k w) x = val k * (worth w x - val (offset w)).
Proof.
  intros w. induction w as [i|h b parts IH] using way_all; intros k x; cbn [flat worth offset]; [rewrite weighted_cons; cbn; rewrite val_zero; lra|].
  induction parts as [|[q v] parts IHp]; cbn [fold_right parted fst snd]; [cbn; lra|].
  rewrite weighted_merge, (IH q v (or_introl eq_refl)), IHp by (intros k' v' I; apply IH with k'; right; exact I). rewrite val_add, !val_mul. unfold parted. lra.
Qed.
Lemma same_val : forall a b, same a b = true -> val a = val b.
Proof. intros a b H. unfold same in H. apply andb_prop in H as [H G]. apply leb_true in H, G. lra. Qed.
Lemma same_terms_weighted : forall a b x, same_terms a b = true -> weighted a x = weighted b x.
Proof.
  induction a as [|[i v] a IH]; intros [|[j w] b] x H; try discriminate; [reflexivity|]. cbn [same_terms] in H. apply andb_prop in H as [H C]. apply andb_prop in H as [A B].
  apply Nat.eqb_eq in A. subst j. apply same_val in B. rewrite !weighted_cons, B, (IH b x C). reflexivity.
Qed.
Lemma agree_worth : forall rows ws j r w x, agree rows ws = true -> nth_error rows j = Some r -> nth_error ws j = Some (Some w) -> worth w x = affine r x.
Proof.
  induction rows as [|r0 rows IH]; intros ws j r w x H Hr Hw; [destruct j; discriminate|]. destruct ws as [|o ws]; [destruct j; discriminate|].
  destruct j as [|j]; cbn [nth_error] in *.
  - injection Hr as ->. injection Hw as ->. cbn [agree] in H. apply andb_prop in H as [H _]. apply andb_prop in H as [A B]. apply same_val in B.
    unfold affine. rewrite (same_terms_weighted _ _ x A), flat_worth, B, val_one. lra.
  - apply (IH ws j r w x); try assumption. cbn [agree] in H. destruct o; [apply andb_prop in H as [_ H]|]; exact H.
Qed.

(* ---- a list with a quick way to each of its numbers ---------------------------------------------------------------------------------------- *)
Inductive trie := Tip | Node (d : D) (odd even : trie).
Fixpoint find (i : nat) (t : trie) : option D :=
  match t, i with
  | Tip, _ => None
  | Node d _ _, O => Some d
  | Node _ a b, S i => if Nat.eqb (Nat.modulo i 2) 0 then find (Nat.div i 2) a else find (Nat.div i 2) b
  end.
Fixpoint halves {X} (l : list X) : list X * list X :=              (* those at even places, those at odd places *)
  match l with [] => ([], []) | x :: l => let (a, b) := halves l in (x :: b, a) end.
Fixpoint plant (fuel : nat) (l : list D) : trie :=
  match fuel, l with S fuel, x :: l => let (a, b) := halves l in Node x (plant fuel a) (plant fuel b) | _, _ => Tip end.
Definition deepest : nat := 40.

Lemma halves_spec : forall X (l : list X) k, nth_error (fst (halves l)) k = nth_error l (2 * k) /\ nth_error (snd (halves l)) k = nth_error l (2 * k + 1).
Proof.
  intros X. induction l as [|x l IH]; intros k; [cbn; destruct k; split; destruct (_ + _)%nat; reflexivity|]. cbn [halves]. destruct (halves l) as [a b] eqn:E. cbn [fst snd] in *. split.
  - destruct k as [|k]; [reflexivity|]. replace (2 * S k)%nat with (S (2 * k + 1)) by lia. cbn [nth_error]. apply IH.
  - replace (2 * k + 1)%nat with (S (2 * k)) by lia. cbn [nth_error]. apply IH.
Qed.
Lemma find_plant : forall fuel l i d, find i (plant fuel l) = Some d -> nth_error l i = Some d.
Proof.
  induction fuel as [|fuel IH]; intros l i d H; [discriminate|]. destruct l as [|x l]; [discriminate|]. cbn [plant] in H. pose proof (fun k => halves_spec _ l k) as Hs.
  destruct (halves l) as [a b]. cbn [fst snd] in Hs. destruct i as [|i]; [exact H|]. cbn [find nth_error] in *. pose proof (Nat.div_mod_eq i 2) as E.
  pose proof (Nat.mod_upper_bound i 2 ltac:(lia)). destruct (Nat.eqb_spec (Nat.modulo i 2) 0); apply IH in H; rewrite <- H; destruct (Hs (Nat.div i 2)) as [A B].
  - rewrite A. f_equal. lia.
  - rewrite B. f_equal. lia.
Qed.

(* ---- roundings, from above ------------------------------------------------------------------------------------------------------------------- *)
Definition ownD (h : how) (n : nat) (M B : D) : D :=
  match h with
  | Products => add (mul (gammaD (n + 1)) (add M B)) (mul (ofnat (n + 2)) least_normal)
  | Average _ => add (mul (gammaD (n + 3)) M) (mul (ofnat (n + 3)) least_normal)
  | Joined => mul unit M
  | Scaled base floor => add (mul (gammaD 17) (add M (dabs base))) (dabs floor)
  end.
Record gaugedD := { met_partsD : nat; moduliD : D; errorsD : D }.
Definition nothingD : gaugedD := {| met_partsD := 0; moduliD := zero; errorsD := zero |}.
Definition gauge_partD (g : D * D) (k : D) (a : gaugedD) : gaugedD :=
  {| met_partsD := (if same k zero || leb (fst g) zero then O else 1%nat) + met_partsD a;
     moduliD := add (mul (dabs k) (fst g)) (moduliD a); errorsD := add (mul (dabs k) (snd g)) (errorsD a) |}.
Definition closedD (h : how) (B : D) (a : gaugedD) : D * D :=
  if leb (add (moduliD a) B) zero then (zero, errorsD a)
  else let o := ownD h (met_partsD a) (moduliD a) B in (up (add (add (moduliD a) B) o), up (add (errorsD a) o)).
Definition all_parts (f : way -> option (D * D)) (parts : list (D * way)) : option gaugedD :=
  fold_right (fun kw a => match f (snd kw), a with Some g, Some a => Some (gauge_partD g (fst kw) a) | _, _ => None end) (Some nothingD) parts.
Fixpoint gaugeD (t : trie) (w : way) : option (D * D) :=
  match w with
  | Given i => match find i t with Some d => Some (d, zero) | None => None end
  | Made h b parts => match all_parts (gaugeD t) parts with Some a => Some (closedD h (dabs b) a) | None => None end
  end.
Definition restedD (T : nat) (g : D * D) : D * D :=
  let o := add (mul (gammaD (T + 2)) (fst g)) (mul (ofnat (T + 2)) least_normal) in (up (add (fst g) o), up (add (snd g) o)).
Fixpoint restingD (T : nat) (w : way) : option (D * D) :=
  match w with
  | Given _ => Some (restedD T (one, zero))
  | Made h b parts => match all_parts (restingD T) parts with Some a => Some (restedD T (closedD h (dabs b) a)) | None => None end
  end.

Definition bounds (g : R * R) (d : D * D) : Prop := 0 <= fst g <= val (fst d) /\ 0 <= snd g <= val (snd d).
Definition bounds_all (a : gauged) (d : gaugedD) : Prop :=
  (met_parts a <= met_partsD d)%nat /\ 0 <= moduli_of a <= val (moduliD d) /\ 0 <= errors_of a <= val (errorsD d).
Lemma own_mono : forall h n m M N B, (n <= m)%nat -> 0 <= M <= N -> 0 <= B -> 0 <= own h n M B <= own h m N B.
Proof.
  intros h n m M N B L H HB. pose proof u_pos. pose proof tiny_pos. pose proof (pos_INR (n + 2)). pose proof (pos_INR (n + 3)).
  assert (forall i, INR (n + i) * tiny <= INR (m + i) * tiny) as I by (intros i; apply Rmult_le_compat_r; [lra|apply le_INR; lia]).
  assert (0 <= INR (n + 2) * tiny) by (apply Rmult_le_pos; lra). assert (0 <= INR (n + 3) * tiny) by (apply Rmult_le_pos; lra).
  destruct h as [|k| |base floor]; cbn [own].
  - destruct (gamma_mono (n + 1) (m + 1) ltac:(lia)) as [G1 G2]. specialize (I 2%nat).
    assert (0 <= gamma (n + 1) * (M + B)) by (apply Rmult_le_pos; lra). assert (gamma (n + 1) * (M + B) <= gamma (m + 1) * (N + B)) by (apply Rmult_le_compat; lra). lra.
  - destruct (gamma_mono (n + 3) (m + 3) ltac:(lia)) as [G1 G2]. specialize (I 3%nat).
    assert (0 <= gamma (n + 3) * M) by (apply Rmult_le_pos; lra). assert (gamma (n + 3) * M <= gamma (m + 3) * N) by (apply Rmult_le_compat; lra). lra.
  - split; [apply Rmult_le_pos; lra|apply Rmult_le_compat_l; lra].
  - destruct (gamma_mono 17 17 ltac:(lia)) as [G _]. pose proof (Rabs_pos (val base)). pose proof (Rabs_pos (val floor)).
    assert (0 <= gamma 17 * (M + Rabs (val base))) by (apply Rmult_le_pos; lra).
    assert (gamma 17 * (M + Rabs (val base)) <= gamma 17 * (N + Rabs (val base))) by (apply Rmult_le_compat_l; lra). lra.
Qed.
Lemma ownD_val : forall h n M B, val (ownD h n M B) = own h n (val M) (val B).
Proof. intros [|k| |base floor] n M B; cbn [ownD own]; autorewrite with vals; reflexivity. Qed.
Lemma part_bounds : forall g d k a c, bounds g d -> bounds_all a c -> bounds_all (gauge_part g (val k) a) (gauge_partD d k c).
Proof.
  intros g d k a c [S E] [N [M F]]. unfold bounds_all, gauge_part, gauge_partD. cbn [met_parts moduli_of errors_of met_partsD moduliD errorsD]. autorewrite with vals.
  pose proof (Rabs_pos (val k)). assert (Rabs (val k) * fst g <= Rabs (val k) * val (fst d)) by (apply Rmult_le_compat_l; lra).
  assert (Rabs (val k) * snd g <= Rabs (val k) * val (snd d)) by (apply Rmult_le_compat_l; lra).
  assert (0 <= Rabs (val k) * fst g) by (apply Rmult_le_pos; lra). assert (0 <= Rabs (val k) * snd g) by (apply Rmult_le_pos; lra).
  split; [|lra]. unfold heavy. destruct (Req_EM_T (val k * fst g) 0) as [Z|Z]; [lia|].
  destruct (same k zero) eqn:Ek; [apply same_val in Ek; rewrite val_zero in Ek; exfalso; apply Z; rewrite Ek; ring|].
  destruct (leb (fst d) zero) eqn:Ed; [apply leb_true in Ed; rewrite val_zero in Ed; exfalso; apply Z; replace (fst g) with 0 by lra; ring|]. cbn [orb]. lia.
Qed.
Lemma closed_bounds : forall h b a d, bounds_all a d -> bounds (closed h (Rabs (val b)) a) (closedD h (dabs b) d).
Proof.
  intros h b a d [N [M E]]. unfold closed, closedD. cbv zeta. pose proof (Rabs_pos (val b)) as B.
  destruct (own_mono h _ _ _ (val (moduliD d)) _ N M B) as [O1 O2].
  destruct (leb (add (moduliD d) (dabs b)) zero) eqn:Z.
  - apply leb_true in Z. autorewrite with vals in Z. destruct (Req_EM_T (moduli_of a + Rabs (val b)) 0) as [_|F]; [|exfalso; apply F; lra].
    unfold bounds. cbn [fst snd]. rewrite val_zero. lra.
  - pose proof (up_ge (add (add (moduliD d) (dabs b)) (ownD h (met_partsD d) (moduliD d) (dabs b)))) as U1. pose proof (up_ge (add (errorsD d) (ownD h (met_partsD d) (moduliD d) (dabs b)))) as U2.
    rewrite !val_add, ownD_val, val_abs in U1. rewrite val_add, ownD_val, val_abs in U2.
    unfold bounds. destruct (Req_EM_T _ 0); cbn [fst snd]; lra.
Qed.
Lemma all_bounds : forall (f : way -> R * R) fD parts d, (forall k v g, In (k, v) parts -> fD v = Some g -> bounds (f v) g) -> all_parts fD parts = Some d ->
  bounds_all (fold_right (fun kw a => gauge_part (f (snd kw)) (val (fst kw)) a) nothing parts) d.
Proof.
  intros f fD. induction parts as [|[k v] parts IH]; intros d H E; cbn [all_parts fold_right fst snd] in *.
  - injection E as <-. unfold bounds_all, nothing, nothingD. cbn [met_parts moduli_of errors_of met_partsD moduliD errorsD]. rewrite val_zero. split; [lia|lra].
  - fold (all_parts fD parts) in E. destruct (fD v) as [g|] eqn:Ev; [|discriminate]. destruct (all_parts fD parts) as [a|]; [|discriminate]. injection E as <-.
    apply part_bounds; [apply (H k v); [left; reflexivity|exact Ev]|]. apply IH; [|reflexivity]. intros k' v' g' I. apply (H k' v'). right. exact I.
Qed.
Theorem gaugeD_bounds : forall t x, (forall i d, find i t = Some d -> Rabs (x i) <= val d) -> forall w d, gaugeD t w = Some d -> bounds (gauge w x) d.
Proof.
  intros t x X. induction w as [i|h b parts IH] using way_all; intros d H; cbn [gaugeD gauge] in *.
  - destruct (find i t) as [z|] eqn:E; [|discriminate]. injection H as <-. unfold bounds. cbn [fst snd]. rewrite val_zero. specialize (X i z E). pose proof (Rabs_pos (x i)). lra.
  - destruct (all_parts (gaugeD t) parts) as [a|] eqn:E; [|discriminate]. injection H as <-. apply closed_bounds.
    apply (all_bounds (fun v => gauge v x) (gaugeD t)); [|exact E]. intros k v g I. exact (IH k v I g).
Qed.
Lemma rested_bounds : forall T g d, bounds g d -> bounds (rested T g) (restedD T d).
Proof.
  intros T g d [S E]. unfold rested, restedD, bounds. cbv zeta. cbn [fst snd]. destruct (gamma_mono (T + 2) (T + 2) ltac:(lia)) as [G _]. pose proof tiny_pos. pose proof (pos_INR (T + 2)).
  pose proof (up_ge (add (fst d) (add (mul (gammaD (T + 2)) (fst d)) (mul (ofnat (T + 2)) least_normal)))) as U1.
  pose proof (up_ge (add (snd d) (add (mul (gammaD (T + 2)) (fst d)) (mul (ofnat (T + 2)) least_normal)))) as U2. autorewrite with vals in U1, U2.
  assert (gamma (T + 2) * fst g <= gamma (T + 2) * val (fst d)) by (apply Rmult_le_compat_l; lra).
  assert (0 <= gamma (T + 2) * fst g) by (apply Rmult_le_pos; lra). assert (0 <= INR (T + 2) * tiny) by (apply Rmult_le_pos; lra). lra.
Qed.
Theorem restingD_bounds : forall T w d, restingD T w = Some d -> bounds (resting T w) d.
Proof.
  intros T. induction w as [i|h b parts IH] using way_all; intros d H; cbn [restingD resting] in *.
  - injection H as <-. apply rested_bounds. unfold bounds. cbn [fst snd]. rewrite val_one, val_zero. lra.
  - destruct (all_parts (restingD T) parts) as [a|] eqn:E; [|discriminate]. injection H as <-. apply rested_bounds, closed_bounds.
    apply (all_bounds (resting T) (restingD T)); [|exact E]. intros k v g I. exact (IH k v I g).
Qed.
#[global] Opaque deepest.
