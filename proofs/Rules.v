(* Each rule by itself: what a passed check says of real numbers. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Dyadic Ways Check.
Import ListNotations.
Open Scope R_scope.

Ltac vals := autorewrite with vals in *.
Ltac tests := repeat match goal with
  | H : (_ && _)%bool = true |- _ => apply andb_prop in H; destruct H
  | H : leb _ _ = true |- _ => apply leb_true in H
  | H : ltb _ _ = true |- _ => apply ltb_true in H
  end.

(* ---- lists --------------------------------------------------------------------------------------------------------------------------- *)
Lemma put_spec : forall X i (x : X) l k y, nth_error (put i x l) k = Some y -> (k = i /\ y = x) \/ (k <> i /\ nth_error l k = Some y).
Proof.
  intros X i x l. revert i. induction l as [|z l IH]; intros i k y H; destruct i, k; cbn in H; try discriminate.
  - left. split; congruence.
  - right. split; [discriminate|exact H].
  - right. split; [discriminate|exact H].
  - destruct (IH _ _ _ H) as [[A B]|[A B]]; [left; split; congruence|right; split; [congruence|exact B]].
Qed.
Lemma put_some : forall X i (x : X) l k y, nth_error (put i x l) k = Some y -> exists z, nth_error l k = Some z.
Proof.
  intros X i x l. revert i. induction l as [|z l IH]; intros i k y H; destruct i, k; cbn in *; try discriminate; eauto.
Qed.
Lemma zip_spec : forall X Y Z (f : X -> Y -> Z) a b k z, nth_error (zip f a b) k = Some z ->
  exists x y, nth_error a k = Some x /\ nth_error b k = Some y /\ z = f x y.
Proof.
  intros X Y Z f a. induction a as [|x a IH]; intros b k z H; [destruct k; discriminate|]. destruct b as [|y b]; [destruct k; discriminate|].
  destruct k; cbn in *; [injection H as <-; eauto|eauto].
Qed.
Lemma zip_given : forall X Y Z (f : X -> Y -> Z) a b k x y, nth_error a k = Some x -> nth_error b k = Some y -> nth_error (zip f a b) k = Some (f x y).
Proof.
  intros X Y Z f a. induction a as [|z a IH]; intros b k x y H G; [destruct k; discriminate|]. destruct b as [|w b]; [destruct k; discriminate|].
  destruct k; cbn in *; [congruence|eauto].
Qed.
Lemma found_at_nth : forall X (l : list X) k, found_at k l = nth_error l k.
Proof.
  intros X l k. unfold found_at. assert (G : forall (l : list X) i k, found_from i (i + k) l = nth_error l k); [|exact (G l 0%nat k)].
  clear. induction l as [|x l IH]; intros i k; [destruct k; reflexivity|]. cbn [found_from]. destruct k as [|k]; [rewrite Nat.add_0_r, Nat.eqb_refl; reflexivity|].
  destruct (Nat.eqb_spec i (i + S k)); [lia|]. replace (i + S k)%nat with (S i + k)%nat by lia. apply IH.
Qed.
Lemma each_spec : forall X Y (f : X -> option Y) l r, each f l = Some r -> forall k,
  (forall y, nth_error r k = Some y -> exists x, nth_error l k = Some x /\ f x = Some y) /\ (forall x, nth_error l k = Some x -> exists y, nth_error r k = Some y /\ f x = Some y).
Proof.
  intros X Y f l. induction l as [|x l IH]; intros r H k; cbn in H.
  - injection H as <-. split; intros; destruct k; discriminate.
  - destruct (f x) eqn:E; [|discriminate]. destruct (each f l) eqn:F; [|discriminate]. injection H as <-.
    destruct k; cbn; [split; intros ? A; injection A as <-; eauto|exact (IH _ eq_refl k)].
Qed.
Lemma each_none : forall X Y (f : X -> option Y) l, each f l = None -> exists k x, nth_error l k = Some x /\ f x = None.
Proof.
  intros X Y f l. induction l as [|x l IH]; intro H; cbn in H; [discriminate|].
  destruct (f x) eqn:E; [|exists 0%nat, x; auto]. destruct (each f l) eqn:F; [discriminate|]. destruct (IH eq_refl) as [k [z A]]. exists (S k), z. exact A.
Qed.
Lemma each_length : forall X Y (f : X -> option Y) l r, each f l = Some r -> length r = length l.
Proof.
  intros X Y f l. induction l as [|x l IH]; intros r H; cbn in H; [injection H as <-; reflexivity|].
  destruct (f x); [|discriminate]. destruct (each f l); [|discriminate]. injection H as <-. cbn. f_equal. auto.
Qed.
Lemma fold_max : forall l m, val m <= val (fold_left dmax l m) /\ forall x, In x l -> val x <= val (fold_left dmax l m).
Proof.
  induction l as [|y l IH]; intro m; cbn; [split; [lra|intros ? []]|]. destruct (IH (dmax m y)) as [A B].
  rewrite val_max in A. pose proof (Rmax_l (val m) (val y)). pose proof (Rmax_r (val m) (val y)).
  split; [lra|]. intros x [<-|I]; [lra|auto].
Qed.
Lemma fold_least : forall X (f : X -> D) l m, val (fold_left (fun m r => dmin m (f r)) l m) <= val m /\ forall x, In x l -> val (fold_left (fun m r => dmin m (f r)) l m) <= val (f x).
Proof.
  induction l as [|y l IH]; intro m; cbn; [split; [lra|intros ? []]|]. destruct (IH (dmin m (f y))) as [A B].
  rewrite val_min in A. pose proof (Rmin_l (val m) (val (f y))). pose proof (Rmin_r (val m) (val (f y))).
  split; [lra|]. intros x [<-|I]; [lra|auto].
Qed.
Lemma fold_most : forall X (f : X -> D) l m, val m <= val (fold_left (fun m r => dmax m (f r)) l m) /\ forall x, In x l -> val (f x) <= val (fold_left (fun m r => dmax m (f r)) l m).
Proof.
  induction l as [|y l IH]; intro m; cbn; [split; [lra|intros ? []]|]. destruct (IH (dmax m (f y))) as [A B].
  rewrite val_max in A. pose proof (Rmax_l (val m) (val (f y))). pose proof (Rmax_r (val m) (val (f y))).
  split; [lra|]. intros x [<-|I]; [lra|auto].
Qed.

(* ---- rows along columns ------------------------------------------------------------------------------------------------------------------ *)
Lemma along_sound : forall (X Y M : Type) (f : D -> X -> Y -> Y) (ok : nat -> X -> Prop) (C : Y -> M -> Prop) (op : M -> nat * D -> M),
  (forall j w x y m, ok j x -> C y m -> C (f w x y) (op m (j, w))) ->
  forall xs ws i acc m y, (forall k x, nth_error xs k = Some x -> ok (i + k)%nat x) -> C acc m -> along f i xs ws acc = Some y -> C y (fold_left op ws m).
Proof.
  intros X Y M f ok C op St. induction xs as [|x xs IH]; intros ws i acc m y O A H.
  - destruct ws as [|[j w] ws]; cbn in H; [injection H as <-; exact A|discriminate].
  - destruct ws as [|[j w] ws]; cbn in H; [injection H as <-; exact A|].
    assert (O' : forall k x', nth_error xs k = Some x' -> ok (S i + k)%nat x').
    { intros k x' E. replace (S i + k)%nat with (i + S k)%nat by lia. apply O. exact E. }
    destruct (Nat.eqb_spec j i) as [->|N].
    + cbn [fold_left]. eapply IH; [exact O'| |exact H]. apply St; [|exact A]. specialize (O 0%nat x eq_refl). rewrite Nat.add_0_r in O. exact O.
    + eapply IH; [exact O'|exact A|exact H].
Qed.
Lemma weighted_fold : forall x ws m, fold_left (fun m (jw : nat * D) => m + val (snd jw) * x (fst jw)) ws m = m + weighted ws x.
Proof. intros x ws. induction ws as [|[j w] ws IH]; intro m; cbn; [lra|]. rewrite IH. fold (weighted ws x). lra. Qed.
Lemma weighted_ext : forall ws x z, (forall i, x i = z i) -> weighted ws x = weighted ws z.
Proof. intros ws x z H. induction ws as [|[j w] ws IH]; cbn; [reflexivity|]. fold (weighted ws x) (weighted ws z). rewrite IH, H. reflexivity. Qed.

Lemma image_of_sound : forall start boxes ws b m x, image_of start boxes ws = Some b -> among start m -> (forall k bx, nth_error boxes k = Some bx -> among bx (x k)) ->
  among b (m + weighted ws x).
Proof.
  intros start boxes ws b m x H S O. unfold image_of in H.
  eapply (along_sound _ _ R _ (fun k bx => among bx (x k)) (fun acc m => among acc m) (fun m jw => m + val (snd jw) * x (fst jw))) with (i := 0%nat) (m := m) in H.
  - rewrite weighted_fold in H. exact H.
  - intros j w bx [c d] m' A [C1 C2]. cbn [fst snd] in C1, C2. destruct (nought (fst bx) && nought (snd bx))%bool eqn:N.
    + apply andb_prop in N as [N1 N2]. apply nought_zero in N1, N2. unfold among in *. cbn [fst snd] in *. assert (X : x j = 0) by lra. rewrite X, Rmult_0_r. lra.
    + pose proof (least_le w bx (x j) A). pose proof (most_ge w bx (x j) A). unfold among in *. cbn [fst snd] in *. vals. lra.
  - intros k bx E. exact (O k bx E).
  - exact S.
Qed.
Lemma image_sound : forall boxes r b x, image boxes r = Some b -> (forall k bx, nth_error boxes k = Some bx -> among bx (x k)) -> among b (affine r x).
Proof.
  intros boxes r b x H O. unfold affine. rewrite Rplus_comm. apply (image_of_sound _ _ _ _ _ _ H); [unfold among; cbn; lra|exact O].
Qed.

Lemma moduli_0 : forall ws x, 0 <= moduli ws x.
Proof. intros ws x. induction ws as [|[j w] ws IH]; cbn; [lra|]. fold (moduli ws x). pose proof (Rabs_pos (val w)). pose proof (Rabs_pos (x j)). nra. Qed.
Lemma allowanceD_ge : forall ws b n m x, (length (met ws x) <= n)%nat -> moduli ws x <= val m -> allowance (ws, b) x <= val (allowanceD n m b).
Proof.
  intros ws b n m x E1 E2. unfold allowance, allowanceD. cbn [fst snd]. eapply Rle_trans; [|apply up_ge]. vals.
  assert (G : 0 <= gamma (length (met ws x) + 1) <= gamma (n + 1)) by (apply gamma_mono; lia).
  pose proof (moduli_0 ws x). pose proof (Rabs_pos (val b)). pose proof tiny_pos.
  assert (L : INR (length (met ws x) + 2) <= INR (n + 2)) by (apply le_INR; lia).
  assert (gamma (length (met ws x) + 1) * (moduli ws x + Rabs (val b)) <= gamma (n + 1) * (val m + Rabs (val b))) by (apply Rmult_le_compat; lra).
  assert (INR (length (met ws x) + 2) * tiny <= INR (n + 2) * tiny) by (apply Rmult_le_compat_r; lra). lra.
Qed.
Lemma err_sound : forall sizes r e x, err_of sizes r = Some e -> (forall k z, nth_error sizes k = Some z -> Rabs (x k) <= val z) -> allowance r x <= val e.
Proof.
  intros sizes [ws b0] e x H O. unfold err_of in H. unfold allowance. cbn [fst snd] in *.
  match type of H with match ?a with _ => _ end = _ => destruct a as [[n m]|] eqn:E; [|discriminate] end. injection H as <-.
  set (op := fun (a : nat * R) (jw : nat * D) => ((if Req_EM_T (val (snd jw) * x (fst jw)) 0 then fst a else S (fst a)), snd a + Rabs (val (snd jw)) * Rabs (x (fst jw)))).
  assert (Fd : forall l a, fold_left op l a = ((fst a + length (met l x))%nat, snd a + moduli l x)).
  { induction l as [|[j w] l IH]; intros [a1 a2]; cbn [fold_left met filter moduli fold_right length]; [cbn; f_equal; [lia|lra]|].
    rewrite IH. unfold op. cbn [fst snd]. fold (moduli l x). fold (met l x). destruct (Req_EM_T (val w * x j) 0); cbn [length fst snd]; fold (met l x); f_equal; try lia; lra. }
  eapply (along_sound _ _ (nat * R) _ (fun k z => Rabs (x k) <= val z) (fun (acc : nat * D) (a : nat * R) => (fst a <= fst acc)%nat /\ snd a <= val (snd acc)) op)
    with (i := 0%nat) (m := (0%nat, 0)) in E.
  - rewrite Fd in E. cbn [fst snd] in E. destruct E as [E1 E2]. rewrite Rplus_0_l in E2. cbn [Nat.add] in E1. exact (allowanceD_ge ws b0 n m x E1 E2).
  - intros j w z [n1 m1] [n2 m2] A [C1 C2]. unfold op. cbn [fst snd] in *.
    assert (P : 0 <= Rabs (val w)) by apply Rabs_pos. assert (Q : 0 <= Rabs (x j)) by apply Rabs_pos.
    destruct (nought w) eqn:Ew; cbn [orb].
    + apply nought_zero in Ew. rename Ew into W.
      assert (Z0 : val w * x j = 0) by (rewrite W; ring). assert (Z1 : Rabs (val w) * Rabs (x j) = 0) by (rewrite W, Rabs_R0; ring).
      destruct (Req_EM_T (val w * x j) 0) as [|N]; [|contradiction]. split; [exact C1|cbn [fst snd]; lra].
    + destruct (leb z zero) eqn:Ez.
      * apply leb_true in Ez. vals. assert (X0 : x j = 0) by (destruct (Req_EM_T (x j) 0) as [|N]; [assumption|apply Rabs_pos_lt in N; lra]).
        assert (Z0 : val w * x j = 0) by (rewrite X0; ring). assert (Z1 : Rabs (val w) * Rabs (x j) = 0) by (rewrite X0, Rabs_R0; ring).
        destruct (Req_EM_T (val w * x j) 0) as [|N]; [|contradiction]. split; [exact C1|cbn [snd]; lra].
      * cbn [fst snd]. vals. split; [destruct (Req_EM_T (val w * x j) 0); lia|].
        assert (Rabs (val w) * Rabs (x j) <= Rabs (val w) * val z) by (apply Rmult_le_compat_l; assumption). lra.
  - intros k z E'. exact (O k z E').
  - cbn. vals. split; [lia|lra].
Qed.

(* ---- costs over time ------------------------------------------------------------------------------------------------------------------------- *)
Fixpoint dot (A : list D) (g : nat -> R) (t : nat) : R := match A with [] => 0 | a :: A => val a * g t + dot A g (S t) end.
Fixpoint dots (B : list (list D)) (f : nat -> nat -> R) (i : nat) : R := match B with [] => 0 | b :: B => dot b (f i) 0 + dots B f (S i) end.
Lemma dot_ext : forall A g h t, (forall k, g k = h k) -> dot A g t = dot A h t.
Proof. induction A; intros; cbn; [reflexivity|]. rewrite (IHA g h), H; auto. Qed.
Lemma dot_hd : forall A g t, dot A g t = val (hd zero A) * g t + dot (tl A) g (S t).
Proof. destruct A; intros; cbn; [vals; lra|reflexivity]. Qed.
Lemma bump_sound : forall w mu b g t, dot (bump w mu b) g t = dot b g t + val w * dot mu g t.
Proof.
  induction mu as [|m mu IH]; intros b g t; cbn; [lra|]. destruct b as [|x b]; cbn; rewrite IH; vals; cbn; lra.
Qed.
Lemma dot_plus : forall mu g h t, dot mu (fun k => g k + h k) t = dot mu g t + dot mu h t.
Proof. induction mu; intros; cbn; [lra|]. rewrite IHmu. lra. Qed.
Lemma dot_scale : forall mu k g t, dot mu (fun i => k * g i) t = k * dot mu g t.
Proof. induction mu; intros; cbn; [lra|]. rewrite IHmu. lra. Qed.
Lemma dot_zero : forall mu t, dot mu (fun _ => 0) t = 0.
Proof. induction mu; intros; cbn; [lra|]. rewrite IHmu. lra. Qed.
Lemma dot_const : forall mu b t, dot mu (fun _ => b) t = val (sum mu) * b.
Proof. induction mu; intros; cbn; vals; [lra|]. rewrite IHmu. lra. Qed.
Lemma spread_sound : forall B i ws mu B' f, spread i ws mu B = Some B' -> dots B' f i = dots B f i + dot mu (fun t => weighted ws (fun j => f j t)) 0.
Proof.
  induction B as [|b B IH]; intros i ws mu B' f H; destruct ws as [|[j w] ws]; cbn [spread] in H; try discriminate.
  - injection H as <-. cbn. rewrite dot_zero. lra.
  - injection H as <-. cbn [weighted fold_right]. rewrite dot_zero. lra.
  - destruct (Nat.eqb_spec j i) as [->|N].
    + destruct (spread (S i) ws mu B) eqn:E; [|discriminate]. injection H as <-. cbn [dots]. rewrite (IH _ _ _ _ f E), bump_sound.
      rewrite (dot_ext mu (fun t => weighted ((i, w) :: ws) (fun j => f j t)) (fun t => val w * f i t + weighted ws (fun j => f j t))) by reflexivity.
      rewrite dot_plus, dot_scale. rewrite (dot_ext mu (f i) (fun t => f i t)) by reflexivity. lra.
    + destruct (spread (S i) ((j, w) :: ws) mu B) eqn:E; [|discriminate]. injection H as <-. cbn [dots]. rewrite (IH _ _ _ _ f E). lra.
Qed.
Lemma dots_empty : forall n f i, dots (repeat [] n) f i = 0.
Proof. induction n; intros; cbn; [reflexivity|]. rewrite IHn. lra. Qed.
Lemma dots_put : forall B j A f i, nth_error B j = Some A -> dots (put j [] B) f i = dots B f i - dot A (f (i + j)%nat) 0.
Proof.
  induction B as [|b B IH]; intros j A f i H; destruct j; cbn in H; try discriminate.
  - injection H as ->. cbn. rewrite Nat.add_0_r. lra.
  - cbn. rewrite (IH _ _ _ _ H). replace (S i + j)%nat with (i + S j)%nat by lia. lra.
Qed.
Lemma corner_sound : forall B boxes v x i, corner B boxes = Some v -> (forall k b, nth_error boxes k = Some b -> among b (x (i + k)%nat)) ->
  val v <= dots B (fun i _ => x i) i.
Proof.
  induction B as [|b B IH]; intros boxes v x i H O; cbn in H; [injection H as <-; vals; cbn; lra|].
  destruct boxes as [|bx boxes]; [discriminate|]. destruct (corner B boxes) eqn:E; [|discriminate]. injection H as <-. vals. cbn [dots].
  assert (G : val d <= dots B (fun i _ => x i) (S i)).
  { eapply IH; [exact E|]. intros k b' Hb. replace (S i + k)%nat with (i + S k)%nat by lia. apply O. exact Hb. }
  assert (A : among bx (x i)) by (specialize (O 0%nat bx eq_refl); rewrite Nat.add_0_r in O; exact O).
  assert (L : forall l t, val (sum (map (fun k => least k bx) l)) <= dot l (fun _ => x i) t).
  { induction l as [|k l IHl]; intro t; cbn; vals; [lra|]. pose proof (least_le k bx _ A). specialize (IHl (S t)). lra. }
  specialize (L b 0%nat). lra.
Qed.

Lemma dots_ext : forall B f g i, (forall k t, (k < length B)%nat -> f (i + k)%nat t = g (i + k)%nat t) -> dots B f i = dots B g i.
Proof.
  induction B as [|b B IH]; intros f g i H; cbn [dots]; [reflexivity|]. f_equal.
  - apply dot_ext. intro t. specialize (H 0%nat t ltac:(cbn; lia)). rewrite Nat.add_0_r in H. exact H.
  - apply IH. intros q t L. replace (S i + q)%nat with (i + S q)%nat by lia. apply H. cbn. lia.
Qed.
Lemma dots_shift : forall B f a i, dots B f (a + i)%nat = dots B (fun k => f (a + k)%nat) i.
Proof. induction B as [|b B IH]; intros f a i; cbn [dots]; [reflexivity|]. rewrite <- IH. replace (a + S i)%nat with (S (a + i)) by lia. reflexivity. Qed.
Lemma dots_split : forall w B f i, dots B f i = dots (firstn w B) f i + dots (skipn w B) f (i + w)%nat.
Proof.
  induction w as [|w IH]; intros B f i; [cbn; rewrite Nat.add_0_r; lra|]. destruct B as [|b B]; [cbn; lra|]. cbn [firstn skipn dots]. rewrite (IH B f (S i)).
  replace (S i + w)%nat with (i + S w)%nat by lia. lra.
Qed.

(* ---- tables of faded sums ---------------------------------------------------------------------------------------------------------------------- *)
Fixpoint recent (lam : R) (f : nat -> R) (k t : nat) : R :=                       (* of k last terms, after t steps *)
  match k, t with S k, S t => f t + lam * recent lam f k t | _, _ => 0 end.
Lemma recent_ext : forall lam f g, (forall i, f i = g i) -> forall k t, recent lam f k t = recent lam g k t.
Proof. intros lam f g H. induction k; intros [|t]; cbn; try reflexivity. rewrite IHk, H. reflexivity. Qed.
Lemma recent_sum : forall lam f g w k t, recent lam (fun i => f i + w * g i) k t = recent lam f k t + w * recent lam g k t.
Proof. intros lam f g w. induction k; intros [|t]; cbn; try lra. rewrite IHk. lra. Qed.

Definition table_ok (lam : R) (f : nat -> R) (tb : table) : Prop :=
  forall t k row b, nth_error tb t = Some row -> nth_error row k = Some b -> among b (recent lam f (S k) (S t)).
Definition shift (n : nat) (f : nat -> R) : nat -> R := fun t => f (n + t)%nat.

Lemma tabulate_sound : forall lam f, 0 <= val lam -> forall xs t0 before, (forall k b, nth_error xs k = Some b -> among b (f (t0 + k)%nat)) ->
  (forall k b, nth_error before k = Some b -> among b (recent (val lam) f (S k) t0)) ->
  forall t k row b, nth_error (tabulate lam before xs) t = Some row -> nth_error row k = Some b -> among b (recent (val lam) f (S k) (S (t0 + t))).
Proof.
  intros lam f L. induction xs as [|x xs IH]; intros t0 before X B t k row b E F; [destruct t; discriminate|].
  cbn [tabulate] in E. cbv zeta in E.
  set (now := map (fun r => (down (add (fst x) (mul lam (fst r))), up (add (snd x) (mul lam (snd r))))) ((zero, zero) :: before)) in *.
  assert (N : forall k b, nth_error now k = Some b -> among b (recent (val lam) f (S k) (S t0))).
  { intros k' b' G. unfold now in G. rewrite nth_error_map in G. destruct (nth_error ((zero, zero) :: before) k') as [r|] eqn:Er; [|discriminate].
    cbn in G. injection G as <-. assert (Ar : among r (recent (val lam) f k' t0)).
    { destruct k'; cbn in Er; [injection Er as <-; unfold among; cbn; vals; lra|]. apply B. exact Er. }
    assert (Ax : among x (f t0)) by (specialize (X O x eq_refl); rewrite Nat.add_0_r in X; exact X).
    destruct Ar as [A1 A2], Ax as [A3 A4].
    change (recent (val lam) f (S k') (S t0)) with (f t0 + val lam * recent (val lam) f k' t0).
    unfold among. cbn [fst snd].
    pose proof (down_le (add (fst x) (mul lam (fst r)))) as Dn. pose proof (up_ge (add (snd x) (mul lam (snd r)))) as Up. vals.
    assert (val lam * val (fst r) <= val lam * recent (val lam) f k' t0) by (apply Rmult_le_compat_l; assumption).
    assert (val lam * recent (val lam) f k' t0 <= val lam * val (snd r)) by (apply Rmult_le_compat_l; assumption). lra. }
  destruct t as [|t]; cbn [nth_error] in E.
  - injection E as <-. rewrite Nat.add_0_r. apply N. exact F.
  - replace (t0 + S t)%nat with (S t0 + t)%nat by lia. eapply IH; [| |exact E|exact F].
    + intros k' b' G. replace (S t0 + k')%nat with (t0 + S k')%nat by lia. apply X. exact G.
    + exact N.
Qed.
Lemma tabulate_ok : forall lam f xs, 0 <= val lam -> (forall k b, nth_error xs k = Some b -> among b (f k)) -> table_ok (val lam) f (tabulate lam [] xs).
Proof.
  intros lam f xs L X t k row b E F. change (S t) with (S (0 + t)). eapply tabulate_sound; [exact L|exact X| |exact E|exact F].
  intros k' b' G. destruct k'; discriminate.
Qed.
Lemma tab_ok : forall deep lam f xs, 0 <= val lam -> (forall k b, nth_error xs k = Some b -> among b (f k)) -> table_ok (val lam) f (tab deep lam xs).
Proof.
  intros deep lam f xs L X. destruct deep; [apply tabulate_ok; assumption|]. intros t k row b E F. unfold tab in E. rewrite nth_error_map in E.
  destruct (nth_error xs t) as [x|] eqn:Ex; [|discriminate]. cbn in E. injection E as <-. destruct k as [|k]; [|destruct k; discriminate]. cbn in F. injection F as <-.
  cbn [recent]. rewrite Rmult_0_r, Rplus_0_r. apply X. exact Ex.
Qed.
Lemma hull_l : forall p q x, among p x -> among (hull p q) x.
Proof. intros p q x H. unfold among, hull in *. cbn [fst snd]. rewrite val_min, val_max. pose proof (Rmin_l (val (fst p)) (val (fst q))). pose proof (Rmax_l (val (snd p)) (val (snd q))). lra. Qed.
Lemma hull_r : forall p q x, among q x -> among (hull p q) x.
Proof. intros p q x H. unfold among, hull in *. cbn [fst snd]. rewrite val_min, val_max. pose proof (Rmin_r (val (fst p)) (val (fst q))). pose proof (Rmax_r (val (snd p)) (val (snd q))). lra. Qed.
Lemma meet_ok : forall lam f a b, table_ok lam f a -> table_ok lam f b -> table_ok lam f (meet a b).
Proof.
  intros lam f a b Ha Hb t k row r E F. unfold meet in E. apply zip_spec in E. destruct E as [ra [rb [E1 [E2 ->]]]].
  apply zip_spec in F. destruct F as [p [q [F1 [F2 ->]]]]. specialize (Ha _ _ _ _ E1 F1). specialize (Hb _ _ _ _ E2 F2). unfold among in *. cbn [fst snd]. rewrite val_max, val_min.
  split; [apply Rmax_lub|apply Rmin_glb]; lra.
Qed.
Lemma join_l : forall lam f a b, table_ok lam f a -> table_ok lam f (join a b).
Proof.
  intros lam f a b H t k row r E F. unfold join in E. apply zip_spec in E. destruct E as [ra [rb [E1 [E2 ->]]]].
  apply zip_spec in F. destruct F as [p [q [F1 [F2 ->]]]]. apply hull_l. exact (H _ _ _ _ E1 F1).
Qed.
Lemma join_r : forall lam f a b, table_ok lam f b -> table_ok lam f (join a b).
Proof.
  intros lam f a b H t k row r E F. unfold join in E. apply zip_spec in E. destruct E as [ra [rb [E1 [E2 ->]]]].
  apply zip_spec in F. destruct F as [p [q [F1 [F2 ->]]]]. apply hull_r. exact (H _ _ _ _ E2 F2).
Qed.
Lemma fold_join : forall lam f ts t, table_ok lam f t \/ (exists b, In b ts /\ table_ok lam f b) -> table_ok lam f (fold_left join ts t).
Proof.
  intros lam f. induction ts as [|a ts IH]; intros t H; cbn.
  - destruct H as [H|[b [[] _]]]. exact H.
  - apply IH. destruct H as [H|[b [[<-|I] H]]]; [left; apply join_l; exact H|left; apply join_r; exact H|right; eauto].
Qed.
Definition same_train (T : nat) (s : nat -> bool) (tr : list bool) : Prop := tr = map s (seq 0 T).
Lemma digit_bit : forall s, val (digit s) = bit s. Proof. destruct s; cbn; vals; reflexivity. Qed.
#[global] Hint Rewrite digit_bit : vals.
Lemma bit_range : forall s, 0 <= bit s <= 1. Proof. destruct s; cbn; lra. Qed.
Lemma nth_error_seq : forall n a k x, nth_error (seq a n) k = Some x -> x = (a + k)%nat /\ (k < n)%nat.
Proof.
  induction n; intros a k x H; destruct k; cbn in H; try discriminate.
  - injection H as <-. lia.
  - apply IHn in H. lia.
Qed.
Lemma of_rows_ok : forall deep lam T s rows r, 0 <= val lam -> In r rows -> same_train T s (train r) -> table_ok (val lam) (fun t => bit (s t)) (of_rows deep lam rows).
Proof.
  intros deep lam T s rows r L I E. unfold of_rows.
  assert (O : table_ok (val lam) (fun t => bit (s t)) (tab deep lam (map exactly (train r)))).
  { apply tab_ok; [exact L|]. intros k b G. rewrite E, map_map, nth_error_map in G. destruct (nth_error (seq 0 T) k) as [i|] eqn:Ei; [|discriminate].
    apply nth_error_seq in Ei. cbn in G. injection G as <-. destruct Ei as [-> _]. change (0 + k)%nat with k. unfold among, exactly. cbn [fst snd]. rewrite digit_bit. lra. }
  apply (in_map (fun r => tab deep lam (map exactly (train r)))) in I. cbn beta in I.
  destruct (map (fun r0 => tab deep lam (map exactly (train r0))) rows) as [|t ts]; [inversion I|].
  apply fold_join. destruct I as [->|I]; [left; exact O|right; eauto].
Qed.
Lemma quiet_ok : forall T deep lam f, 0 <= val lam -> (forall t, (t < T)%nat -> f t = false) -> table_ok (val lam) (fun t => bit (f t)) (quiet T deep lam).
Proof.
  intros T deep lam f L Z. apply tab_ok; [exact L|]. intros k b E. assert (Lt : (k < T)%nat) by (rewrite <- (repeat_length (zero, zero) T); apply nth_error_Some; congruence).
  apply nth_error_In, repeat_spec in E. subst b. rewrite (Z k Lt). unfold among. cbn. vals. lra.
Qed.
Lemma recent_affine : forall lam r f k t, recent lam (fun t => affine r (fun i => f i t)) k t = val (snd r) * recent lam (fun _ => 1) k t + weighted (fst r) (fun i => recent lam (f i) k t).
Proof.
  intros lam [ws b] f. cbn [fst snd]. assert (Z : forall g, (forall i : nat, g i = 0) -> weighted ws g = 0).
  { intros g G. induction ws as [|[j w] ws IH]; cbn; [reflexivity|]. fold (weighted ws g). rewrite IH, G. ring. }
  induction k as [|k IH]; intros t; [cbn; rewrite Z by reflexivity; ring|]. destruct t as [|t]; [cbn; rewrite Z by reflexivity; ring|].
  cbn [recent]. rewrite IH. unfold affine. cbn [fst snd]. clear IH Z. induction ws as [|[j w] ws IH]; cbn; [ring|].
  fold (weighted ws (fun i => f i t)). fold (weighted ws (fun i => recent lam (f i) k t)). fold (weighted ws (fun i => f i t + lam * recent lam (f i) k t)). lra.
Qed.

(* ---- what a row picks of the columns ---- *)
Lemma pick_spec : forall X (P : nat -> X -> Prop) xs i ws p, pick i xs ws = Some p -> (forall k x, nth_error xs k = Some x -> P (i + k)%nat x) ->
  Forall2 (fun (p : D * X) (jw : nat * D) => fst p = snd jw /\ P (fst jw) (snd p)) p ws.
Proof.
  intros X P. induction xs as [|x xs IH]; intros i ws p H A; destruct ws as [|[j w] ws]; cbn [pick] in H; try discriminate; try (injection H as <-; constructor).
  assert (A' : forall k x', nth_error xs k = Some x' -> P (S i + k)%nat x') by (intros k x' E; replace (S i + k)%nat with (i + S k)%nat by lia; apply A; exact E).
  destruct (Nat.eqb_spec j i) as [->|_]; [|exact (IH _ _ _ H A')]. destruct (pick (S i) xs ws) as [q|] eqn:E; [|discriminate]. injection H as <-. constructor.
  - split; [reflexivity|]. specialize (A 0%nat x eq_refl). rewrite Nat.add_0_r in A. exact A.
  - exact (IH _ _ _ E A').
Qed.
Definition spans_ok (lam : R) (f : nat -> nat -> R) (t : nat) (p : D * table) (jw : nat * D) : Prop :=
  fst p = snd jw /\ forall d k row b, nth_error (snd p) d = Some row -> nth_error row k = Some b -> among b (recent lam (f (fst jw)) (S k) (S (t + d))).
Definition tops_ok (f : nat -> nat -> R) (t : nat) (p : D * list D) (jw : nat * D) : Prop :=
  fst p = snd jw /\ forall d z, nth_error (snd p) d = Some z -> Rabs (f (fst jw) (t + d)%nat) <= val z.
Lemma later_spans : forall lam f t p ws, Forall2 (spans_ok lam f t) p ws -> Forall2 (spans_ok lam f (S t)) (later_on p) ws.
Proof.
  intros lam f t p ws H. induction H as [|[w tb] jw p ws [E A] H IH]; [constructor|]. constructor; [|exact IH]. split; [exact E|]. cbn [fst snd] in *. intros d k row b N1 N2.
  replace (S t + d)%nat with (t + S d)%nat by lia. apply (A (S d) k row b); [|exact N2]. destruct tb; [destruct d; discriminate|exact N1].
Qed.
Lemma later_tops : forall f t p ws, Forall2 (tops_ok f t) p ws -> Forall2 (tops_ok f (S t)) (later_on p) ws.
Proof.
  intros f t p ws H. induction H as [|[w zs] jw p ws [E A] H IH]; [constructor|]. constructor; [|exact IH]. split; [exact E|]. cbn [fst snd] in *. intros d z N.
  replace (S t + d)%nat with (t + S d)%nat by lia. apply (A (S d) z). destruct zs; [destruct d; discriminate|exact N].
Qed.
Lemma gather_sound : forall lam f t k p ws, Forall2 (spans_ok lam f t) p ws -> forall low high m b, among (low, high) m -> gather k p low high = Some b ->
  among b (m + weighted ws (fun i => recent lam (f i) (S k) (S t))).
Proof.
  intros lam f t k p ws H. induction H as [|[w tb] [j w'] p ws [E A] H IH]; intros low high m b M G; cbn [gather] in G.
  - injection G as <-. cbn. rewrite Rplus_0_r. exact M.
  - cbn [fst snd] in E. subst w'. destruct tb as [|row tb]; [discriminate|]. rewrite found_at_nth in G. destruct (nth_error row k) as [c|] eqn:R; [|discriminate].
    specialize (A 0%nat k row c eq_refl R). cbn [fst] in A. rewrite Nat.add_0_r in A. rewrite weighted_cons, <- Rplus_assoc.
    destruct (nought (fst c) && nought (snd c))%bool eqn:N.
    + apply andb_prop in N as [N1 N2]. apply nought_zero in N1, N2. apply (IH low high); [|exact G]. unfold among in *. cbn [fst snd] in *.
      assert (Z : recent lam (f j) (S k) (S t) = 0) by lra. rewrite Z, Rmult_0_r. lra.
    + apply (IH _ _ (m + val w * recent lam (f j) (S k) (S t)) b) in G; [exact G|]. pose proof (least_le w c _ A). pose proof (most_ge w c _ A). unfold among in *. cbn [fst snd] in *. vals. lra.
Qed.
Lemma weigh_sound : forall f t p ws, Forall2 (tops_ok f t) p ws -> forall n m n' m', weigh p n m = Some (n', m') ->
  (n + length (met ws (fun i => f i t)) <= n')%nat /\ val m + moduli ws (fun i => f i t) <= val m'.
Proof.
  intros f t p ws H. induction H as [|[w zs] [j w'] p ws [E A] H IH]; intros n m n' m' G; cbn [weigh] in G.
  - injection G as <- <-. cbn. split; [lia|lra].
  - cbn [fst snd] in E. subst w'. destruct zs as [|z zs]; [discriminate|]. specialize (A 0%nat z eq_refl). cbn [fst] in A. rewrite Nat.add_0_r in A.
    cbn [met filter moduli fold_right fst snd]. fold (met ws (fun i => f i t)). fold (moduli ws (fun i => f i t)).
    assert (P : 0 <= Rabs (val w)) by apply Rabs_pos. assert (Q : 0 <= Rabs (f j t)) by apply Rabs_pos.
    destruct (nought w || leb z zero)%bool eqn:N.
    + assert (Z : val w = 0 \/ f j t = 0).
      { apply orb_prop in N as [N|N]; [left; apply nought_zero; exact N|right]. apply leb_true in N. vals. destruct (Req_EM_T (f j t) 0) as [|X]; [assumption|apply Rabs_pos_lt in X; lra]. }
      assert (Z0 : val w * f j t = 0) by (destruct Z as [-> | ->]; ring). assert (Z1 : Rabs (val w) * Rabs (f j t) = 0) by (destruct Z as [-> | ->]; rewrite Rabs_R0; ring).
      destruct (Req_EM_T (val w * f j t) 0) as [_|X]; [|contradiction]. specialize (IH _ _ _ _ G). split; [exact (proj1 IH)|lra].
    + specialize (IH _ _ _ _ G). destruct IH as [I1 I2]. vals.
      assert (Rabs (val w) * Rabs (f j t) <= Rabs (val w) * val z) by (apply Rmult_le_compat_l; assumption).
      split; [destruct (Req_EM_T (val w * f j t) 0); cbn [length]; lia|lra].
Qed.
Lemma errors_sound : forall f T bias t p ws es, Forall2 (tops_ok f t) p ws -> errors T bias p = Some es ->
  forall d, (d < T)%nat -> exists e, nth_error es d = Some e /\ allowance (ws, bias) (fun i => f i (t + d)%nat) <= val e.
Proof.
  intros f. induction T as [|T IH]; intros bias t p ws es H E d L; [lia|]. cbn [errors] in E.
  destruct (weigh p 0 zero) as [[n m]|] eqn:W; [|discriminate]. destruct (errors T bias (later_on p)) as [es'|] eqn:R; [|discriminate]. injection E as <-. destruct d as [|d].
  - eexists. split; [reflexivity|]. rewrite Nat.add_0_r. destruct (weigh_sound f t p ws H _ _ _ _ W) as [A B]. vals. apply allowanceD_ge; [exact A|lra].
  - cbn [nth_error]. replace (t + S d)%nat with (S t + d)%nat by lia. apply (IH bias (S t) (later_on p) ws es'); [apply later_tops; exact H|exact R|lia].
Qed.
Lemma tops_size : forall tb d z, nth_error (tops tb) d = Some z -> exists b row, nth_error tb d = Some (b :: row) /\ z = size_of b.
Proof.
  induction tb as [|[|b row] tb IH]; intros d z H; try (destruct d; discriminate). destruct d as [|d]; cbn in *; [injection H as <-; eauto|]. apply IH. exact H.
Qed.
Lemma sized_spec : forall X (none : X) n l i z, nth_error (sized n none l) i = Some z -> (i < n)%nat /\ (nth_error l i = Some z \/ z = none).
Proof.
  intros X none. induction n as [|n IH]; intros l i z H; [destruct i; discriminate|]. destruct i as [|i]; cbn [sized nth_error] in H.
  - injection H as <-. split; [lia|]. destruct l; [right|left]; reflexivity.
  - apply IH in H. split; [lia|]. destruct l; [|exact (proj2 H)]. destruct H as [_ [H|H]]; [destruct i; discriminate|right; exact H].
Qed.
Lemma length_sized : forall X (none : X) n l, length (sized n none l) = n.
Proof. intros X none. induction n as [|n IH]; intros l; [reflexivity|]. cbn. rewrite IH. reflexivity. Qed.
Lemma weighted_low : forall ws p z n, forallb (fun jw : nat * D => Nat.ltb (fst jw) n) ws = true -> (forall i, (i < n)%nat -> p i = z i) -> weighted ws p = weighted ws z.
Proof.
  intros ws p z n H E. induction ws as [|[j w] ws IH]; [reflexivity|]. cbn [forallb fst] in H. apply andb_prop in H. destruct H as [H1 H2]. apply Nat.ltb_lt in H1.
  rewrite !weighted_cons, (E j H1), (IH H2). reflexivity.
Qed.
