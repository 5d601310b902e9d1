(* Rules I and W: a run follows the graph; rule P: its cost is at least the potential's; rule R: a constant current's. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Dyadic Check Rules.
Import ListNotations.
Open Scope R_scope.

Definition after (n : neuron) (m : move) (v u' : R) : Prop :=
  match kind n, spk m with
  | Zero, true => u' = 0
  | Subtract, true => Rabs (u' - (v - val (drop n))) <= val (loss m)
  | _, _ => u' = v
  end.
(* from node i at step t with potential u, a run whose exact currents are a and whose spikes are s goes along the graph *)
Fixpoint path (n : neuron) (ex : R) (a : nat -> R) (s : nat -> bool) (sts : list stage) (t i : nat) (u : R) : Prop :=
  match sts with
  | [] => True
  | st :: sts =>
      exists c m v u', nth_error (cells st) i = Some c /\ val (clo c) <= u <= val (chi c) /\ among (box st) (a t) /\ In m (moves c) /\ spk m = s t
        /\ Rabs (v - (val (decay n) * u + a t)) <= ex /\ val (plo m) <= v <= val (phi m) /\ after n m v u' /\ path n ex a s sts (S t) (target m) u'
  end.

Lemma path_ext : forall n ex a b s r, (forall t, a t = b t) -> (forall t, s t = r t) -> forall sts t i u, path n ex a s sts t i u -> path n ex b r sts t i u.
Proof.
  intros n ex a b s r A S. induction sts as [|st sts IH]; intros t i u H; cbn [path] in *; [exact I|].
  destruct H as [c [m [v [u' H]]]]. exists c, m, v, u'. rewrite <- A, <- S. intuition.
Qed.

Section Follow.
Variables (n : neuron) (ex gm UM : D) (T : nat) (a c U : nat -> R) (s : nat -> bool).
Notation lam := (val (decay n)).
Hypothesis (lam0 : 0 <= lam) (ex0 : 0 <= val ex) (gm0 : 0 <= val gm).
Hypothesis gone_ok : forall t v, (t < T)%nat -> kind n = Subtract -> Rabs (U t) <= val UM -> Rabs (v - (lam * U t + a t)) <= val ex -> lost n v <= val gm.
Hypothesis goes : forall t, (t < T)%nat -> stepped n (U t) (c t) (s t) (U (S t)).
Hypothesis near : forall t v, (t < T)%nat -> Rabs (U t) <= val UM -> Rabs (v - (lam * U t + c t)) <= slip n (U t) (c t) -> Rabs (v - (lam * U t + a t)) <= val ex.

Fixpoint lse (k : nat) : R := match k with O => 0 | S k => 1 + lam * lse k end.
Definition known (ch : list (D * D)) (u : R) (t : nat) : Prop :=
  forall k h, nth_error ch k = Some h -> exists ua, among h ua /\ Rabs (u - (lam ^ k * ua + recent lam a k t)) <= val ex * lse k.
Definition known_next (ch : list (D * D)) (v : R) (t : nat) : Prop :=
  forall k h, nth_error ch k = Some h -> exists ua, among h ua /\ Rabs (v - (lam ^ (S k) * ua + recent lam a (S k) (S t))) <= val ex * lse (S k).

Lemma known_step : forall ch t v, known ch (U t) t -> Rabs (v - (lam * U t + a t)) <= val ex -> known_next ch v t.
Proof.
  intros ch t v K E k h N. destruct (K k h N) as [ua [A B]]. exists ua. split; [exact A|]. cbn [lse pow recent].
  replace (v - (lam * lam ^ k * ua + (a t + lam * recent lam a k t))) with ((v - (lam * U t + a t)) + lam * (U t - (lam ^ k * ua + recent lam a k t))) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, (Rabs_pos_eq lam) by exact lam0.
  assert (lam * Rabs (U t - (lam ^ k * ua + recent lam a k t)) <= lam * (val ex * lse k)) by (apply Rmult_le_compat_l; assumption). lra.
Qed.
Lemma fade_sound : forall k h x, among h x -> among (fade (decay n) k h) (lam ^ k * x).
Proof.
  induction k as [|k IH]; intros h x H; cbn [fade pow]; [rewrite Rmult_1_l; exact H|]. specialize (IH h x H). destruct IH as [A B]. unfold among. cbn [fst snd].
  pose proof (down_le (mul (decay n) (fst (fade (decay n) k h)))) as Dn. pose proof (up_ge (mul (decay n) (snd (fade (decay n) k h)))) as Up. vals.
  rewrite Rmult_assoc.
  assert (lam * val (fst (fade (decay n) k h)) <= lam * (lam ^ k * x)) by (apply Rmult_le_compat_l; assumption).
  assert (lam * (lam ^ k * x) <= lam * val (snd (fade (decay n) k h))) by (apply Rmult_le_compat_l; assumption). lra.
Qed.
Lemma loose_ge : forall k, lse k <= val (loose (decay n) k).
Proof.
  induction k as [|k IH]; cbn [lse loose]; [vals; lra|]. pose proof (up_ge (add one (mul (decay n) (loose (decay n) k)))). vals.
  assert (lam * lse k <= lam * val (loose (decay n) k)) by (apply Rmult_le_compat_l; assumption). lra.
Qed.
Lemma cut_sound : forall ch wins v t, known_next ch v t -> (forall k w, windowed wins k = Some w -> among w (recent lam a (S k) (S t))) ->
  forall ks vv, among vv v -> among (fold_left (cut n ex ch wins) ks vv) v.
Proof.
  intros ch wins v t K W. induction ks as [|k ks IH]; intros vv V; [exact V|]. cbn [fold_left]. apply IH. unfold cut.
  destruct (nth_error ch k) as [h|] eqn:Eh; [|exact V]. destruct (windowed wins k) as [w|] eqn:Ew; [|exact V].
  destruct (K k h Eh) as [ua [A B]]. specialize (W k w Ew). pose proof (fade_sound (S k) h ua A) as F. pose proof (loose_ge (S k)) as L.
  assert (val ex * lse (S k) <= val ex * val (loose (decay n) (S k))) by (apply Rmult_le_compat_l; assumption).
  apply Rabs_le_inv in B. cbv zeta. set (p := fade (decay n) (S k) h) in *. set (e := mul ex (loose (decay n) (S k))).
  assert (Ve : val e = val ex * val (loose (decay n) (S k))) by (unfold e; vals; reflexivity).
  unfold among in *. cbn [fst snd]. rewrite val_max, val_min, val_sub, !val_add, Ve. split; [apply Rmax_lub|apply Rmin_glb]; lra.
Qed.

(* ---- rule C ---- *)
Definition more (b : bool) : R := match kind n, b with Subtract, true => val (drop n) | _, _ => 0 end.
Fixpoint took (t : nat) : R := match t with O => 0 | S t => lam * took t + more (s t) end.
Definition even (t : nat) (e : D) : Prop := kind n <> Zero -> Rabs (U t - (recent lam a t t - took t)) <= val e.
Definition told_ok (x : node) (y : R) : Prop := match told n x with Some b => among b y | None => True end.
Lemma even_step : forall t e v, (t < T)%nat -> Rabs (U t) <= val UM -> even t e -> Rabs (v - (lam * U t + a t)) <= val ex ->
  match kind n, s t with Zero, true => U (S t) = 0 | Subtract, true => Rabs (U (S t) - (v - val (drop n))) <= lost n v | _, _ => U (S t) = v end ->
  even (S t) (looser n ex gm e) /\ (kind n <> Zero -> Rabs (v - (recent lam a (S t) (S t) - lam * took t)) <= val (looser n ex gm e)).
Proof.
  intros t e v Lt Ub Ev Hv Hr.
  assert (Le : lam * val e + (val ex + val gm) <= val (looser n ex gm e)) by (unfold looser; eapply Rle_trans; [|apply up_ge]; vals; lra).
  assert (V : kind n <> Zero -> Rabs (v - (recent lam a (S t) (S t) - lam * took t)) <= lam * val e + val ex).
  { intro K. specialize (Ev K). cbn [recent].
    replace (v - (a t + lam * recent lam a t t - lam * took t)) with ((v - (lam * U t + a t)) + lam * (U t - (recent lam a t t - took t))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, (Rabs_pos_eq lam) by exact lam0.
    assert (lam * Rabs (U t - (recent lam a t t - took t)) <= lam * val e) by (apply Rmult_le_compat_l; assumption). lra. }
  split; [|intro K; specialize (V K); lra]. intro K. specialize (V K). cbn [took]. set (L := recent lam a (S t) (S t)) in *. set (Y := lam * took t) in *.
  apply Rabs_le_inv in V. unfold more. destruct (kind n) eqn:Kn; [congruence| |].
  - destruct (s t).
    + pose proof (gone_ok t v Lt eq_refl Ub Hv) as G. apply Rabs_le_inv in Hr. apply Rabs_le. lra.
    + rewrite Hr. apply Rabs_le. lra.
  - assert (E : U (S t) = v) by (destruct (s t); exact Hr). rewrite E. apply Rabs_le. destruct (s t); lra.
Qed.

Definition bal_ok (bal : option ((D * D) * (D * D) * D)) (y l d : R) : Prop :=      (* lambda * Y, all that came in, and what is within e of l - y *)
  match bal with Some (b, w, e) => among b y /\ among w l /\ Rabs (d - (l - y)) <= val e | None => True end.
Lemma weighed_sound : forall bal y l v vv, bal_ok bal y l v -> among vv v -> among (weighed bal vv) v.
Proof.
  intros [[[b w] e]|] y l v vv B V; [|exact V]. destruct B as [B1 [B2 B3]]. unfold among, weighed in *. cbn [fst snd]. apply Rabs_le_inv in B3.
  rewrite val_max, val_min, val_sub, !val_add, val_sub. split; [apply Rmax_lub|apply Rmin_glb]; lra.
Qed.

Lemma found_sound : forall (b : bool) (fixed : bool * bool) next i x vv bal ms v u' y l, found n b fixed next i x vv bal = Some ms -> among vv v ->
  (if b then snd fixed = true else fst fixed = false) ->
  (if b then val (theta n) - tie n <= v else v <= val (theta n) + tie n) ->
  match kind n, b with Zero, true => u' = 0 | Subtract, true => Rabs (u' - (v - val (drop n))) <= lost n v | _, _ => u' = v end ->
  match bal with Some (yb, w, e) => among yb y /\ among w l /\ Rabs (u' - (l - (y + more b))) <= val e | None => True end ->
  exists m z, In m ms /\ spk m = b /\ val (plo m) <= v <= val (phi m) /\ after n m v u' /\ nth_error next (target m) = Some z /\ among (lo z, hi z) u'
    /\ told_ok z (y + more b) /\ match parent z with None => True | Some p => b = false /\ p = i end.
Proof.
  intros b fixed next i x vv bal ms v u' y l F V Fx Th Af Bo. unfold found in F. cbv zeta in F.
  set (p := if b then dmax (fst vv) (sub (theta n) (tieD n)) else fst vv) in *.
  set (q := if b then snd vv else dmin (snd vv) (add (theta n) (tieD n))) in *.
  assert (Hv : val p <= v <= val q).
  { destruct V as [V1 V2]. unfold p, q. destruct b; vals; (split; [try apply Rmax_lub|try apply Rmin_glb]); lra. }
  assert (C : (if b then snd fixed else negb (fst fixed)) && leb p q = true).
  { apply andb_true_intro. split; [destruct b; [exact Fx|rewrite Fx; reflexivity]|apply leb_iff; lra]. }
  rewrite C in F. clear C.
  set (gone := match kind n with Subtract => if b then lostD n (size_of (p, q)) else zero | _ => zero end) in *.
  set (to := match kind n with Zero => if b then (zero, zero) else (p, q) | Subtract => if b then (sub p (add (drop n) gone), add (sub q (drop n)) gone) else (p, q) | Never => (p, q) end) in *.
  set (mo := match kind n with Subtract => if b then drop n else zero | _ => zero end) in *.
  pose proof (lost_le n (size_of (p, q)) v (size_ge (p, q) v Hv)) as Lo.
  assert (Vm : val mo = more b) by (unfold mo, more; destruct (kind n), b; vals; reflexivity).
  assert (Ho : among to u' /\ (kind n = Subtract -> b = true -> Rabs (u' - (v - val (drop n))) <= val gone)).
  { unfold to, gone, among. destruct (kind n), b; cbn [fst snd]; rewrite ?val_zero, ?val_add, ?val_sub, ?val_add; (split; [|intros; try discriminate]);
      try (subst u'; lra); try lra. apply Rabs_le_inv in Af. lra. }
  destruct Ho as [Ho Hg].
  set (tk := match bal with Some (yb, w, e) => Some (dmax (add (fst yb) mo) (sub (fst w) (add (snd to) e)), dmin (add (snd yb) mo) (add (sub (snd w) (fst to)) e)) | None => None end) in *.
  assert (Tk : match tk with Some c => among c (y + more b) | None => True end).
  { unfold tk. destruct bal as [[[yb w] e]|]; [|exact I]. destruct Bo as [B1 [B2 B3]]. unfold among in *. cbn [fst snd]. apply Rabs_le_inv in B3.
    rewrite val_max, val_min, !val_add, !val_sub, val_add, Vm. split; [apply Rmax_lub|apply Rmin_glb]; lra. }
  assert (Nt : match tk with Some c => leb (fst c) (snd c) | None => true end = true) by (destruct tk as [c0|]; [apply leb_iff; unfold among in Tk; lra|reflexivity]).
  rewrite Nt in F.
  destruct (if b then spike x else silent x) as [j|]; [|discriminate]. destruct (nth_error next j) as [z|] eqn:Ez; [|discriminate].
  match type of F with (if ?c then _ else _) = _ => destruct c eqn:G; [|discriminate] end. injection F as <-.
  apply andb_prop in G. destruct G as [G Gp]. apply andb_prop in G. destruct G as [G Gt]. tests.
  eexists. exists z. split; [left; reflexivity|]. cbn [spk plo phi target]. split; [reflexivity|]. split; [exact Hv|]. split; [|split; [exact Ez|split; [|split]]].
  - unfold after. cbn [spk loss]. destruct (kind n), b; try exact Af. exact (Hg eq_refl eq_refl).
  - unfold among in *. cbn [fst snd]. lra.
  - unfold told_ok. destruct (told n z) as [c0|]; [|exact I]. destruct tk as [d0|]; [|discriminate]. tests. unfold among in *. lra.
  - destruct (parent z) as [p0|]; [|exact I]. apply andb_prop in Gp. destruct Gp as [G1 G2]. apply Nat.eqb_eq in G2. apply negb_true_iff in G1. auto.
Qed.

Lemma level_nth : forall bx wins fixed next t e nodes chains i0 cs i x ch, level_of n ex bx wins fixed next t e i0 nodes chains = Some cs -> nth_error nodes i = Some x ->
  nth_error chains i = Some (Some ch) -> exists ce, nth_error cs i = Some ce /\ ways n ex bx wins fixed next t e (i0 + i) x ch = Some ce.
Proof.
  induction nodes as [|y nodes IH]; intros chains i0 cs i x ch H E F; [destruct i; discriminate|]. destruct chains as [|ch0 chains]; [discriminate|].
  cbn [level_of] in H. destruct (match ch0 with Some ch => ways n ex bx wins fixed next t e i0 y ch | None => _ end) as [ce|] eqn:W; [|discriminate].
  destruct (level_of n ex bx wins fixed next t e (S i0) nodes chains) as [r|] eqn:R; [|discriminate]. injection H as <-.
  destruct i as [|i]; cbn [nth_error] in *.
  - injection E as ->. injection F as ->. exists ce. rewrite Nat.add_0_r. auto.
  - replace (i0 + S i)%nat with (S i0 + i)%nat by lia. eapply IH; eassumption.
Qed.
Lemma chains_nth : forall chains cs next i ce m y, nth_error cs i = Some ce -> In m (moves ce) -> nth_error next (target m) = Some y ->
  nth_error (chains_on chains cs next) (target m) = Some (Some (chain_of chains y)).
Proof.
  intros chains cs next i ce m y E I0 N. unfold chains_on. cbv zeta.
  assert (L : (target m < length next)%nat) by (apply nth_error_Some; congruence).
  assert (Sq : nth_error (seq 0 (length next)) (target m) = Some (target m)).
  { rewrite (nth_error_nth' _ 0%nat) by (rewrite length_seq; exact L). rewrite seq_nth by exact L. reflexivity. }
  rewrite (zip_given _ _ _ _ _ _ _ _ _ Sq N).
  assert (X : existsb (Nat.eqb (target m)) (targets cs) = true).
  { apply existsb_exists. exists (target m). split; [|apply Nat.eqb_refl]. unfold targets. apply in_flat_map. exists ce. split; [eapply nth_error_In; exact E|apply in_map; exact I0]. }
  rewrite X. reflexivity.
Qed.

Theorem follows : forall wins fixed level rest chains sts t e i x ch, stages_of n ex gm t e wins fixed level rest chains = Some sts ->
  (forall d k row b, nth_error wins d = Some row -> windowed row k = Some b -> among b (recent lam a (S k) (S (t + d)))) ->
  (forall d b, nth_error fixed d = Some b -> (fst b = true -> s (t + d)%nat = true) /\ (snd b = false -> s (t + d)%nat = false)) ->
  (t + length sts <= T)%nat -> nth_error level i = Some x -> among (lo x, hi x) (U t) -> nth_error chains i = Some (Some ch) -> known ch (U t) t -> even t e -> told_ok x (took t) ->
  (forall l y, In l (level :: rest) -> In y l -> val (size_of (lo y, hi y)) <= val UM) ->
  path n (val ex) a s sts t i (U t).
Proof.
  induction wins as [|w wins IH]; intros fixed level rest chains sts t e i x ch H W F L E Hu Nc K Ev Tl B; cbn [stages_of] in H.
  - destruct fixed, rest; try discriminate. injection H as <-. exact I.
  - destruct w as [|[bx|] ws]; try (destruct fixed, rest; discriminate). destruct fixed as [|f fixed]; [discriminate|]. destruct rest as [|next rest]; [discriminate|].
    destruct (level_of n ex bx (Some bx :: ws) f next t (looser n ex gm e) 0 level chains) as [cs|] eqn:Lv; [|discriminate].
    destruct (stages_of n ex gm (S t) (looser n ex gm e) wins fixed next rest (chains_on chains cs next)) as [r|] eqn:R; [|discriminate]. injection H as <-.
    cbn [length] in L. assert (Lt : (t < T)%nat) by lia.
    destruct (level_nth _ _ _ _ _ _ _ _ _ _ _ _ _ Lv E Nc) as [ce [Ec Wy]]. cbn [Nat.add] in Wy.
    unfold ways in Wy. cbv zeta in Wy.
    set (v0 := (sub (add (mul (decay n) (lo x)) (fst bx)) ex, add (add (mul (decay n) (hi x)) (snd bx)) ex)) in *.
    set (v1 := fold_left (cut n ex ch (Some bx :: ws)) (cuts x) v0) in *.
    set (bal := balance n (Some bx :: ws) t (looser n ex gm e) x) in *. set (vv := weighed bal v1) in *.
    destruct (found n false f next i x vv bal) as [ms0|] eqn:F0; [|discriminate]. destruct (found n true f next i x vv bal) as [ms1|] eqn:F1; [|discriminate]. injection Wy as <-.
    destruct (goes t Lt) as [v [Hv [Ht Hr]]].
    assert (Ub : Rabs (U t) <= val UM).
    { eapply Rle_trans; [apply (size_ge (lo x, hi x)); exact Hu|]. eapply B; [left; reflexivity|]. eapply nth_error_In; exact E. }
    pose proof (near t v Lt Ub Hv) as Nv.
    assert (Ab : among bx (a t)).
    { specialize (W 0%nat 0%nat (Some bx :: ws) bx eq_refl eq_refl). rewrite Nat.add_0_r in W. cbn [recent] in W. rewrite Rmult_0_r, Rplus_0_r in W. exact W. }
    assert (V0 : among v0 v).
    { unfold v0, among. cbn [fst snd]. vals. destruct Hu as [U1 U2], Ab as [A1 A2]. cbn [fst snd] in *. apply Rabs_le_inv in Nv.
      assert (lam * val (lo x) <= lam * U t) by (apply Rmult_le_compat_l; assumption). assert (lam * U t <= lam * val (hi x)) by (apply Rmult_le_compat_l; assumption). lra. }
    pose proof (known_step ch t v K Nv) as Kn.
    assert (Wn : forall k w, windowed (Some bx :: ws) k = Some w -> among w (recent lam a (S k) (S t))).
    { intros k w N. specialize (W 0%nat k (Some bx :: ws) w eq_refl N). rewrite Nat.add_0_r in W. exact W. }
    assert (V1 : among v1 v) by (eapply cut_sound; eassumption).
    destruct (even_step t e v Lt Ub Ev Nv Hr) as [Ev' Evv].
    assert (Bl : match bal with Some (yb, w, e') => among yb (lam * took t) /\ among w (recent lam a (S t) (S t)) /\ e' = looser n ex gm e /\ kind n <> Zero | None => True end).
    { unfold bal, balance. unfold told_ok in Tl. destruct (told n x) as [yb|] eqn:Et; [|exact I]. destruct (windowed (Some bx :: ws) t) as [w|] eqn:Ew; [|exact I].
      split; [|split; [exact (Wn t w Ew)|split; [reflexivity|]]].
      - unfold among in *. cbn [fst snd]. rewrite !val_mul. destruct Tl. split; apply Rmult_le_compat_l; assumption.
      - unfold told in Et. destruct (kind n); [discriminate|intro; discriminate|intro; discriminate]. }
    assert (Vv : among vv v).
    { apply (weighed_sound bal (lam * took t) (recent lam a (S t) (S t))); [|exact V1]. unfold bal_ok. destruct bal as [[[yb w] e']|]; [|exact I].
      destruct Bl as [B1 [B2 [-> Kz]]]. split; [exact B1|]. split; [exact B2|]. exact (Evv Kz). }
    assert (Bm : match bal with Some (yb, w, e') => among yb (lam * took t) /\ among w (recent lam a (S t) (S t)) /\ Rabs (U (S t) - (recent lam a (S t) (S t) - (lam * took t + more (s t)))) <= val e' | None => True end).
    { destruct bal as [[[yb w] e']|]; [|exact I]. destruct Bl as [B1 [B2 [-> Kz]]]. split; [exact B1|]. split; [exact B2|]. exact (Ev' Kz). }
    destruct (F 0%nat f eq_refl) as [Fc Fp]. rewrite Nat.add_0_r in Fc, Fp.
    assert (G : exists m y, In m (ms0 ++ ms1) /\ spk m = s t /\ val (plo m) <= v <= val (phi m) /\ after n m v (U (S t)) /\ nth_error next (target m) = Some y
              /\ among (lo y, hi y) (U (S t)) /\ told_ok y (took (S t)) /\ match parent y with None => True | Some p => s t = false /\ p = i end).
    { cbn [took]. destruct (s t) eqn:Es.
      - destruct (found_sound true f next i x vv bal ms1 v (U (S t)) (lam * took t) (recent lam a (S t) (S t)) F1 Vv) as [m [y [I1 R1]]].
        + destruct (snd f); [reflexivity|]. specialize (Fp eq_refl). discriminate.
        + exact Ht.
        + exact Hr.
        + exact Bm.
        + exists m, y. split; [apply in_or_app; right; exact I1|exact R1].
      - destruct (found_sound false f next i x vv bal ms0 v (U (S t)) (lam * took t) (recent lam a (S t) (S t)) F0 Vv) as [m [y [I1 R1]]].
        + destruct (fst f); [|reflexivity]. specialize (Fc eq_refl). discriminate.
        + exact Ht.
        + exact Hr.
        + exact Bm.
        + exists m, y. split; [apply in_or_app; left; exact I1|exact R1]. }
    destruct G as [m [y [I1 [Sm [Pm [Am [Ny [Uy [Ty Py]]]]]]]]].
    cbn [path]. exists {| clo := lo x; chi := hi x; moves := ms0 ++ ms1 |}, m, v, (U (S t)). cbn [cells box clo chi moves].
    split; [exact Ec|]. split; [exact Hu|]. split; [exact Ab|]. split; [exact I1|]. split; [exact Sm|]. split; [exact Nv|]. split; [exact Pm|]. split; [exact Am|].
    eapply IH with (x := y) (t := S t) (e := looser n ex gm e) (ch := chain_of chains y); [exact R| | |lia|exact Ny|exact Uy|exact (chains_nth _ _ _ _ _ _ _ Ec I1 Ny)| |exact Ev'|exact Ty|].
    + intros d k row b N1 N2. replace (S t + d)%nat with (t + S d)%nat by lia. eapply W; [exact N1|exact N2].
    + intros d b N. replace (S t + d)%nat with (t + S d)%nat by lia. apply F. exact N.
    + unfold chain_of. intros k h N.
      destruct k as [|k]; cbn [nth_error] in N.
      * injection N as <-. exists (U (S t)). split; [exact Uy|]. cbn [pow recent lse]. rewrite Rmult_1_l, Rplus_0_r. unfold Rminus. rewrite Rplus_opp_r, Rabs_R0, Rmult_0_r. lra.
      * destruct (parent y) as [j|]; [|destruct k; discriminate]. destruct Py as [Es ->]. rewrite (nth_error_nth _ _ _ Nc) in N.
        assert (Uv : U (S t) = v) by (unfold after in Am; rewrite Sm, Es in Am; destruct (kind n); exact Am). rewrite Uv. exact (Kn k h N).
    + intros l' y' I2 I3. eapply B; [right; exact I2|exact I3].
Qed.
End Follow.

Lemma bits_sound : forall n ex a s sts t i u, path n ex a s sts t i u -> forall d st, nth_error sts d = Some st ->
  (fst (bits_of st) = true -> s (t + d)%nat = true) /\ (snd (bits_of st) = false -> s (t + d)%nat = false).
Proof.
  intros n ex a s. induction sts as [|st sts IH]; intros t i u P d st' E; [destruct d; discriminate|].
  cbn [path] in P. destruct P as [c [m [v [u' [Ec [_ [_ [Im [Sm [_ [_ [_ P]]]]]]]]]]]]. destruct d as [|d]; cbn [nth_error] in E.
  - injection E as <-. rewrite Nat.add_0_r, <- Sm. apply nth_error_In in Ec. unfold bits_of. cbn [fst snd]. split; intro H.
    + rewrite forallb_forall in H. specialize (H c Ec). rewrite forallb_forall in H. exact (H m Im).
    + destruct (spk m) eqn:E; [|reflexivity]. assert (existsb (fun c => existsb spk (moves c)) (cells st) = true).
      { apply existsb_exists. exists c. split; [exact Ec|]. apply existsb_exists. exists m. auto. } congruence.
  - replace (t + S d)%nat with (S t + d)%nat by lia. eapply IH; eassumption.
Qed.

(* ---- sums over windows along a graph ---------------------------------------------------------------------------------------------------------------- *)
Definition may_be (l : list (nat * (D * D))) (i : nat) (x : R) : Prop := exists b, In (i, b) l /\ among b x.
Lemma absorb_keeps : forall q b l r x, may_be l r x -> may_be (absorb q b l) r x.
Proof.
  intros q b l r x. induction l as [|[p c] l IH]; intros [d [I0 A]]; [inversion I0|]. cbn [absorb]. destruct (Nat.eqb_spec q p) as [->|N].
  - destruct I0 as [E|I0]; [injection E as -> ->; exists (hull b d); split; [left; reflexivity|apply hull_r; exact A]|exists d; split; [right; exact I0|exact A]].
  - destruct I0 as [E|I0]; [exists d; split; [left; exact E|exact A]|]. destruct IH as [d' [I1 A']]; [exists d; auto|]. exists d'. split; [right; exact I1|exact A'].
Qed.
Lemma absorb_new : forall q b l x, among b x -> may_be (absorb q b l) q x.
Proof.
  intros q b l x A. induction l as [|[p c] l [d [I1 A']]]; cbn [absorb]; [exists b; split; [left; reflexivity|exact A]|]. destruct (Nat.eqb_spec q p) as [->|N].
  - exists (hull b c). split; [left; reflexivity|apply hull_l; exact A].
  - exists d. split; [right; exact I1|exact A'].
Qed.
Lemma along_moves_sound : forall lam cs ends i x c m, 0 <= val lam -> may_be ends i x -> nth_error cs i = Some c -> In m (moves c) ->
  may_be (along_moves lam cs ends) (target m) (bit (spk m) + val lam * x).
Proof.
  intros lam cs ends i x c m L [b [Ib A]] Ec Im. unfold along_moves.
  set (into := fun (e : nat * (D * D)) acc (m : move) => absorb (target m) (down (add (digit (spk m)) (mul lam (fst (snd e)))), up (add (digit (spk m)) (mul lam (snd (snd e))))) acc).
  assert (K1 : forall e ms acc r y, may_be acc r y -> may_be (fold_left (into e) ms acc) r y).
  { intros e. induction ms as [|m0 ms IH]; intros acc r y H; [exact H|]. cbn [fold_left]. apply IH. apply absorb_keeps. exact H. }
  set (step := fun acc (e : nat * (D * D)) => match nth_error cs (fst e) with Some c => fold_left (into e) (moves c) acc | None => acc end).
  change (may_be (fold_left step ends []) (target m) (bit (spk m) + val lam * x)).
  assert (K2 : forall es acc r y, may_be acc r y -> may_be (fold_left step es acc) r y).
  { induction es as [|e es IH]; intros acc r y H; [exact H|]. cbn [fold_left]. apply IH. unfold step. destruct (nth_error cs (fst e)); [apply K1; exact H|exact H]. }
  assert (K3 : forall ms acc, In m ms -> may_be (fold_left (into (i, b)) ms acc) (target m) (bit (spk m) + val lam * x)).
  { induction ms as [|m0 ms IH]; intros acc I1; [inversion I1|]. cbn [fold_left]. destruct I1 as [->|I1]; [|apply IH; exact I1]. apply K1. unfold into. apply absorb_new.
    unfold among in *. cbn [fst snd]. destruct A as [A1 A2].
    pose proof (down_le (add (digit (spk m)) (mul lam (fst b)))) as Dn. pose proof (up_ge (add (digit (spk m)) (mul lam (snd b)))) as Up.
    rewrite val_add, val_mul, digit_bit in Dn, Up.
    assert (val lam * val (fst b) <= val lam * x) by (apply Rmult_le_compat_l; assumption). assert (val lam * x <= val lam * val (snd b)) by (apply Rmult_le_compat_l; assumption). lra. }
  assert (K4 : forall es acc, In (i, b) es -> may_be (fold_left step es acc) (target m) (bit (spk m) + val lam * x)).
  { induction es as [|e es IH]; intros acc I1; [inversion I1|]. cbn [fold_left]. destruct I1 as [->|I1]; [|apply IH; exact I1]. apply K2. unfold step. cbn [fst]. rewrite Ec. apply K3. exact Im. }
  apply K4. exact Ib.
Qed.
Lemma fold_hull : forall l b x, among b x \/ (exists c, In c l /\ among c x) -> among (fold_left hull l b) x.
Proof.
  induction l as [|c l IH]; intros b x H; cbn [fold_left]; [destruct H as [H|[c [[] _]]]; exact H|]. apply IH.
  destruct H as [H|[d [[->|I0] A]]]; [left; apply hull_l; exact H|left; apply hull_r; exact A|right; eauto].
Qed.
Lemma column_sound : forall n ex a s lam, 0 <= val lam -> forall sts t i u k ends, path n ex a s sts t i u -> may_be ends i (recent (val lam) (fun t => bit (s t)) k t) ->
  forall d b, nth_error (column lam ends sts) d = Some b -> among b (recent (val lam) (fun t => bit (s t)) (S (k + d)) (S (t + d))).
Proof.
  intros n ex a s lam L. induction sts as [|st sts IH]; intros t i u k ends P Th d b E; [destruct d; discriminate|].
  cbn [path] in P. destruct P as [c [m [v [u' [Ec [_ [_ [Im [Sm [_ [_ [_ P]]]]]]]]]]]]. cbn [column] in E. cbv zeta in E.
  pose proof (along_moves_sound lam (cells st) ends i _ c m L Th Ec Im) as N. set (now := along_moves lam (cells st) ends) in *. rewrite Sm in N.
  change (bit (s t) + val lam * recent (val lam) (fun t => bit (s t)) k t) with (recent (val lam) (fun t => bit (s t)) (S k) (S t)) in N.
  destruct now as [|e es] eqn:En; [destruct N as [d0 [[] _]]|]. destruct d as [|d]; cbn [nth_error] in E.
  - injection E as <-. rewrite !Nat.add_0_r. apply fold_hull. destruct N as [c0 [I0 A]]. destruct I0 as [->|I0]; [left; exact A|right]. exists c0. split; [|exact A].
    apply (in_map snd) in I0. exact I0.
  - replace (k + S d)%nat with (S k + d)%nat by lia. replace (t + S d)%nat with (S t + d)%nat by lia. eapply IH; [exact P|exact N|exact E].
Qed.
Lemma columns_sound : forall n ex a s lam, 0 <= val lam -> forall sts t i u, path n ex a s sts t i u -> forall d col j b, nth_error (columns lam sts) d = Some col -> nth_error col j = Some b ->
  among b (recent (val lam) (fun t => bit (s t)) (S j) (S (t + d + j))).
Proof.
  intros n ex a s lam L. induction sts as [|st sts IH]; intros t i u P d col j b E F; [destruct d; discriminate|]. cbn [columns] in E. destruct d as [|d]; cbn [nth_error] in E.
  - injection E as <-. rewrite Nat.add_0_r. eapply (column_sound n ex a s lam L (st :: sts) t i u 0); [exact P| |exact F].
    cbn [path] in P. destruct P as [c [m [v [u' [Ec _]]]]]. exists (zero, zero). split.
    + apply in_map_iff. exists i. split; [reflexivity|]. apply in_seq. assert (i < length (cells st))%nat by (apply nth_error_Some; congruence). lia.
    + unfold among. cbn [fst snd recent]. rewrite val_zero. lra.
  - cbn [path] in P. destruct P as [c [m [v [u' [_ [_ [_ [_ [_ [_ [_ [_ P]]]]]]]]]]]]. replace (t + S d + j)%nat with (S t + d + j)%nat by lia. eapply IH; eassumption.
Qed.
Lemma of_graph_ok : forall n ex a s lam sts i u, 0 <= val lam -> path n ex a s sts 0 i u -> table_ok (val lam) (fun t => bit (s t)) (of_graph lam sts).
Proof.
  intros n ex a s lam sts i u L P t k row b E F. unfold of_graph in E. cbv zeta in E. rewrite nth_error_map in E.
  destruct (nth_error (seq 0 (length sts)) t) as [t'|] eqn:Et; [|discriminate]. apply nth_error_seq in Et. destruct Et as [-> _]. cbn [option_map Nat.add] in E. injection E as <-.
  match type of F with nth_error (match ?e with _ => _ end) _ = _ => destruct e as [r|] eqn:Er; [|destruct k; discriminate] end.
  destruct (each_spec _ _ (fun k => match nth_error (columns lam sts) (t - k) with Some col => nth_error col k | None => None end) (seq 0 (S t)) r Er k) as [A _]. destruct (A b F) as [k' [Ek G]]. apply nth_error_seq in Ek. destruct Ek as [-> Lk]. cbn [Nat.add] in G.
  destruct (nth_error (columns lam sts) (t - k)) as [col|] eqn:Ec; [|discriminate].
  pose proof (columns_sound _ _ _ _ _ L _ _ _ _ P _ _ _ _ Ec G) as Z. replace (0 + (t - k) + k)%nat with t in Z by lia. exact Z.
Qed.

(* ---- rule P ------------------------------------------------------------------------------------------------------------------------------------ *)
Lemma value_sound : forall n ex k p bx c m a b const slope mult u cu v u', 0 <= val (value n ex k p bx c m a b const slope mult) ->
  val (clo c) <= u <= val (chi c) -> among bx cu -> Rabs (v - (val (decay n) * u + cu)) <= val ex -> val (plo m) <= v <= val (phi m) -> after n m v u' ->
  val a + val b * u <= val k * bit (spk m) - val p * cu + (val const + val slope * u').
Proof.
  intros n ex k p bx c m a b const slope mult u cu v u' V Hu Hc He Hv Ha. unfold value in V. cbv zeta in V.
  set (sl := if match kind n with Zero => negb (spk m) | _ => true end then slope else zero) in *.
  set (g := add sl mult) in *.
  pose proof (least_le (sub (mul g (decay n)) b) (clo c, chi c) u Hu) as L1. pose proof (least_le (sub g p) bx cu Hc) as L2.
  pose proof (abs_mult_le (val g) _ _ He) as L3.
  set (w1 := least (sub (mul g (decay n)) b) (clo c, chi c)) in *. set (w2 := least (sub g p) bx) in *.
  assert (L4 : val mult * v <= val mult * val (if leb zero mult then phi m else plo m)).
  { pose proof (leb_spec zero mult) as Z. rewrite val_zero in Z. destruct (leb zero mult); nra. }
  set (far := if leb zero mult then phi m else plo m) in *.
  set (paid := if match kind n with Subtract => spk m | _ => false end then add (mul sl (drop n)) (mul (dabs sl) (loss m)) else zero) in *.
  assert (L5 : val sl * v - val paid <= val slope * u').
  { unfold after in Ha. unfold paid, sl. destruct (kind n), (spk m); cbn [negb]; vals; try (subst u'; lra).
    pose proof (abs_mult_le (val slope) _ _ Ha). lra. }
  assert (Vk : val (if spk m then k else zero) = val k * bit (spk m)) by (destruct (spk m); cbn; vals; lra).
  set (kb := if spk m then k else zero) in *.
  assert (Vg : val g = val sl + val mult) by (unfold g; vals; reflexivity).
  rewrite !val_add, !val_sub, !val_add, val_opp, !val_mul, val_abs, Vk in V. rewrite !val_sub, val_mul in L1. rewrite val_sub in L2.
  replace (val g * (v - (val (decay n) * u + cu))) with (val sl * v + val mult * v - val g * (val (decay n) * u) - val g * cu) in L3 by (rewrite Vg; ring).
  lra.
Qed.
Lemma pieces_sound : forall n ex k p bx c m pieces u cu v u',
  val (clo c) <= u <= val (chi c) -> among bx cu -> Rabs (v - (val (decay n) * u + cu)) <= val ex -> val (plo m) <= v <= val (phi m) -> after n m v u' ->
  forall there hints, pieces_ok n ex k p bx c m pieces there hints = true -> forall const slope, In (const, slope) there ->
  exists a b, In (a, b) pieces /\ val a + val b * u <= val k * bit (spk m) - val p * cu + (val const + val slope * u').
Proof.
  intros n ex k p bx c m pieces u cu v u' Hu Hc He Hv Ha. induction there as [|[c0 s0] there IH]; intros hints H const slope I0; [inversion I0|].
  destruct hints as [|[i mult] hints]; cbn [pieces_ok] in H; [discriminate|]. destruct (nth_error pieces i) as [[a b]|] eqn:E; [|discriminate].
  apply andb_prop in H. destruct H as [H1 H2]. apply leb_true in H1. rewrite val_zero in H1. destruct I0 as [I0|I0].
  - injection I0 as <- <-. exists a, b. split; [eapply nth_error_In; exact E|]. eapply value_sound; eassumption.
  - eapply IH; eassumption.
Qed.
Lemma cells_nth : forall n ex k p bx next cs xs i c, cells_ok n ex k p bx next cs xs = true -> nth_error cs i = Some c ->
  exists x, nth_error xs i = Some x /\ cell_ok n ex k p bx next c x = true.
Proof.
  induction cs as [|d cs IH]; intros xs i c H E; [destruct i; discriminate|]. destruct xs as [|x xs]; [discriminate|]. cbn [cells_ok] in H.
  apply andb_prop in H. destruct H as [H1 H2]. destruct i; cbn in *; [injection E as ->; eauto|eauto].
Qed.
Theorem pots_sound : forall n ex a s sts t i u A mu pots, path n (val ex) a s sts t i u -> pots_ok n ex sts A mu pots = true ->
  match pots with
  | [] => 0 <= dot A (fun t => bit (s t)) t - dot mu a t
  | xs :: _ => exists x p q, nth_error xs i = Some x /\ In (p, q) (fst x) /\ val p + val q * u <= dot A (fun t => bit (s t)) t - dot mu a t
  end.
Proof.
  intros n ex a s. induction sts as [|st sts IH]; intros t i u A mu pots P H; cbn [pots_ok] in H.
  - destruct mu, pots; try discriminate. destruct A; [cbn; lra|discriminate].
  - destruct mu as [|pr mu]; [discriminate|]. destruct pots as [|xs pots]; [discriminate|]. apply andb_prop in H. destruct H as [H1 H2].
    cbn [path] in P. destruct P as [c [m [v [u' [Ec [Hu [Hc [Im [Sm [He [Hv [Ha P]]]]]]]]]]]].
    destruct (cells_nth _ _ _ _ _ _ _ _ _ _ H1 Ec) as [x [Ex Ok]]. unfold cell_ok in Ok. rewrite forallb_forall in Ok. specialize (Ok m Im).
    specialize (IH _ _ _ _ _ _ P H2). rewrite (dot_hd A). cbn [dot]. rewrite <- Sm.
    destruct pots as [|ys pots].
    + destruct (pieces_sound _ _ _ _ _ _ _ _ _ _ _ _ Hu Hc He Hv Ha _ _ Ok zero zero (or_introl eq_refl)) as [b0 [b1 [I1 L1]]].
      exists x, b0, b1. split; [exact Ex|]. split; [exact I1|]. vals. lra.
    + destruct IH as [y [p0 [q0 [Ey [I0 L0]]]]]. rewrite Ey in Ok.
      destruct (pieces_sound _ _ _ _ _ _ _ _ _ _ _ _ Hu Hc He Hv Ha _ _ Ok p0 q0 I0) as [b0 [b1 [I1 L1]]].
      exists x, b0, b1. split; [exact Ex|]. split; [exact I1|]. lra.
Qed.
Lemma least_piece_le : forall l v a b, least_piece l = Some v -> In (a, b) l -> val v <= val a.
Proof.
  intros l v a b H I0. destruct l as [|[a0 b0] l]; [discriminate|]. cbn [least_piece] in H. injection H as <-.
  destruct (fold_least _ (fun ab : D * D => fst ab) l a0) as [A B]. destruct I0 as [E|I0]; [injection E as -> _; exact A|exact (B _ I0)].
Qed.

(* ---- rule R, and neurons without a certificate ----------------------------------------------------------------------------------------------------- *)
Lemma seq_shift_map : forall (s : nat -> bool) T t, map s (seq t (S T)) = s t :: map s (seq (S t) T).
Proof. reflexivity. Qed.
Lemma spent_sound : forall s T A t, val (spent A (map s (seq t T))) <= dot A (fun t => bit (s t)) t.
Proof.
  intros s T A. revert T. induction A as [|a A IH]; intros T t; cbn [spent dot]; [vals; lra|]. destruct T as [|T]; cbn [seq map].
  - pose proof (IH O (S t)) as H. cbn in H. pose proof (bit_range (s t)).
    pose proof (least_le a (zero, one) (bit (s t)) ltac:(unfold among; cbn; vals; lra)). vals. lra.
  - specialize (IH T (S t)). destruct (s t); cbn [bit]; vals; lra.
Qed.
Lemma rows_least_sound : forall A mu rows r s T i, In r rows -> same_train T s (train r) -> val (from r) <= i <= val (til r) ->
  val (rows_least A mu rows) <= dot A (fun t => bit (s t)) 0 - val mu * i.
Proof.
  intros A mu rows r s T i I0 Tr Hi.
  assert (V : val (row_value A mu r) <= dot A (fun t => bit (s t)) 0 - val mu * i).
  { unfold row_value. rewrite val_sub, Tr. pose proof (spent_sound s T A 0). pose proof (most_ge mu (from r, til r) i Hi). lra. }
  destruct rows as [|r0 rows]; [inversion I0|]. cbn [rows_least]. destruct (fold_least _ (row_value A mu) rows (row_value A mu r0)) as [F1 F2].
  destruct I0 as [->|I0]; [lra|]. specialize (F2 r I0). lra.
Qed.
Definition bits_fact (s : nat -> bool) (t : nat) (bs : list (bool * bool)) : Prop :=
  forall d b, nth_error bs d = Some b -> (fst b = true -> s (t + d)%nat = true) /\ (snd b = false -> s (t + d)%nat = false).
Lemma bit_between : forall s b, (fst b = true -> s = true) -> (snd b = false -> s = false) -> among (between b) (bit s).
Proof.
  intros s [c p] C P. unfold among, between. cbn [fst snd] in *. rewrite !digit_bit.
  destruct c, p, s; cbn; try lra; (try (specialize (C eq_refl); discriminate)); (try (specialize (P eq_refl); discriminate)).
Qed.
Lemma cheapest_sound : forall s A bs t, bits_fact s t bs -> val (cheapest A bs) <= dot A (fun t => bit (s t)) t.
Proof.
  intros s. induction A as [|a A IH]; intros bs t F; cbn [cheapest dot]; [vals; lra|]. destruct bs as [|b bs].
  - pose proof (IH [] (S t)) as H. specialize (H ltac:(intros d b N; destruct d; discriminate)). pose proof (bit_range (s t)).
    pose proof (least_le a (zero, one) (bit (s t)) ltac:(unfold among; cbn; vals; lra)). vals. lra.
  - destruct (F 0%nat b eq_refl) as [C P]. rewrite Nat.add_0_r in C, P. pose proof (least_le a _ _ (bit_between _ _ C P)).
    assert (F' : bits_fact s (S t) bs) by (intros d b' N; replace (S t + d)%nat with (t + S d)%nat by lia; apply F; exact N).
    specialize (IH bs (S t) F'). vals. lra.
Qed.
Lemma unnamed_sound : forall X (f : list D -> X -> D) (spikes : nat -> nat -> R) here (xs : list X) v i, unnamed f here xs = Some v ->
  (forall k x A, nth_error xs k = Some x -> val (f A x) <= dot A (spikes (i + k)%nat) 0) -> val v <= dots here spikes i.
Proof.
  intros X f spikes. induction here as [|A here IH]; intros xs v i H O; cbn [unnamed] in H; [injection H as <-; vals; cbn; lra|].
  destruct xs as [|x xs]; [discriminate|]. destruct (unnamed f here xs) as [w|] eqn:E; [|discriminate]. injection H as <-. rewrite val_add. cbn [dots].
  assert (G : val w <= dots here spikes (S i)).
  { eapply IH; [exact E|]. intros k x' A' N. replace (S i + k)%nat with (i + S k)%nat by lia. apply O. exact N. }
  assert (V : val (match A with [] => zero | _ => f A x end) <= dot A (spikes i) 0).
  { destruct A as [|a A']; [cbn; vals; lra|]. specialize (O 0%nat x (a :: A') eq_refl). rewrite Nat.add_0_r in O. exact O. }
  lra.
Qed.
