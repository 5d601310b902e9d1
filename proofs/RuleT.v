(* Rule T: the trains of a neuron whose current is constant; each current that has a train lies in a row with that train. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Dyadic Check Rules.
Import ListNotations.
Open Scope R_scope.

Lemma trains_eqb_true : forall a b, trains_eqb a b = true -> a = b.
Proof.
  intros a b H. unfold trains_eqb in H. apply andb_prop in H. destruct H as [L F]. apply Nat.eqb_eq in L. revert b L F.
  induction a as [|x a IH]; intros [|y b] L F; cbn in *; try discriminate; [reflexivity|].
  apply andb_prop in F. destruct F as [E F]. apply eqb_prop in E. subst. f_equal. apply IH; [lia|exact F].
Qed.
Lemma covered_true : forall rows tr p q, covered rows tr p q = true -> exists x y, In (tr, (x, y)) rows /\ val x <= val p /\ val q <= val y.
Proof.
  intros rows tr p q H. unfold covered in H. apply existsb_exists in H. destruct H as [[tr' [x y]] [I H]]. cbn [fst snd] in H. tests.
  apply trains_eqb_true in H0. subst. exists x, y. auto.
Qed.

Section Constant.
Variables (n : neuron) (T : nat) (rows : list (list bool * (D * D))) (go : machine) (c : nat -> R).
Hypothesis (lam0 : 0 <= val (decay n)) (D0 : drives n go) (same_c : forall t, c t = c O).
Notation i := (c O).
Notation U := (potential go c).
Notation s := (spiked go c).
Lemma stp : forall t, stepped n (U t) i (s t) (U (S t)).
Proof. intro t. unfold spiked. cbn [potential]. rewrite (same_c t). apply D0. Qed.

Lemma repeats : forall f, kind n = Zero -> s f = true -> (forall t, (t < f)%nat -> s t = false) -> forall t, s t = Nat.eqb (Nat.modulo t (S f)) f.
Proof.
  intros f K E F.
  assert (R0 : U (S f) = 0). { pose proof (stp f) as [v [_ [_ A]]]. rewrite K, E in A. exact A. }
  assert (P : forall t, U (t + S f)%nat = U t).
  { induction t as [|t IH]; [exact R0|]. cbn [Nat.add potential]. rewrite IH, (same_c (t + S f)%nat), (same_c t). reflexivity. }
  assert (Q : forall t, s (t + S f)%nat = s t).
  { intro t. unfold spiked. rewrite P, (same_c (t + S f)%nat), (same_c t). reflexivity. }
  intro t. induction t as [t IH] using lt_wf_ind. destruct (Nat.lt_ge_cases t (S f)) as [L|G].
  - rewrite Nat.mod_small by exact L. destruct (Nat.eqb_spec t f) as [->|N]; [exact E|]. apply F. lia.
  - replace t with (t - S f + S f)%nat at 1 by lia. rewrite Q, IH by lia.
    replace t with (t - S f + 1 * S f)%nat at 2 by lia. rewrite Nat.Div0.mod_add. reflexivity.
Qed.

Lemma seq_snoc : forall k, map s (seq 0 (S k)) = map s (seq 0 k) ++ [s k].
Proof. intro k. rewrite seq_S, map_app. reflexivity. Qed.

Theorem walk_sound : forall k pre forced a ylo yhi p q, walk n rows k pre forced a ylo yhi p q = true -> (length pre + k = T)%nat ->
  rev pre = map s (seq 0 (length pre)) -> (forced = None -> kind n = Zero -> forall t, (t < length pre)%nat -> s t = false) ->
  (forall bs, forced = Some bs -> bs = map s (seq (length pre) k)) ->
  val p <= i <= val q -> val ylo <= U (length pre) - val a * i <= val yhi ->
  exists tr x y, In (tr, (x, y)) rows /\ same_train T s tr /\ val x <= i <= val y.
Proof.
  induction k as [|k IH]; intros pre forced a ylo yhi p q W L Pr Z Fo Hi Hu.
  - cbn [walk] in W. apply covered_true in W. destruct W as [x [y [I [A B]]]]. exists (rev pre), x, y.
    split; [exact I|]. split; [unfold same_train; rewrite Pr; f_equal; f_equal; lia|lra].
  - cbn [walk] in W. cbv zeta in W. set (t := length pre) in *.
    pose proof (size_ge (p, q) i Hi) as Ai. pose proof (size_ge (ylo, yhi) _ Hu) as Au. unfold size_of in Ai, Au. cbn [fst snd] in Ai, Au.
    set (im := dmax (dabs p) (dabs q)) in *. set (um := dmax (dabs ylo) (dabs yhi)) in *.
    destruct (stp t) as [v [Hv [Ht Hr]]].
    assert (Uu : Rabs (U t) <= val (add (mul (dabs a) im) um)).
    { vals. replace (U t) with (val a * i + (U t - val a * i)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult.
      assert (Rabs (val a) * Rabs i <= Rabs (val a) * val im) by (apply Rmult_le_compat_l; [apply Rabs_pos|exact Ai]). lra. }
    pose proof (slip_le n _ _ _ _ lam0 Uu Ai) as Sl. set (sl := slipD n (add (mul (dabs a) im) um) im) in *.
    set (a' := add (mul (decay n) a) one) in *.
    set (lo' := down (sub (mul (decay n) ylo) sl)) in *. set (hi' := up (add (mul (decay n) yhi) sl)) in *.
    apply andb_prop in W. destruct W as [W Wf]. apply andb_prop in W. destruct W as [Wa Ws]. apply ltb_true in Wa.
    rewrite val_zero in Wa.
    assert (Va : val a' = val (decay n) * val a + 1) by (unfold a'; vals; reflexivity).
    assert (Y : val lo' <= v - val a' * i <= val hi').
    { pose proof (down_le (sub (mul (decay n) ylo) sl)) as Dn. pose proof (up_ge (add (mul (decay n) yhi) sl)) as Up. fold lo' in Dn. fold hi' in Up. vals.
      rewrite Va. apply Rabs_le_inv in Hv. destruct Hu as [U1 U2].
      assert (val (decay n) * val ylo <= val (decay n) * (U t - val a * i)) by (apply Rmult_le_compat_l; assumption).
      assert (val (decay n) * (U t - val a * i) <= val (decay n) * val yhi) by (apply Rmult_le_compat_l; assumption).
      replace (v - (val (decay n) * val a + 1) * i) with ((v - (val (decay n) * U t + i)) + val (decay n) * (U t - val a * i)) by ring. lra. }
    assert (Pn : forall b, s t = b -> rev (b :: pre) = map s (seq 0 (length (b :: pre)))).
    { intros b E. cbn [rev length]. rewrite seq_snoc, Pr. fold t. rewrite E. reflexivity. }
    set (rest := match forced with Some (_ :: bs) => Some bs | _ => None end) in *.
    set (known := match forced with Some (b :: _) => Some b | _ => None end) in *.
    assert (Fk : known = None \/ known = Some (s t)).
    { unfold known. destruct forced as [[|b bs]|]; auto. right. specialize (Fo _ eq_refl). cbn in Fo. congruence. }
    assert (Fr : forall bs, rest = Some bs -> bs = map s (seq (S t) k)).
    { unfold rest. intros bs Eb. destruct forced as [[|b bs']|]; try discriminate. injection Eb as ->. specialize (Fo _ eq_refl). cbn in Fo. congruence. }
    assert (Fn : rest = None -> forced = None).
    { unfold rest. destruct forced as [[|b bs']|]; try discriminate; auto. specialize (Fo _ eq_refl). discriminate. }
    destruct (s t) eqn:E.
    + (* a spike *)
      assert (Kn : (match known with Some false => false | _ => true end) = true) by (destruct Fk as [->| ->]; reflexivity).
      set (bot := match under (sub (sub (theta n) (tieD n)) hi') a' with Some r => dmax p r | None => p end) in *.
      assert (B : val bot <= i).
      { unfold bot. destruct (under (sub (sub (theta n) (tieD n)) hi') a') as [r|] eqn:Eu; [|lra]. apply under_le in Eu. vals.
        apply Rmax_lub; [lra|]. apply (Rmult_le_reg_r (val a')); [exact Wa|]. lra. }
      assert (Bq : leb bot q = true) by (apply leb_iff; lra). rewrite Kn, Bq in Wf. cbn [andb] in Wf.
      destruct (kind n) eqn:K.
      * destruct (IH (true :: pre) _ _ _ _ _ _ Wf) as [tr [x [y R]]].
        -- cbn [length]. fold t. lia.
        -- apply Pn. reflexivity.
        -- intros C _. destruct forced; [|discriminate]. specialize (Fn C). discriminate.
        -- cbn [length]. fold t. intros bs Eb. destruct forced; [exact (Fr bs Eb)|]. injection Eb as <-. unfold cycle. apply map_ext. intro t0. symmetry.
           apply repeats; [exact K|exact E|apply Z; reflexivity].
        -- split; [exact B|exact (proj2 Hi)].
        -- cbn [length]. fold t. rewrite Hr, val_zero. lra.
        -- exists tr, x, y. exact R.
      * destruct (IH (true :: pre) _ _ _ _ _ _ Wf) as [tr [x [y R]]].
        -- cbn [length]. fold t. lia.
        -- apply Pn. reflexivity.
        -- intros _ C; discriminate.
        -- cbn [length]. fold t. exact Fr.
        -- split; [exact B|exact (proj2 Hi)].
        -- cbn [length]. fold t. apply Rabs_le_inv in Hr.
           assert (Vv : Rabs v <= val (add (mul (dabs a') im) (dmax (dabs lo') (dabs hi')))).
           { pose proof (size_ge (lo', hi') _ Y) as Av. unfold size_of in Av. cbn [fst snd] in Av. rewrite val_add, val_mul, val_abs.
             replace v with (val a' * i + (v - val a' * i)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult.
             assert (Rabs (val a') * Rabs i <= Rabs (val a') * val im) by (apply Rmult_le_compat_l; [apply Rabs_pos|exact Ai]). lra. }
           pose proof (lost_le n _ _ Vv) as Lo. rewrite !val_sub, !val_add, ?val_sub. lra.
        -- exists tr, x, y. exact R.
      * destruct (IH (true :: pre) _ _ _ _ _ _ Wf) as [tr [x [y R]]].
        -- cbn [length]. fold t. lia.
        -- apply Pn. reflexivity.
        -- intros _ C; discriminate.
        -- cbn [length]. fold t. exact Fr.
        -- split; [exact B|exact (proj2 Hi)].
        -- cbn [length]. fold t. rewrite Hr. exact Y.
        -- exists tr, x, y. exact R.
    + (* silence *)
      assert (Kn : (match known with Some true => false | _ => true end) = true) by (destruct Fk as [->| ->]; reflexivity).
      set (top := match over (sub (add (theta n) (tieD n)) lo') a' with Some r => dmin q r | None => q end) in *.
      assert (B : i <= val top).
      { unfold top. destruct (over (sub (add (theta n) (tieD n)) lo') a') as [r|] eqn:Eu; [|lra]. apply over_ge in Eu. vals.
        apply Rmin_glb; [lra|]. apply (Rmult_le_reg_r (val a')); [exact Wa|]. lra. }
      assert (Bq : leb p top = true) by (apply leb_iff; lra). rewrite Kn, Bq in Ws. cbn [andb] in Ws.
      destruct (IH (false :: pre) _ _ _ _ _ _ Ws) as [tr [x [y R]]].
      * cbn [length]. fold t. lia.
      * apply Pn. reflexivity.
      * intros C K t' L'. cbn [length] in L'. fold t in L'. destruct (Nat.eq_dec t' t) as [->|]; [exact E|]. apply Z; [exact (Fn C)|exact K|lia].
      * cbn [length]. fold t. exact Fr.
      * split; [exact (proj1 Hi)|exact B].
      * cbn [length]. fold t. assert (Rv : U (S t) = v) by (destruct (kind n); exact Hr). rewrite Rv. exact Y.
      * exists tr, x, y. exact R.
Qed.
Theorem walked : forall b e, walks n T rows b e = true -> val (fst b) - val e <= i <= val (snd b) + val e ->
  exists tr x y, In (tr, (x, y)) rows /\ same_train T s tr /\ val x <= i <= val y.
Proof.
  intros b e W H. unfold walks in W. cbv zeta in W. apply andb_prop in W. destruct W as [W1 W2].
  destruct (Rle_lt_dec i 0) as [L|G].
  - assert (E : leb (sub (fst b) e) zero = true) by (apply leb_iff; vals; lra). rewrite E in W1.
    eapply walk_sound; [exact W1|..]; cbn [length rev seq map Nat.add potential]; rewrite ?val_min, ?val_sub, ?val_add, ?val_zero; try reflexivity; try lra; try (intros; discriminate); [intros; lia|].
    split; [lra|apply Rmin_glb; lra].
  - assert (E : leb zero (add (snd b) e) = true) by (apply leb_iff; vals; lra). rewrite E in W2.
    eapply walk_sound; [exact W2|..]; cbn [length rev seq map Nat.add potential]; rewrite ?val_max, ?val_sub, ?val_add, ?val_zero; try reflexivity; try lra; try (intros; discriminate); [intros; lia|].
    split; [apply Rmax_lub; lra|lra].
Qed.
End Constant.
