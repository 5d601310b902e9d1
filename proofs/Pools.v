(* Maxima of spikes: a neuron without memory that adds up spikes fires where one of them is there; what its box is, and where costs on it go. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Dyadic Ways State Check Rules.
Import ListNotations.
Open Scope R_scope.

Definition bits_read (ws : list (nat * D)) (x : nat -> R) : Prop := forall i w, In (i, w) ws -> x i = 0 \/ x i = 1.
Definition some_read (ws : list (nat * D)) (x : nat -> R) : Prop := exists i w, In (i, w) ws /\ x i = 1.
Definition none_read (ws : list (nat * D)) (x : nat -> R) : Prop := forall i w, In (i, w) ws -> x i = 0.

Lemma counted : forall ws x, bits_read ws x -> (forall i w, In (i, w) ws -> val w = 1) ->
  exists n, (n <= length ws)%nat /\ weighted ws x = INR n /\ moduli ws x = INR n /\ length (met ws x) = n /\ ((n = 0%nat /\ none_read ws x) \/ ((1 <= n)%nat /\ some_read ws x)).
Proof.
  induction ws as [|[i w] ws IH]; intros x B W.
  - exists 0%nat. cbn. repeat split; try lia; try reflexivity. left. split; [reflexivity|intros i w []].
  - destruct (IH x) as [n [L [Su [M [C E]]]]]; [intros j v I; apply (B j v); right; exact I|intros j v I; apply (W j v); right; exact I|].
    assert (Vw : val w = 1) by (apply (W i w); left; reflexivity). destruct (B i w (or_introl eq_refl)) as [Z|Z].
    + exists n. cbn [length weighted moduli met filter fold_right fst snd]. fold (weighted ws x). fold (moduli ws x). fold (met ws x). rewrite Z, Rmult_0_r, Rabs_R0, Rmult_0_r.
      destruct (Req_EM_T 0 0) as [_|F]; [|exfalso; apply F; reflexivity]. repeat split; [lia|lra|lra|exact C|].
      destruct E as [[E1 E2]|[E1 [j [v [E2 E3]]]]]; [left; split; [exact E1|]|right; split; [exact E1|exists j, v; split; [right; exact E2|exact E3]]].
      intros j v [I|I]; [injection I as <- <-; exact Z|exact (E2 j v I)].
    + exists (S n). cbn [length weighted moduli met filter fold_right fst snd]. fold (weighted ws x). fold (moduli ws x). fold (met ws x). rewrite Z, Vw, Rmult_1_r, Rabs_R1, Rmult_1_r.
      destruct (Req_EM_T 1 0) as [F|_]; [exfalso; lra|]. cbn [length]. fold (met ws x). rewrite S_INR. repeat split; [lia|lra|lra|lia|].
      right. split; [lia|]. exists i, w. split; [left; reflexivity|exact Z].
Qed.
Lemma val_half : val half = / 2. Proof. unfold half. rewrite val_num. simpl. lra. Qed.
Lemma pools_spec : forall k r n, pools k r n = true ->
  val (decay n) = 0 /\ val (theta n) = / 2 /\ kind n = Zero /\ (length (fst r) <= 1024)%nat /\ val (snd r) = 0 /\ forall i w, In (i, w) (fst r) -> (i < k)%nat /\ val w = 1.
Proof.
  intros k r n H. unfold pools in H.
  apply andb_prop in H as [H F]. apply andb_prop in H as [H Z]. apply andb_prop in H as [H L]. apply andb_prop in H as [H K]. apply andb_prop in H as [D0 Th].
  apply same_val in D0, Th. rewrite val_zero in D0. rewrite val_half in Th. apply nought_zero in Z. apply Z.leb_le in L. unfold most_pooled in L. rewrite forallb_forall in F.
  split; [exact D0|]. split; [exact Th|]. split; [destruct (kind n); [reflexivity|discriminate|discriminate]|]. split; [lia|]. split; [exact Z|].
  intros i w I. specialize (F (i, w) I). apply andb_prop in F as [F G]. cbn [fst snd] in F, G. apply same_val in G. rewrite val_one in G. split; [apply Nat.ltb_lt; exact F|exact G].
Qed.
Theorem pool_fires : forall k r n x v0 c v (s : bool), pools k r n = true -> bits_read (fst r) x -> Rabs (c - affine r x) <= allowance r x ->
  Rabs (v - (val (decay n) * v0 + c)) <= slip n v0 c -> (if s then val (theta n) - tie n <= v else v <= val (theta n) + tie n) ->
  (s = true /\ some_read (fst r) x) \/ (s = false /\ none_read (fst r) x).
Proof.
  intros k r n x v0 c v s H B C V S. destruct (pools_spec k r n H) as [D0 [Th [_ [L [Z W]]]]].
  destruct (counted (fst r) x B (fun i w I => proj2 (W i w I))) as [m [Lm [Sm [Mm [Cm E]]]]].
  unfold allowance, affine in C. rewrite Z, Sm, Mm, Cm, Rabs_R0, !Rplus_0_r in C. unfold slip in V. rewrite D0, !Rmult_0_l, !Rplus_0_l in V. unfold tie in S. rewrite Th in S.
  assert (U : 0 < u <= / 16000000) by (unfold u; split; [apply Rinv_0_lt_compat, pow_lt; lra|apply Rinv_le_contravar; lra]).
  assert (Y : 0 < tiny <= / 16000000) by (pose proof tiny_pos; split; [assumption|]; unfold tiny; apply Rinv_le_contravar; [lra|]; apply Rle_trans with (2 ^ 24); [lra|apply Rle_pow; [lra|lia]]).
  assert (M : 0 <= INR m <= 1024). { split; [apply pos_INR|]. replace 1024 with (INR 1024) by (rewrite INR_IZR_INZ; f_equal). apply le_INR. lia. }
  assert (G : 0 <= gamma (m + 1) <= / 1000).
  { unfold gamma. rewrite plus_INR. change (INR 1) with 1. set (a := (INR m + 1) * u). assert (A : 0 <= a <= / 10000) by (unfold a; split; [apply Rmult_le_pos; lra|]; apply Rle_trans with (1025 * / 16000000); [apply Rmult_le_compat; lra|lra]). nra. }
  assert (N2 : INR (m + 2) * tiny <= / 1000).
  { rewrite plus_INR. change (INR 2) with 2. apply Rle_trans with (1026 * / 16000000); [apply Rmult_le_compat; lra|lra]. }
  apply Rabs_le_inv in C, V. destruct E as [[-> Q]|[P Q]].
  - right. change (INR 0) with 0 in *. rewrite Rmult_0_r in C. assert (Cs : Rabs c <= / 1000) by (apply Rabs_le; lra). assert (4 * u * Rabs c <= / 1000) by (pose proof (Rabs_pos c); nra).
    split; [destruct s; [lra|reflexivity]|exact Q].
  - left. apply le_INR in P. change (INR 1) with 1 in P. assert (Gm : gamma (m + 1) * INR m <= / 1000 * INR m) by (apply Rmult_le_compat_r; lra).
    assert (Cs : Rabs c <= 1026) by (apply Rabs_le; lra). assert (4 * u * Rabs c <= / 1000) by (pose proof (Rabs_pos c); nra). split; [destruct s; [reflexivity|lra]|exact Q].
Qed.

(* ---- the greatest of bits ---- *)
Definition greatest (ws : list (nat * D)) (x : nat -> R) (p : R) : Prop := (p = 1 /\ some_read ws x) \/ (p = 0 /\ none_read ws x).
Definition seen (ws : list (nat * D)) (x : nat -> R) (bs : list (D * D)) : Prop := Forall2 (fun b (jw : nat * D) => among b (x (fst jw))) bs ws.
Lemma fold_max_le : forall l a y, (forall z, In z l -> val z <= y) -> val a <= y -> val (fold_left dmax l a) <= y.
Proof. induction l as [|z l IH]; intros a y H A; [exact A|]. cbn [fold_left]. apply IH; [intros w I; apply H; right; exact I|]. rewrite val_max. apply Rmax_lub; [exact A|apply H; left; reflexivity]. Qed.
Lemma seen_in : forall ws x bs b, seen ws x bs -> In b bs -> exists i w, In (i, w) ws /\ among b (x i).
Proof.
  intros ws x bs b H. induction H as [|b0 [i w] bs ws A H IH]; intros I; [destruct I|]. destruct I as [->|I]; [exists i, w; split; [left; reflexivity|exact A]|].
  destruct (IH I) as [j [v [J K]]]. exists j, v. split; [right; exact J|exact K].
Qed.
Lemma seen_of : forall ws x bs i w, seen ws x bs -> In (i, w) ws -> exists b, In b bs /\ among b (x i).
Proof.
  intros ws x bs i w H. induction H as [|b0 [j v] bs ws A H IH]; intros I; [destruct I|]. destruct I as [I|I]; [injection I as -> ->; exists b0; split; [left; reflexivity|exact A]|].
  destruct (IH I) as [b [J K]]. exists b. split; [right; exact J|exact K].
Qed.
Lemma greatest_range : forall ws x p, greatest ws x p -> 0 <= p <= 1. Proof. intros ws x p [[-> _]|[-> _]]; lra. Qed.
Lemma greatest_ge : forall ws x p i w, bits_read ws x -> greatest ws x p -> In (i, w) ws -> x i <= p.
Proof. intros ws x p i w B G I. destruct G as [[-> _]|[-> N]]; [destruct (B i w I); lra|rewrite (N i w I); lra]. Qed.
Lemma highest_ge : forall ws x bs p, seen ws x bs -> greatest ws x p -> 0 <= p <= val (highest bs).
Proof.
  intros ws x bs p H G. destruct (fold_max (map snd bs) zero) as [Z A]. fold (highest bs) in Z, A. rewrite val_zero in Z. split; [apply (greatest_range ws x p G)|].
  destruct G as [[-> [i [w [I X]]]]|[-> _]]; [|exact Z]. destruct (seen_of ws x bs i w H I) as [b [J [_ K]]]. rewrite X in K. eapply Rle_trans; [exact K|]. apply A, in_map, J.
Qed.
Lemma greatest_box : forall ws x bs p, bits_read ws x -> seen ws x bs -> greatest ws x p -> among (fold_left dmax (map fst bs) zero, highest bs) p.
Proof.
  intros ws x bs p B H G. pose proof (highest_ge ws x bs p H G) as [P Q]. unfold among. cbn [fst snd]. split; [|exact Q]. apply fold_max_le; [|rewrite val_zero; exact P].
  intros z I. apply in_map_iff in I. destruct I as [b [<- I]]. destruct (seen_in ws x bs b H I) as [i [w [J [K _]]]]. eapply Rle_trans; [exact K|]. exact (greatest_ge ws x p i w B G J).
Qed.

Lemma recent_le : forall lam f g k t, 0 <= lam -> (forall i, (i < t)%nat -> f i <= g i) -> recent lam f k t <= recent lam g k t.
Proof.
  intros lam f g. induction k as [|k IH]; intros t L H; cbn [recent]; [lra|]. destruct t as [|t]; [lra|]. pose proof (H t ltac:(lia)) as A.
  assert (B : recent lam f k t <= recent lam g k t) by (apply IH; [exact L|intros i Li; apply H; lia]). assert (lam * recent lam f k t <= lam * recent lam g k t) by (apply Rmult_le_compat_l; assumption). lra.
Qed.
Definition in_all (f : nat -> nat -> R) (ws : list (nat * D)) (t : nat) : R := fold_right (fun jw acc => f (fst jw) t + acc) 0 ws.
Lemma in_all_ge : forall f ws x i w, (forall j v, In (j, v) ws -> 0 <= f j x) -> In (i, w) ws -> f i x <= in_all f ws x.
Proof.
  intros f ws x. induction ws as [|[j v] ws IH]; intros i w P I; [destruct I|]. cbn [in_all fold_right fst]. fold (in_all f ws x).
  assert (0 <= in_all f ws x). { clear - P. assert (Q : forall j v, In (j, v) ws -> 0 <= f j x) by (intros a b I; apply (P a b); right; exact I). clear P. induction ws as [|[a b] ws IH]; cbn; [lra|]. fold (in_all f ws x). pose proof (Q a b (or_introl eq_refl)). assert (0 <= in_all f ws x) by (apply IH; intros c d I; apply (Q c d); right; exact I). lra. }
  destruct I as [I|I]; [injection I as -> ->; lra|]. assert (f i x <= in_all f ws x) by (apply (IH i w); [intros a b K; apply (P a b); right; exact K|exact I]). pose proof (P j v (or_introl eq_refl)). lra.
Qed.
Lemma together_sound : forall lam f p T ws picked, 0 <= lam -> Forall2 (fun (q : D * table) (jw : nat * D) => table_ok lam (f (fst jw)) (snd q)) picked ws ->
  (forall i w t, In (i, w) ws -> (t < T)%nat -> f i t <= p t) -> forall t k row b, (t < T)%nat -> nth_error (together picked) t = Some row -> nth_error row k = Some b ->
  val (fst b) <= recent lam p (S k) (S t) /\ recent lam (in_all f ws) (S k) (S t) <= val (snd b).
Proof.
  intros lam f p T ws picked L F. induction F as [|q [i w] picked ws A F IH]; intros P t k row b Lt E N; [destruct t; discriminate|]. cbn [fst] in A.
  assert (One : forall row b, nth_error (snd q) t = Some row -> nth_error row k = Some b -> val (fst b) <= recent lam p (S k) (S t) /\ recent lam (f i) (S k) (S t) <= val (snd b)).
  { intros row' b' E' N'. destruct (A t k row' b' E' N') as [A1 A2]. split; [|exact A2]. eapply Rle_trans; [exact A1|]. apply recent_le; [exact L|]. intros j Lj. apply (P i w j (or_introl eq_refl)). lia. }
  assert (Sm : recent lam (in_all f ((i, w) :: ws)) (S k) (S t) = recent lam (f i) (S k) (S t) + 1 * recent lam (in_all f ws) (S k) (S t)).
  { rewrite <- recent_sum. apply recent_ext. intro j. cbn [in_all fold_right fst]. fold (in_all f ws j). lra. }
  destruct picked as [|q2 picked].
  - inversion F. subst ws. cbn [together] in E. destruct (One row b E N) as [O1 O2]. split; [exact O1|]. rewrite Sm, Rmult_1_l. rewrite (recent_ext lam (in_all f []) (fun _ => 0 * 0)) by (intro j; cbn; lra).
    assert (Z : forall m n, recent lam (fun _ => 0 * 0) m n = 0) by (induction m; intros [|n]; cbn [recent]; try reflexivity; rewrite IHm; lra). rewrite Z. lra.
  - change (together (q :: q2 :: picked)) with (zip (zip (fun a b => (dmax (fst a) (fst b), add (snd a) (snd b)))) (snd q) (together (q2 :: picked))) in E.
    apply zip_spec in E. destruct E as [ra [rb [Ea [Eb ->]]]]. apply zip_spec in N. destruct N as [ba [bb [Na [Nb ->]]]]. cbn [fst snd]. rewrite val_max, val_add.
    destruct (One ra ba Ea Na) as [O1 O2]. destruct (IH (fun j v t I => P j v t (or_intror I)) t k rb bb Lt Eb Nb) as [I1 I2]. split; [apply Rmax_lub; assumption|]. rewrite Sm. lra.
Qed.
Lemma greatest_all : forall f ws t p, bits_read ws (fun i => f i t) -> greatest ws (fun i => f i t) p -> p <= in_all f ws t.
Proof.
  intros f ws t p B G. assert (P : forall i w, In (i, w) ws -> 0 <= f i t) by (intros i w I; destruct (B i w I); lra). destruct G as [[-> [i [w [I X]]]]|[-> N]].
  - rewrite <- X. exact (in_all_ge f ws t i w P I).
  - clear - P. induction ws as [|[j v] ws IH]; cbn; [lra|]. fold (in_all f ws t). pose proof (P j v (or_introl eq_refl)). assert (0 <= in_all f ws t) by (apply IH; intros a b I; apply (P a b); right; exact I). lra.
Qed.

(* ---- costs ---- *)
Lemma best_at : forall bs q k b k' b', best_of q bs k b = (k', b') -> (k' = k /\ b' = b) \/ exists d, k' = (q + d)%nat /\ nth_error bs d = Some b'.
Proof.
  induction bs as [|x bs IH]; intros q k b k' b' H; cbn [best_of] in H; [injection H as <- <-; left; auto|].
  destruct (ltb (fst b) (fst x) || same (fst b) (fst x) && ltb (snd b) (snd x))%bool; apply IH in H; destruct H as [[-> ->]|[d [-> H]]].
  - right. exists 0%nat. split; [lia|reflexivity].
  - right. exists (S d). split; [lia|exact H].
  - left. auto.
  - right. exists (S d). split; [lia|exact H].
Qed.
Lemma others_spec : forall bs q k low d x, others_below q k low bs = true -> nth_error bs d = Some x -> (q + d)%nat <> k -> val (snd x) <= val low.
Proof.
  induction bs as [|b bs IH]; intros q k low d x H E N; [destruct d; discriminate|]. cbn [others_below] in H. apply andb_prop in H as [H1 H2]. destruct d as [|d]; cbn in E.
  - injection E as ->. rewrite Nat.add_0_r in N. apply orb_prop in H1 as [H1|H1]; [apply Nat.eqb_eq in H1; contradiction|apply leb_true; exact H1].
  - apply (IH (S q) k low d x H2 E). lia.
Qed.
Lemma Forall2_nth : forall X Y (P : X -> Y -> Prop) a b, Forall2 P a b -> forall k x, nth_error a k = Some x -> exists y, nth_error b k = Some y /\ P x y.
Proof. intros X Y P a b H. induction H as [|x y a b A H IH]; intros k z E; [destruct k; discriminate|]. destruct k as [|k]; cbn in *; [injection E as ->; eauto|exact (IH k z E)]. Qed.
Lemma Forall2_nth' : forall X Y (P : X -> Y -> Prop) a b, Forall2 P a b -> forall k y, nth_error b k = Some y -> exists x, nth_error a k = Some x /\ P x y.
Proof. intros X Y P a b H. induction H as [|x y a b A H IH]; intros k z E; [destruct k; discriminate|]. destruct k as [|k]; cbn in *; [injection E as ->; eauto|exact (IH k z E)]. Qed.
(* what a cost of one step becomes *)
Lemma goes_sound : forall T t ws x bs p a k, bits_read ws x -> seen ws x bs -> greatest ws x p -> goes_to T t bs a = Some k ->
  exists i w, nth_error ws k = Some (i, w) /\ val a * x i <= val a * p.
Proof.
  intros T t ws x bs p a k B H G E. unfold goes_to in E. destruct bs as [|b0 rest]; [discriminate|]. destruct (best_of 1 rest 0 b0) as [k' c] eqn:K.
  destruct (Nat.ltb t T && (rising a || others_below 0 k' (fst c) (b0 :: rest)))%bool eqn:Q; [|discriminate]. injection E as ->.
  assert (N : nth_error (b0 :: rest) k = Some c) by (apply best_at in K; destruct K as [[-> ->]|[d [-> K]]]; [reflexivity|exact K]).
  destruct (Forall2_nth _ _ _ _ _ H k c N) as [[i w] [Ni A]]. cbn [fst] in A. exists i, w. split; [exact Ni|].
  pose proof (greatest_ge ws x p i w B G (nth_error_In _ _ Ni)) as Ge. apply andb_prop in Q as [_ Q]. pose proof (rising_spec a) as R. destruct (rising a); cbn [orb] in Q; [apply Rmult_le_compat_l; assumption|].
  assert (Le : p <= x i).
  { destruct G as [[-> [j [v [J X]]]]|[-> _]]; [|destruct (B i w (nth_error_In _ _ Ni)); lra]. apply In_nth_error in J. destruct J as [d J].
    destruct (Nat.eq_dec d k) as [->|Nk]; [rewrite Ni in J; injection J as -> ->; lra|]. destruct (Forall2_nth' _ _ _ _ _ H d (j, v) J) as [xb [Nd Ad]]. cbn [fst] in Ad.
    pose proof (others_spec _ _ _ _ d xb Q Nd Nk) as O. destruct A as [A _], Ad as [_ Ad]. lra. }
  assert (x i = p) by lra. rewrite H0. lra.
Qed.
Lemma stays_sound : forall T t ws x bs p a, ((t < T)%nat -> seen ws x bs /\ greatest ws x p) -> 0 <= p <= 1 -> val (stays T t bs a) <= val a * p.
Proof.
  intros T t ws x bs p a H P. unfold stays. apply least_le. unfold among. cbn [fst snd]. rewrite val_zero. destruct (Nat.ltb_spec t T) as [L|L].
  - destruct (H L) as [S G]. exact (highest_ge ws x bs p S G).
  - rewrite val_one. exact P.
Qed.
Section Costs.
Variables (ws : list (nat * D)) (f : nat -> nat -> R).
Fixpoint shared (q : nat) (l : list (nat * D)) (gs : list (option nat)) (A : list D) (t : nat) : R :=
  match l with [] => 0 | (i, _) :: l => dot (share q gs A) (f i) t + shared (S q) l gs A t end.
Lemma shared_none : forall l q A gs a t, shared q l (None :: gs) (a :: A) t = shared q l gs A (S t).
Proof. induction l as [|[i w] l IH]; intros; cbn [shared]; [reflexivity|]. rewrite IH. unfold share. cbn [zip is_at dot]. rewrite val_zero. lra. Qed.
Lemma shared_some : forall l q A gs a t k i w, nth_error l k = Some (i, w) -> shared q l (Some (q + k)%nat :: gs) (a :: A) t = val a * f i t + shared q l gs A (S t).
Proof.
  assert (Skip : forall l q A gs a t k, (k < q)%nat -> shared q l (Some k :: gs) (a :: A) t = shared q l gs A (S t)).
  { induction l as [|[i w] l IH]; intros q A gs a t k L; cbn [shared]; [reflexivity|]. rewrite IH by lia. unfold share. cbn [zip is_at dot]. destruct (Nat.eqb_spec k q); [lia|]. rewrite val_zero. lra. }
  induction l as [|[j v] l IH]; intros q A gs a t k i w E; [destruct k; discriminate|]. cbn [shared]. unfold share at 1. cbn [zip is_at dot]. fold (share q gs A). destruct k as [|k]; cbn [nth_error] in E.
  - injection E as -> ->. rewrite Nat.add_0_r, Nat.eqb_refl, Skip by lia. lra.
  - destruct (Nat.eqb_spec (q + S k) q); [lia|]. replace (q + S k)%nat with (S q + k)%nat by lia. rewrite (IH (S q) A gs a t k i w E), val_zero. lra.
Qed.
Lemma shared_nil : forall l q gs t, shared q l gs [] t = 0.
Proof. induction l as [|[i w] l IH]; intros; cbn [shared]; [reflexivity|]. rewrite IH. unfold share. destruct gs; cbn [zip dot]; lra. Qed.
Lemma moving_sound : forall T picked p A t gs c, moving T t picked A = (gs, c) -> ws <> [] ->
  (forall t, 0 <= p t <= 1) -> (forall t, (t < T)%nat -> bits_read ws (fun i => f i t) /\ seen ws (fun i => f i t) (map (box_at t) picked) /\ greatest ws (fun i => f i t) (p t)) ->
  val c + shared 0 ws gs A t <= dot A p t.
Proof.
  intros T picked p. induction A as [|a A IH]; intros t gs c H N P F; cbn [moving] in H.
  - injection H as <- <-. rewrite shared_nil, val_zero. cbn. lra.
  - destruct (moving T (S t) picked A) as [gs' c'] eqn:M. specialize (IH (S t) gs' c' M N P F). cbn [dot]. destruct (nought a) eqn:Z.
    + injection H as <- <-. apply nought_zero in Z. destruct ws as [|[i w] rest] eqn:Ew; [contradiction|]. change (Some 0%nat) with (Some (0 + 0)%nat).
      rewrite (shared_some ((i, w) :: rest) 0 A gs' a t 0 i w eq_refl), Z. lra.
    + destruct (goes_to T t (map (box_at t) picked) a) as [k|] eqn:E; injection H as <- <-.
      * assert (L : (t < T)%nat). { unfold goes_to in E. destruct (map (box_at t) picked); [discriminate|]. destruct (best_of _ _ _ _). destruct (Nat.ltb_spec t T); [assumption|discriminate]. }
        destruct (F t L) as [B [S G]]. destruct (goes_sound T t ws (fun i => f i t) _ (p t) a k B S G E) as [i [w [Ni Q]]].
        change (Some k) with (Some (0 + k)%nat). rewrite (shared_some ws 0 A gs' a t k i w Ni). lra.
      * rewrite shared_none, val_add.
        assert (val (stays T t (map (box_at t) picked) a) <= val a * p t) by (apply (stays_sound T t ws (fun i => f i t)); [intro L; split; apply (F t L)|apply P]). lra.
Qed.
Lemma share_nothing : forall gs q A g t, existsb (is_at q) gs = false -> dot (share q gs A) g t = 0.
Proof.
  unfold share. induction gs as [|o gs IH]; intros q A g t H; [reflexivity|]. destruct A as [|a A]; [reflexivity|]. cbn [existsb] in H. apply orb_false_iff in H as [H1 H2].
  cbn [zip dot]. rewrite H1, val_zero, IH by exact H2. lra.
Qed.
Lemma shares_sound : forall l q gs A B B', shares q l gs A B = Some B' -> dots B' f 0 = dots B f 0 + shared q l gs A 0.
Proof.
  induction l as [|[i w] l IH]; intros q gs A B B' H; cbn [shares shared] in *; [injection H as <-; lra|]. destruct (existsb (is_at q) gs) eqn:E.
  - destruct (spread 0 [(i, one)] (share q gs A) B) as [B1|] eqn:S; [|discriminate]. rewrite (IH _ _ _ _ _ H), (spread_sound _ _ _ _ _ f S).
    rewrite (dot_ext _ (fun t => weighted [(i, one)] (fun j => f j t)) (f i)); [lra|]. intro t. unfold weighted. cbn [fold_right fst snd]. rewrite val_one. lra.
  - rewrite (IH _ _ _ _ _ H), share_nothing by exact E. lra.
Qed.
End Costs.
Theorem unpooled_sound : forall T ts f g marks here B h B' c j0, unpooled T ts marks here B = Some (h, B', c) ->
  (forall j t, 0 <= g j t <= 1) ->
  (forall i tb t, nth_error ts i = Some tb -> (t < T)%nat -> among (box_at t tb) (f i t) \/ ~ (f i t = 0 \/ f i t = 1)) ->
  (forall j r, nth_error marks j = Some (true, r) -> forall t, (t < T)%nat -> bits_read (fst r) (fun i => f i t) /\ greatest (fst r) (fun i => f i t) (g (j0 + j)%nat t)) ->
  val c + dots h g j0 + dots B' f 0 <= dots here g j0 + dots B f 0.
Proof.
  intros T ts f g. induction marks as [|[m r] marks IH]; intros here B h B' c j0 H G1 Bx Or; [cbn in H; injection H as <- <- <-; rewrite val_zero; lra|].
  destruct here as [|A here]; [cbn in H; injection H as <- <- <-; rewrite val_zero; lra|]. cbn [unpooled] in H.
  destruct (unpooled T ts marks here B) as [[[h1 B1] c1]|] eqn:E; [|discriminate].
  assert (I : val c1 + dots h1 g (S j0) + dots B1 f 0 <= dots here g (S j0) + dots B f 0).
  { apply (IH here B h1 B1 c1 (S j0) E G1 Bx). intros j r' N t L. replace (S j0 + j)%nat with (j0 + S j)%nat by lia. exact (Or (S j) r' N t L). }
  assert (Same : Some (A :: h1, B1, c1) = Some (h, B', c) -> val c + dots h g j0 + dots B' f 0 <= dots (A :: here) g j0 + dots B f 0).
  { intro K. injection K as <- <- <-. cbn [dots]. lra. }
  destruct m; [|exact (Same H)]. destruct A as [|a A]; [exact (Same H)|]. cbn [andb] in H. destruct (pick 0 ts (fst r)) as [[|q picked]|] eqn:P; try exact (Same H).
  destruct (moving T 0 (map snd (q :: picked)) (a :: A)) as [gs more] eqn:M. destruct (shares 0 (fst r) gs (a :: A) B1) as [B2|] eqn:S; [|discriminate]. injection H as <- <- <-.
  pose proof (pick_spec _ (fun i tb => forall t, (t < T)%nat -> among (box_at t tb) (f i t) \/ ~ (f i t = 0 \/ f i t = 1)) _ _ _ _ P (fun k tb Ek t L => Bx k tb t Ek L)) as F.
  assert (N : fst r <> []) by (intro Z; rewrite Z in F; inversion F).
  pose proof (moving_sound (fst r) f T _ (g j0) (a :: A) 0 gs more M N (G1 j0)) as Mv. rewrite (shares_sound f _ _ _ _ _ _ S). cbn [dots]. rewrite val_add. cbn [dot] in *.
  assert (Q : forall t, (t < T)%nat -> bits_read (fst r) (fun i => f i t) /\ seen (fst r) (fun i => f i t) (map (box_at t) (map snd (q :: picked))) /\ greatest (fst r) (fun i => f i t) (g j0 t)).
  { intros t L. destruct (Or 0%nat r eq_refl t L) as [Br Gr]. rewrite Nat.add_0_r in Gr. split; [exact Br|]. split; [|exact Gr]. unfold seen. rewrite map_map. clear - F Br L.
    revert Br. induction F as [|p jw ps ws [_ A] F IH]; intros Br; [constructor|]. cbn [map]. constructor; [|apply IH; intros i w I; apply (Br i w); right; exact I].
    destruct (A t L) as [K|K]; [exact K|]. exfalso. apply K. destruct jw as [i w]. apply (Br i w). left. reflexivity. }
  specialize (Mv Q). lra.
Qed.
