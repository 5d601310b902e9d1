(* Numbers m * 2^e that a program computes with, and their values: exact sums and products, comparisons, outward rounding, the allowances of Semantics.v from above. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics.
Import ListNotations.
Open Scope R_scope.

Definition num (m e : Z) : D := Float radix2 m e.
Definition zero : D := num 0 0.
Definition one : D := num 1 0.
Definition ofnat (n : nat) : D := num (Z.of_nat n) 0.
(* most of what is added is 0, or of the same exponent, and most of what is multiplied with is 0 or 1: then at once *)
Definition add (a b : D) : D :=
  let (m, e) := a in let (n, f) := b in
  if Z.eqb n 0 then a else if Z.eqb m 0 then b else if Z.eqb e f then num (m + n) e
  else if Z.leb e f then num (m + Z.shiftl n (f - e)) e else num (Z.shiftl m (e - f) + n) f.
Definition mul (a b : D) : D :=
  let (m, e) := a in let (n, f) := b in
  if Z.eqb n 0 then b else if Z.eqb n 1 && Z.eqb f 0 then a else num (m * n) (e + f).
Definition opp (a : D) : D := let (m, e) := a in num (- m) e.
Definition sub (a b : D) : D := add a (opp b).
Definition leb (a b : D) : bool :=
  let (m, e) := a in let (n, f) := b in
  if Z.eqb e f then Z.leb m n else if Z.leb e f then Z.leb m (Z.shiftl n (f - e)) else Z.leb (Z.shiftl m (e - f)) n.
Definition ltb (a b : D) : bool := negb (leb b a).
Definition dmin (a b : D) : D := if leb a b then a else b.
Definition dmax (a b : D) : D := if leb a b then b else a.
Definition dabs (a : D) : D := let (m, e) := a in num (Z.abs m) e.
Definition same (a b : D) : bool := leb a b && leb b a.

(* outward, to multiples of 2^-GRID; each is tested, so the shift itself needs no trust *)
Definition GRID : Z := 160.
Definition down (a : D) : D :=
  let (m, e) := a in if Z.leb (- GRID) e then a else let r := num (Z.shiftr m (- GRID - e)) (- GRID) in if leb r a then r else a.
Definition up (a : D) : D := opp (down (opp a)).
(* for b > 0: a number at most a / b, near it; None where the division fails its test *)
Definition under (a b : D) : option D :=
  let (m, e) := a in let (n, f) := b in
  let k := (e - f + GRID)%Z in
  let r := num (if Z.leb 0 k then Z.div (Z.shiftl m k) n else Z.div m (Z.shiftl n (- k))) (- GRID) in
  if leb (mul r b) a then Some r else None.
Definition over (a b : D) : option D := match under (opp a) b with Some r => Some (opp r) | None => None end.

Lemma val_num : forall m e, val (num m e) = IZR m * bpow radix2 e. Proof. reflexivity. Qed.
Lemma shifted : forall m k e, (0 <= k)%Z -> IZR (Z.shiftl m k) * bpow radix2 e = IZR m * bpow radix2 (e + k).
Proof.
  intros m k e H. rewrite Z.shiftl_mul_pow2 by exact H. rewrite mult_IZR, bpow_plus.
  change 2%Z with (radix_val radix2). rewrite IZR_Zpower by exact H. ring.
Qed.
Lemma val_zero : val zero = 0. Proof. unfold zero. rewrite val_num. ring. Qed.
Lemma val_one : val one = 1. Proof. unfold one. rewrite val_num. simpl. ring. Qed.
Definition nought (a : D) : bool := Z.eqb (Fnum a) 0.
Lemma nought_zero : forall a, nought a = true -> val a = 0.
Proof. intros [m e] H. unfold nought in H. cbn [Fnum] in H. apply Z.eqb_eq in H. subst m. fold (num 0 e). rewrite val_num. ring. Qed.
Lemma val_ofnat : forall n, val (ofnat n) = INR n. Proof. intro n. unfold ofnat. rewrite val_num, INR_IZR_INZ. simpl. ring. Qed.
Lemma val_add : forall a b, val (add a b) = val a + val b.
Proof.
  intros [m e] [n f]. unfold add. fold (num m e) (num n f).
  destruct (Z.eqb_spec n 0) as [->|_]; [rewrite !val_num; ring|]. destruct (Z.eqb_spec m 0) as [->|_]; [rewrite !val_num; ring|].
  destruct (Z.eqb_spec e f) as [->|_]; [rewrite !val_num, plus_IZR; ring|]. destruct (Z.leb_spec e f).
  - rewrite !val_num, plus_IZR, Rmult_plus_distr_r, shifted by lia. f_equal. f_equal. f_equal. lia.
  - rewrite !val_num, plus_IZR, Rmult_plus_distr_r, shifted by lia. f_equal. f_equal. f_equal. lia.
Qed.
Lemma val_mul : forall a b, val (mul a b) = val a * val b.
Proof.
  intros [m e] [n f]. unfold mul. fold (num m e) (num n f). destruct (Z.eqb_spec n 0) as [->|_]; [rewrite !val_num; ring|].
  destruct (Z.eqb_spec n 1) as [->|_], (Z.eqb_spec f 0) as [->|_]; cbn [andb]; rewrite !val_num, ?mult_IZR, ?bpow_plus; [simpl (bpow radix2 0)|..]; ring.
Qed.
Lemma val_opp : forall a, val (opp a) = - val a.
Proof. intros [m e]. unfold opp. fold (num m e). rewrite !val_num, opp_IZR. ring. Qed.
Lemma val_sub : forall a b, val (sub a b) = val a - val b.
Proof. intros. unfold sub. rewrite val_add, val_opp. ring. Qed.
Lemma val_abs : forall a, val (dabs a) = Rabs (val a).
Proof. intros [m e]. unfold dabs. fold (num m e). rewrite !val_num, Rabs_mult, abs_IZR, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0. reflexivity. Qed.
Lemma leb_iff : forall a b, leb a b = true <-> val a <= val b.
Proof.
  intros [m e] [n f]. unfold leb. fold (num m e) (num n f). rewrite !val_num. destruct (Z.eqb_spec e f) as [->|_].
  { pose proof (bpow_gt_0 radix2 f). rewrite Z.leb_le. split; intro A.
    - apply Rmult_le_compat_r; [lra|apply IZR_le; exact A].
    - apply le_IZR. eapply Rmult_le_reg_r; eassumption. }
  destruct (Z.leb_spec e f).
  - replace f with (e + (f - e))%Z at 2 by lia. rewrite <- (shifted n (f - e) e) by lia. rewrite Z.leb_le. split; intro A.
    + apply Rmult_le_compat_r; [apply bpow_ge_0|apply IZR_le; exact A].
    + apply le_IZR. eapply Rmult_le_reg_r; [apply (bpow_gt_0 radix2 e)|exact A].
  - replace e with (f + (e - f))%Z at 2 by lia. rewrite <- (shifted m (e - f) f) by lia. rewrite Z.leb_le. split; intro A.
    + apply Rmult_le_compat_r; [apply bpow_ge_0|apply IZR_le; exact A].
    + apply le_IZR. eapply Rmult_le_reg_r; [apply (bpow_gt_0 radix2 f)|exact A].
Qed.
Lemma leb_true : forall a b, leb a b = true -> val a <= val b. Proof. intros. apply leb_iff; assumption. Qed.
Lemma leb_false : forall a b, leb a b = false -> val b < val a.
Proof. intros a b H. destruct (Rlt_le_dec (val b) (val a)) as [L|L]; [exact L|]. apply leb_iff in L. congruence. Qed.
Lemma leb_spec : forall a b, if leb a b then val a <= val b else val b < val a.
Proof. intros. destruct (leb a b) eqn:E; [apply leb_true|apply leb_false]; exact E. Qed.
Lemma ltb_true : forall a b, ltb a b = true -> val a < val b.
Proof. intros a b H. unfold ltb in H. apply negb_true_iff in H. apply leb_false. exact H. Qed.
Lemma val_min : forall a b, val (dmin a b) = Rmin (val a) (val b).
Proof. intros. unfold dmin. pose proof (leb_spec a b). destruct (leb a b); symmetry; [apply Rmin_left|apply Rmin_right]; lra. Qed.
Lemma val_max : forall a b, val (dmax a b) = Rmax (val a) (val b).
Proof. intros. unfold dmax. pose proof (leb_spec a b). destruct (leb a b); symmetry; [apply Rmax_right|apply Rmax_left]; lra. Qed.
Lemma down_le : forall a, val (down a) <= val a.
Proof.
  intros [m e]. unfold down. destruct (Z.leb (- GRID) e); [lra|]. cbv zeta.
  destruct (leb (num (Z.shiftr m (- GRID - e)) (- GRID)) {| Fnum := m; Fexp := e |}) eqn:E; [apply leb_true; exact E|lra].
Qed.
Lemma up_ge : forall a, val a <= val (up a). Proof. intro a. unfold up. rewrite val_opp. pose proof (down_le (opp a)). rewrite val_opp in H. lra. Qed.
Lemma under_le : forall a b r, under a b = Some r -> val r * val b <= val a.
Proof.
  intros [m e] [n f] r H. unfold under in H. cbv zeta in H.
  match type of H with (if ?c then _ else _) = _ => destruct c eqn:E; [|discriminate] end.
  injection H as <-. apply leb_true in E. rewrite val_mul in E. exact E.
Qed.
Lemma over_ge : forall a b r, over a b = Some r -> val a <= val r * val b.
Proof.
  intros a b r H. unfold over in H. destruct (under (opp a) b) eqn:E; [|discriminate]. injection H as <-.
  apply under_le in E. rewrite val_opp in *. lra.
Qed.

#[global] Hint Rewrite val_add val_mul val_opp val_sub val_abs val_min val_max val_zero val_one val_ofnat : vals.
#[global] Opaque add mul opp sub leb dmin dmax dabs down up under over num zero one ofnat.

(* ---- intervals and products ---- *)
Lemma min_le_l : forall a b, Rmin a b <= a. Proof. intros; apply Rmin_l. Qed.
Lemma min_le_r : forall a b, Rmin a b <= b. Proof. intros; apply Rmin_r. Qed.

Definition rising (k : D) : bool := Z.leb 0 (Fnum k).
Lemma rising_spec : forall k, if rising k then 0 <= val k else val k < 0.
Proof.
  intros [m e]. unfold rising, val, F2R. cbn [Fnum Fexp]. pose proof (bpow_gt_0 radix2 e).
  destruct (Z.leb_spec 0 m) as [L|L]; [apply IZR_le in L|apply IZR_lt in L]; nra.
Qed.
Definition least (k : D) (box : D * D) : D := if rising k then mul k (fst box) else mul k (snd box).      (* of k * x over the box *)
Definition most (k : D) (box : D * D) : D := if rising k then mul k (snd box) else mul k (fst box).
Definition among (box : D * D) (x : R) : Prop := val (fst box) <= x <= val (snd box).

Lemma least_le : forall k box x, among box x -> val (least k box) <= val k * x.
Proof.
  intros k [a b] x [H1 H2]. cbn in *. unfold least. cbn. pose proof (rising_spec k) as L.
  destruct (rising k); rewrite val_mul; nra.
Qed.
Lemma most_ge : forall k box x, among box x -> val k * x <= val (most k box).
Proof.
  intros k [a b] x [H1 H2]. cbn in *. unfold most. cbn. pose proof (rising_spec k) as L.
  destruct (rising k); rewrite val_mul; nra.
Qed.
Definition size_of (box : D * D) : D := dmax (dabs (fst box)) (dabs (snd box)).
Lemma size_ge : forall box x, among box x -> Rabs x <= val (size_of box).
Proof.
  intros [a b] x [H1 H2]. cbn in *. unfold size_of. cbn. autorewrite with vals.
  pose proof (Rmax_l (Rabs (val a)) (Rabs (val b))). pose proof (Rmax_r (Rabs (val a)) (Rabs (val b))).
  pose proof (Rle_abs (val b)). pose proof (Rle_abs (- val a)) as N. rewrite Rabs_Ropp in N. apply Rabs_le. lra.
Qed.
Lemma abs_mult_le : forall g e x, Rabs x <= e -> - (Rabs g * e) <= g * x.
Proof.
  intros g e x H. assert (A : Rabs (g * x) <= Rabs g * e) by (rewrite Rabs_mult; apply Rmult_le_compat_l; [apply Rabs_pos|exact H]).
  pose proof (Rle_abs (- (g * x))) as N. rewrite Rabs_Ropp in N. lra.
Qed.

(* ---- allowances, from above ---- *)
Definition unit : D := num 1 (-24).
Definition least_normal : D := num 1 (-126).
Lemma val_unit : val unit = u. Proof. unfold unit, u. rewrite val_num. simpl. lra. Qed.
Lemma val_least_normal : val least_normal = tiny. Proof. unfold least_normal, tiny. rewrite val_num, Rmult_1_l. change (-126)%Z with (- (126))%Z. rewrite bpow_opp. f_equal. rewrite <- (IZR_Zpower radix2) by lia. rewrite pow_IZR. f_equal. Qed.
#[global] Hint Rewrite val_unit val_least_normal : vals.
#[global] Opaque unit least_normal.
Lemma u_pos : 0 < u. Proof. unfold u. apply Rinv_0_lt_compat, pow_lt. lra. Qed.
Lemma tiny_pos : 0 < tiny. Proof. unfold tiny. apply Rinv_0_lt_compat, pow_lt. lra. Qed.

Definition gammaD (n : nat) : D := let nu := mul (ofnat n) unit in mul nu (add one (add nu nu)).
Lemma val_gamma : forall n, val (gammaD n) = gamma n.
Proof. intro n. unfold gammaD, gamma. cbv zeta. autorewrite with vals. ring. Qed.
#[global] Hint Rewrite val_gamma : vals.
Lemma gamma_mono : forall n m, (n <= m)%nat -> 0 <= gamma n <= gamma m.
Proof.
  intros n m H. unfold gamma. apply le_INR in H. pose proof (pos_INR n). pose proof u_pos.
  assert (0 <= INR n * u) by nra. assert (INR n * u <= INR m * u) by nra. set (a := INR n * u) in *. set (b := INR m * u) in *. clearbody a b. nra.
Qed.
(* of a neuron's step: v at most U, the current at most C *)
Definition four : D := num 4 0. Definition eight : D := num 8 0.
Lemma val_four : val four = 4. Proof. unfold four. rewrite val_num. simpl. lra. Qed.
Lemma val_eight : val eight = 8. Proof. unfold eight. rewrite val_num. simpl. lra. Qed.
#[global] Hint Rewrite val_four val_eight : vals.
#[global] Opaque four eight.
Definition slipD (n : neuron) (U C : D) : D := up (add (mul (mul four unit) (add (mul (decay n) U) C)) (mul eight least_normal)).
Definition tieD (n : neuron) : D := add (mul (mul (add one one) unit) (theta n)) least_normal.
Definition lostD (n : neuron) (V : D) : D := up (add (mul (mul four unit) (add V (drop n))) (mul eight least_normal)).
Lemma slip_le : forall n U C v c, 0 <= val (decay n) -> Rabs v <= val U -> Rabs c <= val C -> slip n v c <= val (slipD n U C).
Proof.
  intros n U C v c H H1 H2. unfold slip, slipD. eapply Rle_trans; [|apply up_ge]. autorewrite with vals. pose proof u_pos.
  assert (val (decay n) * Rabs v <= val (decay n) * val U) by nra. nra.
Qed.
Lemma val_tie : forall n, val (tieD n) = tie n.
Proof. intro n. unfold tieD, tie. autorewrite with vals. ring. Qed.
#[global] Hint Rewrite val_tie : vals.
Lemma lost_le : forall n V v, Rabs v <= val V -> lost n v <= val (lostD n V).
Proof. intros n V v H. unfold lost, lostD. eapply Rle_trans; [|apply up_ge]. autorewrite with vals. pose proof u_pos. nra. Qed.
#[global] Opaque slipD tieD lostD gammaD.
