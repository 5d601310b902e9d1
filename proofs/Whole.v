(* Rule Z, of whole neurons. The decays of chips are slow and monotone: the image of an interval of whole numbers is one, and exact. *)
From Coq Require Import ZArith Lia List Bool.
Import ListNotations.
Open Scope Z_scope.

Definition slow (f : Z -> Z) : Prop := forall v, 0 <= f (v + 1) - f v <= 1.

Lemma slow_far : forall f, slow f -> forall n v, 0 <= f (v + Z.of_nat n) - f v <= Z.of_nat n.
Proof.
  intros f S n v. induction n as [|n IH]; [replace (v + Z.of_nat 0) with v by lia; lia|].
  pose proof (S (v + Z.of_nat n)). replace (v + Z.of_nat (Datatypes.S n)) with (v + Z.of_nat n + 1) by lia. lia.
Qed.
Lemma slow_between : forall f, slow f -> forall v w, v <= w -> 0 <= f w - f v <= w - v.
Proof. intros f S v w H. pose proof (slow_far f S (Z.to_nat (w - v)) v) as F. rewrite Z2Nat.id in F by lia. replace (v + (w - v)) with w in F by lia. exact F. Qed.

(* A step: where the potential lies, for states in [L, U] and currents in [l, h]. *)
Theorem image : forall f, slow f -> forall L U l h w c, L <= w <= U -> l <= c <= h -> f L + l <= f w + c <= f U + h.
Proof. intros f S L U l h w c W C. pose proof (slow_between f S L w). pose proof (slow_between f S w U). lia. Qed.

(* And each whole number there is reached: nothing is lost by an interval. *)
Theorem exact : forall f, slow f -> forall L U l h v, L <= U -> l <= h -> f L + l <= v <= f U + h ->
  exists w c, L <= w <= U /\ l <= c <= h /\ v = f w + c.
Proof.
  intros f S L U l h v LU lh V. replace U with (L + Z.of_nat (Z.to_nat (U - L))) in * by lia. revert V. generalize (Z.to_nat (U - L)). clear LU U.
  induction n as [|n IH]; intros V; [exists L, (v - f L); replace (L + Z.of_nat 0) with L in V by lia; lia|].
  destruct (Z_le_gt_dec v (f (L + Z.of_nat n) + h)) as [Less|More]; [destruct IH as [w [c H]]; [lia|]; exists w, c; lia|].
  exists (L + Z.of_nat (Datatypes.S n)), (v - f (L + Z.of_nat (Datatypes.S n))). pose proof (S (L + Z.of_nat n)) as One.
  replace (L + Z.of_nat n + 1) with (L + Z.of_nat (Datatypes.S n)) in One by lia. lia.
Qed.

(* Of neurons that go towards their drive d the potential is d + f (w - d). *)
Theorem towards : forall f, slow f -> forall L U l h w d, L <= w <= U -> l <= d <= h -> l + f (L - l) <= d + f (w - d) <= h + f (U - h).
Proof.
  intros f S L U l h w d W D. pose proof (slow_between f S (L - d) (L - l)). pose proof (slow_between f S (L - d) (w - d)).
  pose proof (slow_between f S (w - h) (w - d)). pose proof (slow_between f S (w - h) (U - h)). lia.
Qed.

(* What a width of bottom..top leaves. *)
Definition clamp (bottom top v : Z) : Z := Z.min (Z.max v bottom) top.
Theorem clamped : forall bottom top a b v, a <= v <= b -> clamp bottom top a <= clamp bottom top v <= clamp bottom top b.
Proof. unfold clamp. lia. Qed.
Theorem not_cut : forall bottom top v, bottom <= v <= top -> clamp bottom top v = v.
Proof. unfold clamp. lia. Qed.

