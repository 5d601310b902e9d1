(* The claims are not empty: a network of binary32 numbers, each current a sum of products, run by plain loops of IEEE operations, is an `ieee_run` with an `ieee_logit`.
   These loops compute (vm_compute), so that they may be held against other programs' runs: Example.v does. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core BinarySingleNaN.
Require Import Semantics Ways Sums Float IEEE Steps Runs.
Import ListNotations.
Open Scope R_scope.

Definition to32 (d : D) : b32 := binary_normalize 24 128 prec24 emax128 mode_NE (Fnum d) (Fexp d) false.
Definition bit32 (s : bool) : b32 := if s then to32 (Float radix2 1 0) else nil0.
Definition row32 (r : row) (x : nat -> b32) : b32 := fold_right (fun jw acc => add acc (mul (to32 (snd jw)) (x (fst jw)))) (to32 (snd r)) (fst r).
Definition constants32 (n : neuron) : constants := {| decay32 := to32 (decay n); theta32 := to32 (theta n); drop32 := to32 (drop n) |}.
Definition neuron32 (h : style) (n : neuron) := ieee_neuron h n (constants32 n).
Definition spike32 (go : b32 -> b32 -> bool * b32) (c : nat -> b32) (t : nat) : bool := fst (go (ieee_potential go c t) (c t)).
Definition fired (h : style) (net : network) (l : nat) (z : nat -> nat -> b32) (j t : nat) : bool :=
  match nth_error (hidden net) l with
  | Some (rows, ns) => match nth_error rows j, nth_error ns j with Some r, Some n => spike32 (neuron32 h n) (fun t => row32 r (z t)) t | _, _ => false end
  | None => false
  end.
Fixpoint source32 (h : style) (net : network) (x : nat -> b32) (l t : nat) : nat -> b32 :=
  match l with
  | O => x
  | S l => fun i => if Nat.ltb i (wide net l) then bit32 (fired h net l (source32 h net x l) i t) else source32 h net x l t (i - wide net l)
  end.
Definition spikes32 (h : style) (net : network) (x : nat -> b32) (l j t : nat) : bool := fired h net l (source32 h net x l) j t.
Definition sum32 (xs : list b32) : b32 := fold_right (fun x acc => add acc x) nil0 xs.
Definition whole32 (n : nat) : b32 := to32 (Float radix2 (Z.of_nat n) 0).
Fixpoint read32 (net : network) (s : trains) (l t i : nat) : b32 :=
  match l with O => nil0 | S l => if Nat.ltb i (wide net l) then bit32 (s l i t) else read32 net s l t (i - wide net l) end.
Definition output32 (net : network) (s : trains) (t i : nat) : b32 := read32 net s (outputs net) t i.
(* each step's map, their sum, divided by T *)
Definition logit32 (net : network) (s : trains) (k : nat) : b32 :=
  let T := steps net in
  match last net with
  | Some rows => match nth_error rows k with Some r => div (sum32 (map (fun t => row32 r (output32 net s t)) (seq 0 T))) (whole32 T) | None => nil0 end
  | None => div (sum32 (map (fun t => bit32 (s (outputs net - 1)%nat k t)) (seq 0 T))) (whole32 T)
  end.

(* a number that binary32 has, and one that it rounds to a finite one *)
Definition held (d : D) : Prop := format (val d) /\ Rabs (val d) < 2 ^ 127.
Definition single (net : network) : Prop :=
  let row_held := fun r : row => Forall (fun jw => held (snd jw)) (fst r) /\ held (snd r) in
  (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
     Forall row_held rows /\ Forall (fun n => Rabs (val (decay n)) <= 2 ^ 126 /\ Rabs (val (theta n)) <= 2 ^ 126 /\ Rabs (val (drop n)) <= 2 ^ 126) ns)
  /\ (forall rows, last net = Some rows -> Forall row_held rows).

Lemma pow_P : forall k, 2 ^ (k + 100) = 2 ^ k * P. Proof. intros k. apply pow_add. Qed.
Lemma to32_real : forall d, Rabs (fl (val d)) < 268435456 * P -> finite (to32 d) /\ real (to32 d) = fl (val d).
Proof.
  intros [m e] H. pose proof (binary_normalize_correct 24 128 prec24 emax128 mode_NE m e false) as C. cbv zeta in C. apply low in H. unfold fl, val in H.
  change (SpecFloat.fexp 24 128) with (FLT_exp (-149) 24) in C. simpl round_mode in C. rewrite H in C. destruct C as [C1 [C2 _]]. split; assumption.
Qed.
Lemma held_real : forall d, held d -> finite (to32 d) /\ real (to32 d) = val d.
Proof.
  intros d [F B]. assert (2 ^ 127 = 134217728 * P) as E by (etransitivity; [exact (pow_P 27)|f_equal; ring]). rewrite E in B. pose proof P_1.
  destruct (to32_real d) as [Q1 Q2]; rewrite fl_format in * by exact F; [lra|]. split; assumption.
Qed.
Lemma near_real : forall d, Rabs (val d) <= 2 ^ 126 -> finite (to32 d) /\ real (to32 d) = fl (val d).
Proof.
  intros d B. assert (2 ^ 126 = 67108864 * P) as E by (etransitivity; [exact (pow_P 26)|f_equal; ring]). rewrite E in B. pose proof P_1.
  apply to32_real. eapply Rle_lt_trans; [apply fl_size|]. lra.
Qed.
Lemma whole_real : forall n, INR n <= 2 ^ 20 -> finite (whole32 n) /\ real (whole32 n) = INR n.
Proof.
  intros n H. assert (val (Float radix2 (Z.of_nat n) 0) = INR n) as E by (unfold val, F2R; simpl; rewrite INR_IZR_INZ; ring).
  unfold whole32. rewrite <- E in *. apply held_real. split.
  - rewrite E, INR_IZR_INZ. apply format_whole. rewrite E, INR_IZR_INZ in H. rewrite (pow_IZR 2 20) in H. apply le_IZR in H. simpl in *. lia.
  - rewrite Rabs_pos_eq by (rewrite E; apply pos_INR). eapply Rle_lt_trans; [exact H|]. apply Rlt_pow; [lra|lia].
Qed.
Lemma bit_real : forall s, finite (bit32 s) /\ real (bit32 s) = bit s.
Proof. intros [|]; [apply (whole_real 1); simpl; lra|split; reflexivity]. Qed.

Lemma row_summed : forall r x f, Forall (fun jw => held (snd jw)) (fst r) -> held (snd r) -> (forall i, finite (x i) /\ real (x i) = f i) ->
  ieee_summed (products r f) (row32 r x).
Proof.
  intros [ws b] x f W B X. unfold products, row32. simpl in *. destruct (held_real b B) as [B1 B2]. induction W as [|[j w] ws Hw W IH]; simpl.
  - rewrite <- B2. apply INumber. exact B1.
  - simpl in Hw. destruct (held_real w Hw) as [W1 W2]. destruct (X j) as [X1 X2].
    apply IOrder with ((val b :: map (fun jw => val (snd jw) * f (fst jw)) ws) ++ [real (to32 w) * real (x j)]).
    + rewrite W2, X2. simpl. apply perm_skip. symmetry. apply Permutation_cons_append.
    + apply ISum; [exact IH|apply IProduct; assumption].
Qed.
Lemma sum_summed : forall A (g : A -> R) (f : A -> b32) ts, (forall t, In t ts -> finite (f t) /\ real (f t) = g t) -> ieee_summed (map g ts) (sum32 (map f ts)).
Proof.
  intros A g f ts. induction ts as [|t ts IH]; intros H; simpl; [constructor|]. destruct (H t) as [F E]; [left; reflexivity|].
  apply IOrder with (map g ts ++ [g t]); [symmetry; apply Permutation_cons_append|]. apply ISum; [apply IH; intros; apply H; right; assumption|]. rewrite <- E. apply INumber. exact F.
Qed.

Lemma source_real : forall h net x, (forall i, finite (x i)) -> forall l t i,
  finite (source32 h net x l t i) /\ real (source32 h net x l t i) = source net (fun i => real (x i)) (spikes32 h net x) l t i.
Proof.
  intros h net x X. induction l as [|l IH]; intros t i; cbn [source32 source]; [split; [apply X|reflexivity]|]. destruct (Nat.ltb i (wide net l)); [apply bit_real|apply IH].
Qed.
Lemma output_real : forall net s t i, finite (output32 net s t i) /\ real (output32 net s t i) = output net s t i.
Proof.
  intros net s t. unfold output32, output. induction (outputs net) as [|l IH]; intros i; cbn [read32 source]; [split; reflexivity|]. destruct (Nat.ltb i (wide net l)); [apply bit_real|apply IH].
Qed.
Lemma no_way : forall net l j, nested net = [] -> way_of net l j = None. Proof. intros net l j E. unfold way_of. rewrite E. destruct l; reflexivity. Qed.
Theorem reference_run : forall h net x, nested net = [] -> single net -> (forall i, finite (x i)) -> ieee_run net x (spikes32 h net x).
Proof.
  intros h net x W [G _] X l rows ns L j r n Hr Hn. destruct (G l rows ns L) as [Rh Nh]. rewrite Forall_forall in Rh, Nh.
  destruct (Rh r (nth_error_In _ _ Hr)) as [Wh Bh]. destruct (Nh n (nth_error_In _ _ Hn)) as [N1 [N2 N3]].
  exists h, (constants32 n), (fun t => row32 r (source32 h net x l t)).
  split; [split; [|split]; apply near_real; assumption|]. split; [intros ->; reflexivity|]. split; intros t Ht.
  - rewrite no_way by exact W. apply row_summed; try assumption. intros i. apply source_real. exact X.
  - unfold spikes32, fired. rewrite L, Hr, Hn. reflexivity.
Qed.

Theorem reference_logit : forall net x s k, nested net = [] -> fit net -> mild net x -> single net -> (forall rows, last net = Some rows -> (k < length rows)%nat) -> ieee_logit net s k (logit32 net s k).
Proof.
  intros net x s k W [T0 [T20 [_ FL]]] [_ M] [_ G] K. unfold ieee_logit, logit32. pose proof P_1 as P1.
  assert (forall a, ieee_mean (steps net) a (div a (whole32 (steps net)))) as mean32.
  { intros a. exists (whole32 1), (whole32 (steps net)). split; [apply (whole_real 1); simpl; lra|]. split; [apply whole_real; exact T20|]. left. reflexivity. }
  destruct (last net) as [rows|].
  - specialize (K rows eq_refl). specialize (G rows eq_refl). destruct (nth_error rows k) as [r|] eqn:Hr; [|apply nth_error_None in Hr; lia].
    rewrite Forall_forall in G. destruct (G r (nth_error_In _ _ Hr)) as [Wh Bh]. specialize (M rows eq_refl k r Hr). rewrite (no_way net (outputs net) k W) in M. specialize (FL rows eq_refl k r Hr). fold P in M.
    exists r. split; [reflexivity|]. rewrite (no_way net (outputs net) k W). left. exists (fun t => row32 r (output32 net s t)). eexists.
    assert (forall t, ieee_summed (products r (output net s t)) (row32 r (output32 net s t))) as HR by (intros t; apply row_summed; try assumption; intros i; apply output_real).
    split; [intros t _; apply HR|]. split; [|apply mean32]. apply (sum_summed nat (fun t => real (row32 r (output32 net s t)))). intros t _. split; [|reflexivity].
    eapply ieee_summed_summed; [apply HR|eapply count_row; [|exact FL]; lia|]. rewrite size_products.
    pose proof (moduli_le (fst r) (output net s t) 1) as B. assert (forall i, Rabs (output net s t i) <= 1) as O by (intros i; apply output_1).
    specialize (B O). lra.
  - eexists. split; [|apply mean32]. apply (sum_summed nat (fun t => bit (s (outputs net - 1)%nat k t))). intros t _. apply bit_real.
Qed.

Print Assumptions reference_run.
Print Assumptions reference_logit.
