(* Every binary32 run of a network is a `run`, and its logits are ordered as the exact scores are where these are apart by more than the slacks. *)
From Coq Require Import ZArith Reals List Permutation Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Sums.
Import ListNotations.
Open Scope R_scope.

(* ---- the float network --------------------------------------------------------------------------------------------------------------------- *)
(* how a neuron's step is compiled: decay and current fused or not; a spike needs v > theta (strict), or v >= theta *)
Record style := { fused : bool; strict : bool }.
Definition leaked (h : style) (n : neuron) (v0 c : R) : R :=
  let d := fl (val (decay n)) in if fused h then fl (d * v0 + c) else fl (fl (d * v0) + c).
Definition fires (h : style) (n : neuron) (v : R) : bool :=
  let th := fl (val (theta n)) in if strict h then Rlt_bool th v else Rle_bool th v.
Definition after (n : neuron) (v : R) (s : bool) : R :=
  match kind n, s with Zero, true => 0 | Subtract, true => fl (v - fl (val (drop n))) | _, _ => v end.
Definition float_neuron (h : style) (n : neuron) : machine := fun v0 c =>
  let v := leaked h n v0 c in let s := fires h n v in (s, after n v s).

Definition products (r : row) (x : nat -> R) : list R := val (snd r) :: map (fun jw => val (snd jw) * x (fst jw)) (fst r).

(* layer 0 reads the input, the same at each step: its currents are computed once *)
Definition float_run (net : network) (x : nat -> R) (s : trains) : Prop :=
  forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
  forall j r n, nth_error rows j = Some r -> nth_error ns j = Some n ->
  exists h c, (l = O -> forall t, c t = c O)
    /\ (forall t, (t < steps net)%nat -> let z := source net x s l t in Rabs (c t - amount (way_of net l j) r z) <= error (way_of net l j) r z)
    /\ (forall t, (t < steps net)%nat -> s l j t = spiked (float_neuron h n) c t).

(* a mean over T steps of a sum a: divided by T, or multiplied by the float 1/T *)
Definition mean (T : nat) (a m : R) : Prop := m = fl (a / INR T) \/ m = fl (a * fl (/ INR T)).
Lemma output_bit : forall net s i, exists f : nat -> bool, forall t, output net s t i = bit (f t).
Proof.
  intros net s. unfold output. induction (outputs net) as [|l IH]; intros i; cbn [source]; [exists (fun _ => false); reflexivity|].
  destruct (Nat.ltb i (wide net l)); [exists (s l i); reflexivity|apply IH].
Qed.
Lemma output_1 : forall net s t i, Rabs (output net s t i) <= 1.
Proof. intros net s t i. destruct (output_bit net s i) as [f F]. rewrite F. destruct (f t); simpl; [rewrite Rabs_R1|rewrite Rabs_R0]; lra. Qed.
Definition float_logit (net : network) (s : trains) (k : nat) (y : R) : Prop :=
  let T := steps net in let o := output net s in
  match last net with
  | Some rows => exists r, nth_error rows k = Some r /\
      match way_of net (outputs net) k with
      | None =>
          (exists z a, (forall t, (t < T)%nat -> summed (products r (o t)) (z t)) /\ summed (map z (seq 0 T)) a /\ mean T a y)      (* map, then mean *)
          \/ (exists m, (forall i, exists a, summed (map (fun t => o t i) (seq 0 T)) a /\ mean T a (m i)) /\ summed (products r m) y) (* mean, then map *)
      | Some w => Rabs (y - total T (fun t => worth w (o t)) / INR T) <= snd (resting T w)
      end
  | None => exists a, summed (map (fun t => bit (s (outputs net - 1)%nat k t)) (seq 0 T)) a /\ mean T a y
  end.

(* what the kernel checks of a network before all else *)
Definition fit (net : network) : Prop :=
  (0 < steps net)%nat /\ INR (steps net) <= 2 ^ 20
  /\ (forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
       (forall j n, nth_error ns j = Some n -> proper n /\ (val (decay n) = 0 \/ tiny <= val (decay n)))
       /\ (forall j r, nth_error rows j = Some r -> 2 * (INR (length (fst r) + 1) * u) <= 1))
  /\ (forall rows, last net = Some rows -> forall k r, nth_error rows k = Some r -> 2 * (INR (length (fst r) + steps net + 4) * u) <= 1).

(* ---- rows ------------------------------------------------------------------------------------------------------------------------------------ *)
Lemma sum_products : forall r x, sum (products r x) = affine r x.
Proof.
  intros [ws b] x. unfold products, affine, weighted. simpl. rewrite Rplus_comm. f_equal. induction ws as [|jw ws IH]; simpl; [reflexivity|rewrite IH; reflexivity].
Qed.
Lemma size_products : forall r x, size (products r x) = moduli (fst r) x + Rabs (val (snd r)).
Proof.
  intros [ws b] x. unfold products, moduli. simpl. rewrite Rplus_comm. f_equal. induction ws as [|jw ws IH]; simpl; [reflexivity|rewrite IH, Rabs_mult; reflexivity].
Qed.
Lemma count_products : forall r x, (count (products r x) <= length (met (fst r) x) + 1)%nat.
Proof.
  intros [ws b] x. unfold products. rewrite count_cons. simpl fst. assert (count (map (fun jw => val (snd jw) * x (fst jw)) ws) = length (met ws x)) as ->.
  { unfold count, met, zero. induction ws as [|jw ws IH]; simpl; [reflexivity|]. destruct (Req_EM_T (val (snd jw) * x (fst jw)) 0); simpl; rewrite <- IH; reflexivity. }
  destruct (zero _); simpl; lia.
Qed.
Lemma met_length : forall ws x, (length (met ws x) <= length ws)%nat. Proof. intros. unfold met. induction ws as [|w ws IH]; simpl; [lia|destruct (Req_EM_T _ _); simpl; lia]. Qed.
Lemma moduli_pos : forall ws x, 0 <= moduli ws x.
Proof. intros. unfold moduli. induction ws as [|w ws IH]; simpl; [lra|]. assert (0 <= Rabs (val (snd w)) * Rabs (x (fst w))) by (apply mul_pos; apply Rabs_pos). lra. Qed.

Lemma INR_u : forall j k, (j <= k)%nat -> 2 * (INR k * u) <= 1 -> 2 * (INR j * u) <= 1.
Proof. intros j k H L. pose proof u_pos. apply le_INR in H. assert (INR j * u <= INR k * u) by (apply Rmult_le_compat_r; lra). lra. Qed.

Theorem summed_allowance : forall r x a, 2 * (INR (length (fst r) + 1) * u) <= 1 -> summed (products r x) a -> Rabs (a - affine r x) <= allowance r x.
Proof.
  intros r x a H Hs. apply summed_near in Hs. rewrite sum_products, size_products in Hs. pose proof (count_products r x) as C. pose proof (met_length (fst r) x) as L.
  set (k := (length (met (fst r) x) + 1)%nat) in *. pose proof eta_pos. pose proof eta_tiny. pose proof tiny_pos.
  assert (INR (count (products r x)) <= INR k) by (apply le_INR; exact C).
  assert (near k (INR k * eta) (moduli (fst r) x + Rabs (val (snd r))) a (affine r x)) as N.
  { eapply near_weaken; [exact Hs|exact C| |lra]. apply Rmult_le_compat_r; lra. }
  apply near_gamma in N; [|apply INR_u with (length (fst r) + 1)%nat; [lia|exact H]].
  eapply Rle_trans; [exact N|]. unfold allowance. fold k. apply Rplus_le_compat_l.
  replace (length (met (fst r) x) + 2)%nat with (S k) by (unfold k; lia). rewrite S_INR. pose proof (pos_INR k).
  assert (INR k * (2 * eta) <= INR k * tiny) by (apply Rmult_le_compat_l; lra). lra.
Qed.

(* ---- neurons ----------------------------------------------------------------------------------------------------------------------------------- *)
Lemma leaked_slip : forall h n v0 c, 0 <= val (decay n) -> val (decay n) = 0 \/ tiny <= val (decay n) ->
  Rabs (leaked h n v0 c - (val (decay n) * v0 + c)) <= slip n v0 c.
Proof.
  intros h n v0 c P D. unfold slip. set (d := val (decay n)) in *. pose proof u_pos. pose proof u_small. pose proof eta_pos. pose proof eta_tiny.
  assert (near 0 0 (d * Rabs v0) (d * v0) (d * v0)) as N0.
  { apply near_refl. rewrite Rabs_mult, (Rabs_pos_eq d) by exact P. lra. }
  assert (near 1 0 (d * Rabs v0) (fl d * v0) (d * v0)) as N1.
  { apply near_rel with (d * v0); [exact N0|]. replace (fl d * v0 - d * v0) with ((fl d - d) * v0) by ring. rewrite !Rabs_mult, <- Rmult_assoc.
    apply Rmult_le_compat_r; [apply Rabs_pos|]. apply fl_normal. rewrite Rabs_pos_eq by exact P. exact D. }
  assert (near 3 (0 + 2 * eta) (d * Rabs v0 + Rabs c) (leaked h n v0 c) (d * v0 + c)) as N.
  { unfold leaked. fold d. destruct (fused h).
    - eapply near_weaken; [apply near_fl, near_plus; [exact N1|apply near_exact]|lia|lra|lra].
    - eapply near_weaken; [apply near_fl, near_plus; [apply near_fl, N1|apply near_exact]|lia|lra|lra]. }
  destruct N as [_ [_ N]]. eapply Rle_trans; [exact N|]. pose proof (Rabs_pos v0). pose proof (Rabs_pos c).
  assert (0 <= d * Rabs v0) by (apply mul_pos; lra). set (M := d * Rabs v0 + Rabs c) in *.
  assert (grow 3 - 1 <= 4 * u) as G.
  { unfold grow. simpl. assert (u * u <= u * / 8) by (apply Rmult_le_compat_l; lra). assert (0 <= u * u) by (apply mul_pos; lra).
    assert (u * u * u <= u * u * 1) by (apply Rmult_le_compat_l; lra). lra. }
  assert ((grow 3 - 1) * M <= 4 * u * M) by (apply Rmult_le_compat_r; unfold M; lra).
  assert (grow 3 * (0 + 2 * eta) <= 2 * (0 + 2 * eta)) by (apply Rmult_le_compat_r; lra). lra.
Qed.

Lemma fires_tie : forall h n v, 0 < val (theta n) ->
  if fires h n v then val (theta n) - tie n <= v else v <= val (theta n) + tie n.
Proof.
  intros h n v P. pose proof (fl_near (val (theta n))) as N. rewrite (Rabs_pos_eq (val (theta n))) in N by lra. pose proof eta_tiny. pose proof eta_pos. pose proof u_pos.
  apply Rabs_le_inv in N. assert (0 <= u * val (theta n)) by (apply mul_pos; lra).
  unfold fires, tie. destruct (strict h).
  - destruct (Rlt_bool_spec (fl (val (theta n))) v); lra.
  - destruct (Rle_bool_spec (fl (val (theta n))) v); lra.
Qed.

Lemma subtracted_lost : forall n v, 0 < val (drop n) -> Rabs (fl (v - fl (val (drop n))) - (v - val (drop n))) <= lost n v.
Proof.
  intros n v P. unfold lost. set (d := val (drop n)) in *. pose proof u_pos. pose proof u_small. pose proof eta_pos. pose proof eta_tiny.
  assert (near 1 eta d (fl d) d) as N1. { rewrite <- (Rplus_0_l eta). apply near_fl, near_refl. rewrite Rabs_pos_eq; lra. }
  assert (near 1 (0 + (Rabs (-1) * eta)) (Rabs v + Rabs (-1) * d) (v + -1 * fl d) (v + -1 * d)) as N2.
  { apply near_plus; [apply near_exact|]. apply near_scale. exact N1. }
  replace (Rabs (-1)) with 1 in N2 by (rewrite Rabs_left; lra). apply near_fl in N2.
  replace (v + -1 * fl d) with (v - fl d) in N2 by ring. replace (v + -1 * d) with (v - d) in N2 by ring.
  destruct N2 as [_ [_ N]]. eapply Rle_trans; [exact N|]. pose proof (Rabs_pos v).
  assert (0 <= u * u <= u * 1) by (split; [apply mul_pos|apply Rmult_le_compat_l]; lra).
  assert (grow 2 = 1 + 2 * u + u * u) as -> by (unfold grow; simpl; ring).
  assert ((1 + 2 * u + u * u - 1) * (Rabs v + 1 * d) <= 4 * u * (Rabs v + d)) by (rewrite Rmult_1_l; apply Rmult_le_compat_r; lra).
  assert ((1 + 2 * u + u * u) * (0 + 1 * eta + eta) <= 2 * (0 + 1 * eta + eta)) by (apply Rmult_le_compat_r; lra). lra.
Qed.

Theorem float_drives : forall h n, proper n -> val (decay n) = 0 \/ tiny <= val (decay n) -> drives n (float_neuron h n).
Proof.
  intros h n [[P _] [Q W]] D v0 c. exists (leaked h n v0 c). split; [apply leaked_slip; assumption|]. split; [apply fires_tie; exact Q|].
  simpl. unfold after. destruct (kind n), (fires h n (leaked h n v0 c)); try reflexivity. apply subtracted_lost. exact W.
Qed.

Theorem float_run_run : forall net x s, fit net -> float_run net x s -> run net x s.
Proof.
  intros net x s [_ [_ [F _]]] H l rows ns L j r n Hr Hn. destruct (F l rows ns L) as [Fn Fr]. destruct (Fn j n Hn) as [P D].
  destruct (H l rows ns L j r n Hr Hn) as [h [c [H0 [H1 H2]]]]. exists (float_neuron h n), c. split; [apply float_drives; assumption|].
  split; [exact H0|]. split; [exact H1|exact H2].
Qed.

(* ---- logits -------------------------------------------------------------------------------------------------------------------------------------- *)
Lemma total_sum : forall T f, total T f = sum (map f (seq 0 T)).
Proof. induction T as [|T IH]; intros f; [reflexivity|]. rewrite seq_S, map_app, sum_app, <- IH. simpl. ring. Qed.
Lemma total_affine : forall r T (o : nat -> nat -> R), total T (fun t => affine r (o t)) = weighted (fst r) (fun i => total T (fun t => o t i)) + INR T * val (snd r).
Proof.
  intros [ws b] T o. unfold affine. simpl. induction T as [|T IH].
  - simpl. rewrite Rmult_0_l, Rplus_0_r. induction ws as [|w ws IH]; simpl; [reflexivity|]. rewrite <- IH. ring.
  - rewrite S_INR. simpl total. rewrite IH.
    assert (weighted ws (fun i => total T (fun t => o t i) + o T i) = weighted ws (fun i => total T (fun t => o t i)) + weighted ws (o T)) as ->; [|ring].
    clear IH. induction ws as [|w ws IH]; simpl; [ring|]. rewrite IH. ring.
Qed.
Lemma total_ext : forall T f g, (forall t, f t = g t) -> total T f = total T g.
Proof. intros T f g H. induction T as [|T IH]; simpl; [reflexivity|]. rewrite IH, H. reflexivity. Qed.
Lemma bit_whole : forall b, whole (bit b). Proof. intros [|]; [exists 1%Z|exists 0%Z]; reflexivity. Qed.
Lemma bits_whole : forall (f : nat -> bool) ts, Forall whole (map (fun t => bit (f t)) ts).
Proof. intros f ts. apply Forall_forall. intros x I. apply in_map_iff in I as [t [<- _]]. apply bit_whole. Qed.
Lemma bits_size : forall (f : nat -> bool) ts, size (map (fun t => bit (f t)) ts) = sum (map (fun t => bit (f t)) ts).
Proof. intros f ts. induction ts as [|t ts IH]; simpl; [reflexivity|]. rewrite IH. f_equal. apply Rabs_pos_eq. destruct (f t); simpl; lra. Qed.
Lemma bits_total : forall T (f : nat -> bool), 0 <= total T (fun t => bit (f t)) <= INR T.
Proof. induction T as [|T IH]; intros f; [simpl; lra|]. rewrite S_INR. specialize (IH f). simpl total. destruct (f T); simpl bit; lra. Qed.
Lemma total_whole : forall T (f : nat -> bool), whole (total T (fun t => bit (f t))).
Proof. intros. rewrite total_sum. apply whole_sum, bits_whole. Qed.
Lemma whole_1 : forall a, whole a -> 0 <= a -> a = 0 \/ 1 <= a.
Proof. intros a [z ->] H. apply le_IZR in H. destruct (Z.eq_dec z 0) as [->|N]; [left; reflexivity|right; apply IZR_le; lia]. Qed.

Lemma pow_20 : 2 ^ 20 = 1048576. Proof. ring. Qed.
Lemma pow_24 : 2 ^ 24 = 16777216. Proof. ring. Qed.
(* spikes add up without rounding *)
Lemma counted : forall T (f : nat -> bool) a, INR T <= 2 ^ 20 -> summed (map (fun t => bit (f t)) (seq 0 T)) a -> a = total T (fun t => bit (f t)).
Proof.
  intros T f a H S. rewrite total_sum. apply summed_whole; [exact S|apply bits_whole|]. rewrite bits_size, <- total_sum. pose proof (bits_total T f). rewrite pow_20 in H. rewrite pow_24. lra.
Qed.

Section Mean.
Variable T : nat.
Hypotheses (T0 : (0 < T)%nat) (T20 : INR T <= 2 ^ 20).
Lemma T_pos : 1 <= INR T. Proof. apply (le_INR 1). lia. Qed.
Lemma T_inv : tiny <= / INR T.
Proof.
  pose proof T_pos. apply Rle_trans with (/ 2 ^ 20); [|apply Rinv_le_contravar; lra]. unfold tiny. apply Rinv_le_contravar; [apply pow_lt; lra|apply Rle_pow; [lra|lia]].
Qed.
Lemma part_near : Rabs (fl (/ INR T) - / INR T) <= u * / INR T.
Proof. pose proof T_inv. pose proof tiny_pos. rewrite <- (Rabs_pos_eq (/ INR T)) at 3 by lra. apply fl_normal. right. rewrite Rabs_pos_eq by lra. assumption. Qed.
Lemma part_rel : forall a, Rabs (a * fl (/ INR T) - a / INR T) <= u * Rabs (a / INR T).
Proof.
  intros a. pose proof T_inv. pose proof tiny_pos. unfold Rdiv. replace (a * fl (/ INR T) - a * / INR T) with (a * (fl (/ INR T) - / INR T)) by ring.
  rewrite !Rabs_mult, (Rabs_pos_eq (/ INR T)) by lra. replace (u * (Rabs a * / INR T)) with (Rabs a * (u * / INR T)) by ring.
  apply Rmult_le_compat_l; [apply Rabs_pos|exact part_near].
Qed.
Lemma near_div : forall k e M a A, near k e M a A -> near k (e / INR T) (M / INR T) (a / INR T) (A / INR T).
Proof.
  intros k e M a A N. pose proof T_inv. pose proof tiny_pos. apply (near_scale (/ INR T)) in N. rewrite (Rabs_pos_eq (/ INR T)) in N by lra.
  unfold Rdiv. rewrite !(Rmult_comm _ (/ INR T)). exact N.
Qed.
Lemma mean_near : forall k e M a A m, near k e M a A -> mean T a m -> near (k + 2) (e / INR T + eta) (M / INR T) m (A / INR T).
Proof.
  intros k e M a A m N [->| ->]; apply near_div in N.
  - eapply near_weaken; [apply near_fl, N|lia|lra|lra].
  - replace (k + 2)%nat with (S (S k)) by lia. apply near_fl. apply near_rel with (a / INR T); [exact N|apply part_rel].
Qed.
(* a mean of spikes has no underflow *)
Lemma mean_count : forall c m, whole c -> 0 <= c <= INR T -> mean T c m -> near 2 0 (c / INR T) m (c / INR T).
Proof.
  intros c m W C H. pose proof T_inv as I. pose proof tiny_pos. pose proof T_pos. pose proof u_small. pose proof u_pos.
  assert (0 < / INR T) by lra. assert (0 <= c / INR T) by (apply mul_pos; lra).
  assert (near 0 0 (c / INR T) (c / INR T) (c / INR T)) as N by (apply near_refl; rewrite Rabs_pos_eq; lra).
  destruct (whole_1 c W (proj1 C)) as [->|C1].
  { assert (m = 0) as -> by (destruct H as [->| ->]; unfold Rdiv; rewrite Rmult_0_l; apply fl_0). replace (0 / INR T) with 0 in * by (unfold Rdiv; ring).
    eapply near_weaken; [exact N|lia|lra|lra]. }
  destruct H as [->| ->].
  - eapply near_weaken; [apply near_rel with (c / INR T); [exact N|]|auto|lra|lra]. apply fl_normal. right. rewrite Rabs_pos_eq by lra.
    unfold Rdiv. assert (1 * / INR T <= c * / INR T) by (apply Rmult_le_compat_r; lra). lra.
  - eapply near_rel; [apply near_rel with (c / INR T); [exact N|apply part_rel]|]. apply fl_normal. right.
    pose proof part_near as P. apply Rabs_le_inv in P. assert (u * / INR T <= / 2 * / INR T) by (apply Rmult_le_compat_r; lra).
    assert (/ 2 * / INR T <= fl (/ INR T)) as Q by lra. assert (2 * tiny <= / INR T).
    { apply Rle_trans with (/ 2 ^ 20); [|apply Rinv_le_contravar; lra]. pose proof pow_20 as E20. rewrite E20. unfold tiny. assert (/ 2 ^ 126 <= / 2 ^ 21) as G.
      { apply Rinv_le_contravar; [apply pow_lt; lra|apply Rle_pow; [lra|lia]]. }
      assert (2 ^ 21 = 2 * 1048576) as E by ring. rewrite E, Rinv_mult in G. lra. }
    assert (1 * fl (/ INR T) <= c * fl (/ INR T)) by (apply Rmult_le_compat_r; lra). rewrite Rabs_pos_eq by lra. lra.
Qed.
Lemma scaled : forall k e M a A, near k e (M / INR T) a (A / INR T) -> 2 * (INR k * u) <= 1 -> Rabs (INR T * a - A) <= gamma k * M + INR T * (2 * e).
Proof.
  intros k e M a A N K. pose proof T_pos. apply near_gamma in N; [|exact K]. replace (INR T * a - A) with (INR T * (a - A / INR T)) by (field; lra).
  rewrite Rabs_mult, (Rabs_pos_eq (INR T)) by lra. replace (gamma k * M + INR T * (2 * e)) with (INR T * (gamma k * (M / INR T) + 2 * e)) by (field; lra).
  apply Rmult_le_compat_l; [lra|exact N].
Qed.
End Mean.

Lemma moduli_le : forall ws x g, (forall i, Rabs (x i) <= g) -> moduli ws x <= g * moduli ws (fun _ => 1).
Proof.
  intros ws x g H. unfold moduli. rewrite Rabs_R1. induction ws as [|w ws IH]; simpl; [lra|].
  assert (Rabs (val (snd w)) * Rabs (x (fst w)) <= Rabs (val (snd w)) * g) by (apply Rmult_le_compat_l; [apply Rabs_pos|apply H]). lra.
Qed.
Lemma near_weighted : forall k ws x y, (forall i, near k 0 1 (x i) (y i)) -> near k 0 (moduli ws (fun _ => 1)) (weighted ws x) (weighted ws y).
Proof.
  intros k ws x y H. unfold moduli, weighted. rewrite Rabs_R1. induction ws as [|w ws IH]; simpl.
  - pose proof (near_exact k 0) as N0; rewrite Rabs_R0 in N0; exact N0.
  - eapply near_weaken with (e := Rabs (val (snd w)) * 0 + 0); [apply near_plus; [apply near_scale, H|exact IH]|lia|lra|lra].
Qed.
Lemma near_steps : forall k e M (z A : nat -> R) ts, (forall t, In t ts -> near k e M (z t) (A t)) ->
  near k (INR (length ts) * e) (INR (length ts) * M) (sum (map z ts)) (sum (map A ts)) /\ size (map z ts) <= grow k * (INR (length ts) * M + INR (length ts) * e).
Proof.
  intros k e M z A ts H. induction ts as [|t ts IH].
  - simpl. rewrite !Rmult_0_l. split; [|pose proof (grow_1 k); lra]. pose proof (near_exact k 0) as N0; rewrite Rabs_R0 in N0; exact N0.
  - destruct IH as [I1 I2]; [intros; apply H; right; assumption|]. cbn [map sum size length fold_right]. rewrite S_INR.
    assert (near k e M (z t) (A t)) as N by (apply H; left; reflexivity). split.
    + replace ((INR (length ts) + 1) * e) with (e + INR (length ts) * e) by ring. replace ((INR (length ts) + 1) * M) with (M + INR (length ts) * M) by ring.
      apply near_plus; assumption.
    + apply near_size in N. unfold size in I2. lra.
Qed.

Theorem logit_slack : forall net s k y, fit net -> last net <> None -> float_logit net s k y -> Rabs (INR (steps net) * y - score net s k) <= slack net k.
Proof.
  intros net s k y [T0 [T20 [_ F]]] L H. unfold float_logit, score, slack in *. destruct (last net) as [rows|]; [clear L|contradiction].
  destruct H as [r [Hr H]]. rewrite Hr. specialize (F rows eq_refl k r Hr). destruct (way_of net (outputs net) k) as [w|]; cbn [amount].
  { pose proof (T_pos _ T0). replace (INR (steps net) * y - total (steps net) (fun t => worth w (output net s t)))
      with (INR (steps net) * (y - total (steps net) (fun t => worth w (output net s t)) / INR (steps net))) by (field; lra).
    rewrite Rabs_mult, (Rabs_pos_eq (INR (steps net))) by lra. apply Rmult_le_compat_l; [lra|exact H]. }
  unfold row_slack.
  set (T := steps net) in *. set (n := length (fst r)) in *. set (M := moduli (fst r) (fun _ => 1) + Rabs (val (snd r))).
  pose proof eta_pos as E. pose proof eta_tiny as ET. pose proof (T_pos T T0) as T1. pose proof (pos_INR n) as N0.
  assert (0 <= M) as M0 by (unfold M; pose proof (moduli_pos (fst r) (fun _ => 1)); pose proof (Rabs_pos (val (snd r))); lra).
  assert (forall x a g, 1 <= g -> (forall i, Rabs (x i) <= g) -> summed (products r x) a -> size (products r x) <= g * M /\ near (n + 1) (INR (n + 1) * eta) (size (products r x)) a (affine r x)) as row_near.
  { intros x a g G X S. apply summed_near in S. rewrite sum_products in S. split.
    - rewrite size_products. unfold M. pose proof (moduli_le (fst r) x g X). assert (1 * Rabs (val (snd r)) <= g * Rabs (val (snd r))) by (apply Rmult_le_compat_r; [apply Rabs_pos|exact G]). lra.
    - assert (count (products r x) <= n + 1)%nat as C by (pose proof (count_products r x); pose proof (met_length (fst r) x); unfold n; lia).
      eapply near_weaken; [exact S|exact C| |lra]. apply Rmult_le_compat_r; [lra|apply le_INR, C]. }
  assert (forall kk e, (kk <= n + T + 4)%nat -> 0 <= e -> 2 * e <= INR (n + T + 4) * tiny -> near kk e (INR T * M / INR T) y (total T (fun t => affine r (output net s t)) / INR T) ->
    Rabs (INR T * y - total T (fun t => affine r (output net s t))) <= INR T * (gamma (n + T + 4) * M + INR (n + T + 4) * tiny)) as finish.
  { intros kk e K E0 E2 N. apply scaled in N; [|exact T0|apply INR_u with (n + T + 4)%nat; assumption]. eapply Rle_trans; [exact N|].
    rewrite Rmult_plus_distr_l. apply Rplus_le_compat; [|apply Rmult_le_compat_l; lra].
    replace (gamma kk * (INR T * M)) with (INR T * (gamma kk * M)) by ring. apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_r; [exact M0|apply gamma_le; exact K]. }
  assert (INR (n + T + 4) = INR n + INR T + 4) as S4 by (rewrite !plus_INR; simpl; ring).
  change (Rabs (INR T * y - total T (fun t => affine r (output net s t))) <= INR T * (gamma (n + T + 4) * M + INR (n + T + 4) * tiny)).
  destruct H as [[z [a [Hz [Ha Hm]]]]|[m [Hm Hs]]].
  - (* each step's map, then the mean *)
    assert (forall t, In t (seq 0 T) -> near (n + 1) (INR (n + 1) * eta) M (z t) (affine r (output net s t))) as NZ.
    { intros t I. apply in_seq in I. destruct (row_near (output net s t) (z t) 1 (Rle_refl 1)) as [R1 R2].
      - intros i. apply output_1.
      - apply Hz. lia.
      - eapply near_weaken; [exact R2|lia|lra|lra]. }
    apply near_steps in NZ. rewrite length_seq, <- !total_sum in NZ. destruct NZ as [NZ SZ].
    apply summed_near in Ha. rewrite <- total_sum in Ha. set (q := map z (seq 0 T)) in *.
    assert (count q <= T)%nat as CQ. { unfold q. rewrite <- (length_seq T 0) at 2. rewrite <- (length_map z). apply count_length. }
    pose proof (near_trans _ _ _ _ _ _ _ _ _ Ha NZ SZ) as N. apply (mean_near T T0 T20 _ _ _ _ _ y N) in Hm.
    apply finish in Hm; [exact Hm|lia| |]; apply le_INR in CQ; pose proof (pos_INR (count q)).
    + assert (0 <= INR (n + 1) * eta) by (apply mul_pos; [apply pos_INR|lra]). assert (0 <= (INR (count q) * eta + INR T * (INR (n + 1) * eta)) / INR T); [|lra].
      apply mul_pos; [|left; apply Rinv_0_lt_compat; lra]. assert (0 <= INR (count q) * eta) by (apply mul_pos; lra). assert (0 <= INR T * (INR (n + 1) * eta)) by (apply mul_pos; lra). lra.
    + assert (INR (count q) * eta / INR T <= eta) as B.
      { apply Rmult_le_reg_r with (INR T); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. rewrite Rmult_1_r, (Rmult_comm eta). apply Rmult_le_compat_r; lra. }
      replace ((INR (count q) * eta + INR T * (INR (n + 1) * eta)) / INR T) with (INR (count q) * eta / INR T + INR (n + 1) * eta) by (field; lra).
      rewrite S4, plus_INR. simpl (INR 1). assert (INR n * (2 * eta) <= INR n * tiny) by (apply Rmult_le_compat_l; lra). assert (0 <= INR T * tiny) by (apply mul_pos; lra). lra.
  - (* the mean of the spikes, then the map *)
    set (c := fun i => total T (fun t => output net s t i)).
    assert (forall i, near 2 0 1 (m i) (c i / INR T)) as NM.
    { intros i. destruct (Hm i) as [a [Ha Hma]]. unfold c. destruct (output_bit net s i) as [f Ef]. rewrite (map_ext _ _ Ef) in Ha. rewrite (total_ext T _ _ Ef). apply counted in Ha; [|exact T20]. subst a.
      pose proof (bits_total T f) as B. apply (mean_count T T0 T20) in Hma; [|apply total_whole|exact B].
      eapply near_weaken; [exact Hma|lia|lra|]. apply Rmult_le_reg_r with (INR T); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    destruct (row_near m y (grow 2) (grow_1 2)) as [R1 R2]; [|exact Hs|].
    { intros i. pose proof (near_size _ _ _ _ _ (NM i)). lra. }
    assert (near 2 0 M (affine r m) (affine r (fun i => c i / INR T))) as NA.
    { unfold affine, M. rewrite <- (Rplus_0_r 0). apply near_plus; [apply near_weighted, NM|]. apply near_exact. }
    assert (size (products r m) <= grow 2 * (M + 0)) as R1' by lra.
    pose proof (near_trans _ _ _ _ _ _ _ _ _ R2 NA R1') as N.
    assert (affine r (fun i => c i / INR T) = total T (fun t => affine r (output net s t)) / INR T) as EA.
    { rewrite total_affine. fold c. unfold affine. unfold Rdiv at 2. rewrite Rmult_plus_distr_r. f_equal; [|field; lra].
      clear - T1. destruct r as [ws b]. simpl. induction ws as [|w ws IH]; simpl; [ring|]. rewrite IH. unfold Rdiv. ring. }
    rewrite EA in N. replace M with (INR T * M / INR T) in N by (field; lra).
    apply finish in N; [exact N|lia| |].
    + assert (0 <= INR (n + 1) * eta) by (apply mul_pos; [apply pos_INR|lra]). lra.
    + rewrite S4, plus_INR. simpl (INR 1). assert (INR n * (2 * eta) <= INR n * tiny) by (apply Rmult_le_compat_l; lra). assert (0 <= INR T * tiny) by (apply mul_pos; lra). lra.
Qed.

(* spikes read directly *)
Theorem counts_order : forall net s y k ly lk, fit net -> last net = None -> float_logit net s y ly -> float_logit net s k lk ->
  score net s k < score net s y -> lk < ly.
Proof.
  intros net s y k ly lk [T0 [T20 _]] L Hy Hk H. unfold float_logit, score in *. rewrite L in *. set (T := steps net) in *.
  destruct Hy as [a [Sa Ma]]. destruct Hk as [b [Sb Mb]]. apply counted in Sa; [|exact T20]. apply counted in Sb; [|exact T20].
  rewrite <- Sa, <- Sb in H. pose proof (bits_total T (fun t => s (outputs net - 1)%nat y t)) as Ba. pose proof (bits_total T (fun t => s (outputs net - 1)%nat k t)) as Bb.
  pose proof (total_whole T (fun t => s (outputs net - 1)%nat y t)) as Wa. pose proof (total_whole T (fun t => s (outputs net - 1)%nat k t)) as Wb.
  cbv beta in Ba, Bb, Wa, Wb. rewrite <- Sa in Ba, Wa. rewrite <- Sb in Bb, Wb. clear Sa Sb.
  assert (b + 1 <= a) as G. { destruct Wa as [p ->]. destruct Wb as [q ->]. apply lt_IZR in H. rewrite <- plus_IZR. apply IZR_le. lia. }
  pose proof (T_pos T T0) as T1. apply (mean_count T T0 T20) in Ma; [|assumption|assumption]. apply (mean_count T T0 T20) in Mb; [|assumption|assumption].
  destruct Ma as [_ [_ Ma]]. destruct Mb as [_ [_ Mb]]. pose proof u_pos as U. pose proof u_small as U'.
  assert (0 <= u * u <= u * 1) as UU by (split; [apply mul_pos|apply Rmult_le_compat_l]; lra).
  assert (grow 2 = 1 + 2 * u + u * u) as G2 by (unfold grow; simpl; ring). rewrite G2 in *.
  assert (/ 1048576 <= / INR T) as IT by (rewrite pow_20 in T20; apply Rinv_le_contravar; lra).
  assert (forall c, 0 <= c <= INR T -> (1 + 2 * u + u * u - 1) * (c / INR T) + (1 + 2 * u + u * u) * 0 <= 3 * u) as small.
  { intros c C. rewrite Rmult_0_r, Rplus_0_r. assert (0 <= c / INR T <= 1).
    { split; [apply mul_pos; lra|]. apply Rmult_le_reg_r with (INR T); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    assert ((1 + 2 * u + u * u - 1) * (c / INR T) <= (1 + 2 * u + u * u - 1) * 1) by (apply Rmult_le_compat_l; lra). lra. }
  pose proof (small a Ba). pose proof (small b Bb). apply Rabs_le_inv in Ma. apply Rabs_le_inv in Mb.
  assert (b / INR T + / INR T <= a / INR T). { unfold Rdiv. replace (b * / INR T + / INR T) with ((b + 1) * / INR T) by ring. apply Rmult_le_compat_r; lra. }
  lra.
Qed.

Theorem logits_order : forall net s y k ly lk, fit net -> float_logit net s y ly -> float_logit net s k lk ->
  slack net y + slack net k < score net s y - score net s k -> lk < ly.
Proof.
  intros net s y k ly lk F Hy Hk H. destruct (last net) eqn:L.
  - assert (last net <> None) as L' by (rewrite L; discriminate). pose proof (logit_slack net s y ly F L' Hy) as A. pose proof (logit_slack net s k lk F L' Hk) as B.
    apply Rabs_le_inv in A. apply Rabs_le_inv in B. destruct F as [T0 _]. pose proof (T_pos (steps net) T0). apply Rmult_lt_reg_l with (INR (steps net)); lra.
  - apply (counts_order net s y k ly lk F L Hy Hk). unfold slack in H. rewrite L in H. lra.
Qed.

Print Assumptions float_run_run.
Print Assumptions logits_order.