(* How many thresholds fit into a potential, at most `most`; `first` is the least that fires. *)
Definition count (theta first most v : Z) : Z := Z.min (Z.max ((v - (first - theta)) / theta) 0) most.
Theorem count_mono : forall theta first most v w, 0 < theta -> v <= w -> count theta first most v <= count theta first most w.
Proof. intros theta first most v w T H. unfold count. pose proof (Z.div_le_mono (v - (first - theta)) (w - (first - theta)) theta T). lia. Qed.
(* The part of the potentials that has n spikes is an interval. *)
Theorem parts : forall theta first most v n, 0 < theta -> 0 <= most -> count theta first most v = n ->
  (0 < n -> first + (n - 1) * theta <= v) /\ (n < most -> v <= first + n * theta - 1).
Proof.
  intros theta first most v n T M E. unfold count in E. set (q := (v - (first - theta)) / theta) in E.
  pose proof (Z.div_mod (v - (first - theta)) theta ltac:(lia)) as D. pose proof (Z.mod_pos_bound (v - (first - theta)) theta T) as B. fold q in D.
  split; intros H; [assert (n <= q) by lia|assert (q <= n) by lia]; nia.
Qed.

(* The decays: m of d = 2^n towards 0, downwards or to the nearest; v - (v >> n); the same, but at least 1 less for v > 0. *)
Definition floor_of (m d v : Z) : Z := v * m / d.
Definition truncate_of (m d v : Z) : Z := if v <? 0 then - (- v * m / d) else v * m / d.
Definition nearest_of (m d v : Z) : Z := (2 * (v * m) + d) / (2 * d).
Definition shift_of (d v : Z) : Z := v - v / d.
Definition dash_of (d v : Z) : Z := v - (if (v / d =? 0) && (0 <? v) then 1 else v / d).

Lemma div_step : forall x k e, 0 < e -> 0 <= k <= e -> 0 <= (x + k) / e - x / e <= 1.
Proof.
  intros x k e E K. pose proof (Z.div_le_mono x (x + k) e E ltac:(lia)). pose proof (Z.div_le_mono (x + k) (x + 1 * e) e E ltac:(lia)) as U.
  rewrite Z.div_add in U by lia. lia.
Qed.
Theorem floor_slow : forall m d, 0 < d -> 0 <= m <= d -> slow (floor_of m d).
Proof. intros m d D M v. unfold floor_of. replace ((v + 1) * m) with (v * m + m) by ring. apply div_step; lia. Qed.
Theorem truncate_slow : forall m d, 0 < d -> 0 <= m <= d -> slow (truncate_of m d).
Proof.
  intros m d D M v. unfold truncate_of. destruct (Z.ltb_spec v 0); destruct (Z.ltb_spec (v + 1) 0); try lia.
  - pose proof (div_step (- (v + 1) * m) m d D M) as S. replace (- (v + 1) * m + m) with (- v * m) in S by ring. lia.
  - replace v with (-1) by lia. replace ((-1 + 1) * m) with 0 by ring. replace (- (-1) * m) with (0 + m) by ring. pose proof (div_step 0 m d D M). rewrite Z.div_0_l in * by lia. lia.
  - replace ((v + 1) * m) with (v * m + m) by ring. apply div_step; lia.
Qed.
Theorem truncate_is_quot : forall m d v, 0 < d -> 0 <= m -> truncate_of m d v = Z.quot (v * m) d.
Proof.
  intros m d v D M. unfold truncate_of. destruct (Z.ltb_spec v 0).
  - rewrite <- (Z.quot_div_nonneg (- v * m) d) by nia. replace (- v * m) with (- (v * m)) by ring. rewrite Z.quot_opp_l by lia. lia.
  - rewrite Z.quot_div_nonneg by nia. reflexivity.
Qed.
Theorem nearest_slow : forall m d, 0 < d -> 0 <= m <= d -> slow (nearest_of m d).
Proof. intros m d D M v. unfold nearest_of. replace (2 * ((v + 1) * m) + d) with (2 * (v * m) + d + 2 * m) by ring. apply div_step; lia. Qed.
Theorem shift_slow : forall d, 0 < d -> slow (shift_of d).
Proof. intros d D v. unfold shift_of. pose proof (div_step v 1 d D). lia. Qed.
Theorem dash_slow : forall d, 0 < d -> slow (dash_of d).
Proof.
  intros d D v. unfold dash_of. pose proof (div_step v 1 d D ltac:(lia)) as S.
  pose proof (Z.div_mod v d ltac:(lia)). pose proof (Z.mod_pos_bound v d D). pose proof (Z.div_mod (v + 1) d ltac:(lia)). pose proof (Z.mod_pos_bound (v + 1) d D).
  destruct (Z.eqb_spec (v / d) 0) as [A|A]; destruct (Z.ltb_spec 0 v) as [P|P]; destruct (Z.eqb_spec ((v + 1) / d) 0) as [B|B]; destruct (Z.ltb_spec 0 (v + 1)) as [Q|Q]; cbn [andb]; try lia; nia.
Qed.
Theorem floor_zero : forall m d, 0 < d -> floor_of m d 0 = 0. Proof. intros. unfold floor_of. apply Z.div_0_l. lia. Qed.
Theorem truncate_zero : forall m d, 0 < d -> truncate_of m d 0 = 0. Proof. intros. unfold truncate_of. cbn [Z.ltb Z.compare]. apply Z.div_0_l. lia. Qed.
Theorem nearest_zero : forall m d, 0 < d -> nearest_of m d 0 = 0. Proof. intros. unfold nearest_of. apply Z.div_small. lia. Qed.
Theorem shift_zero : forall d, 0 < d -> shift_of d 0 = 0. Proof. intros. unfold shift_of. rewrite Z.div_0_l; lia. Qed.
Theorem dash_zero : forall d, 0 < d -> dash_of d 0 = 0. Proof. intros. unfold dash_of. rewrite Z.div_0_l by lia. reflexivity. Qed.

(* A row of a table: currents p <= q that give one train give it together with each current between. What a step does may depend on the spikes so far. *)
Section Tables.
  Variable drive : Z -> Z -> Z.
  Variable potential : list Z -> Z -> Z -> Z.
  Variable spikes : Z -> Z.
  Variable after : Z -> Z -> Z.
  Hypothesis drive_mono : forall u u' c c', u <= u' -> c <= c' -> drive u c <= drive u' c'.
  Hypothesis potential_mono : forall past w w' u u', w <= w' -> u <= u' -> potential past w u <= potential past w' u'.
  Hypothesis spikes_mono : forall v v', v <= v' -> spikes v <= spikes v'.
  Hypothesis after_mono : forall n v v', v <= v' -> after n v <= after n v'.

  Fixpoint train (T : nat) (past : list Z) (w u c : Z) : list Z :=
    match T with
    | O => []
    | S T => let u := drive u c in let v := potential past w u in spikes v :: train T (spikes v :: past) (after (spikes v) v) u c
    end.
  Theorem row : forall T past p c q w1 w w2 u1 u u2, p <= c <= q -> w1 <= w <= w2 -> u1 <= u <= u2 ->
    train T past w1 u1 p = train T past w2 u2 q -> train T past w u c = train T past w1 u1 p.
  Proof.
    induction T as [|T IH]; intros past p c q w1 w w2 u1 u u2 C W U E; [reflexivity|]. cbn [train] in *. cbv zeta in *. injection E as E0 E1.
    pose proof (drive_mono u1 u p c ltac:(lia) ltac:(lia)) as D1. pose proof (drive_mono u u2 c q ltac:(lia) ltac:(lia)) as D2.
    pose proof (potential_mono past w1 w _ _ ltac:(lia) D1) as P1. pose proof (potential_mono past w w2 _ _ ltac:(lia) D2) as P2.
    pose proof (spikes_mono _ _ P1) as S1. pose proof (spikes_mono _ _ P2) as S2.
    assert (N : spikes (potential past w (drive u c)) = spikes (potential past w1 (drive u1 p))) by lia.
    rewrite N. f_equal. rewrite E0 in E1 at 1 2. rewrite E0. apply (IH _ p c q _ _ (after (spikes (potential past w2 (drive u2 q))) (potential past w2 (drive u2 q))) _ _ (drive u2 q)); [lia| |lia|].
    - split; apply after_mono; lia.
    - exact E1.
  Qed.
End Tables.

Print Assumptions exact.
Print Assumptions dash_slow.
Print Assumptions row.
