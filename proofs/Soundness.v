(* Where the machine accepts a certificate, every run from the box gives the class. *)
From Coq Require Import ZArith Reals List Bool Lra Lia.
From Flocq Require Import Core.
Require Import Semantics Dyadic Ways Check Rules Pools RuleT RuleI.
Import ListNotations.
Open Scope R_scope.

Section Run.
Variables (net : network) (x : nat -> R) (s : trains).
Hypothesis the_run : run net x s.
Definition rows_told : list (list row) := map fst (hidden net) ++ match last net with Some rows => [rows] | None => [] end.
Hypothesis told_alike : forallb (fun ok : bool => ok) (zip agree rows_told (nested net)) = true.
Notation T := (steps net).
Notation source := (source net x s).

Definition neuron_at (l j : nat) (r : row) (n : neuron) : Prop :=
  exists rs ns, nth_error (hidden net) l = Some (rs, ns) /\ nth_error rs j = Some r /\ nth_error ns j = Some n.
Definition current (l : nat) (r : row) (t : nat) : R := affine r (source l t).

(* rows are the exact maps of the ways that stand beside them *)
Lemma amount_affine : forall l rs j r z, nth_error rows_told l = Some rs -> nth_error rs j = Some r -> amount (way_of net l j) r z = affine r z.
Proof.
  intros l rs j r z Hl Hr. unfold way_of. destruct (nth_error (nested net) l) as [ws|] eqn:Ew; [|reflexivity]. destruct (nth_error ws j) as [[w|]|] eqn:Ej; try reflexivity.
  cbn [amount]. apply (agree_worth rs ws j r w z); [|exact Hr|exact Ej]. rewrite forallb_forall in told_alike. apply told_alike.
  apply nth_error_In with l. apply zip_given; assumption.
Qed.
Lemma hidden_told : forall l rs ns, nth_error (hidden net) l = Some (rs, ns) -> nth_error rows_told l = Some rs.
Proof.
  intros l rs ns H. unfold rows_told. rewrite nth_error_app1; [rewrite nth_error_map, H; reflexivity|]. rewrite length_map. apply nth_error_Some. congruence.
Qed.
Lemma at_neuron : forall l j r n, neuron_at l j r n -> exists go c, drives n go /\ (l = O -> forall t, c t = c O)
  /\ (forall t, (t < T)%nat -> Rabs (c t - current l r t) <= error (way_of net l j) r (source l t)) /\ (forall t, (t < T)%nat -> s l j t = spiked go c t).
Proof.
  intros l j r n [rs [ns [H [Hr Hn]]]]. destruct (the_run l rs ns H j r n Hr Hn) as [go [c [A [B [C0 E]]]]]. exists go, c. split; [exact A|]. split; [exact B|]. split; [|exact E].
  intros t Lt. specialize (C0 t Lt). cbv zeta in C0. rewrite (amount_affine l rs j r) in C0 by (try exact Hr; eapply hidden_told; exact H). exact C0.
Qed.
Lemma err_by_sound : forall o r ts e z, err_by o ts r = Some e -> (forall k d, nth_error (fst ts) k = Some d -> Rabs (z k) <= val d) ->
  (forall k d, find k (snd ts) = Some d -> Rabs (z k) <= val d) -> error o r z <= val e.
Proof.
  intros [w|] r ts e z H A B; cbn [err_by error] in *; [|eapply err_sound; eassumption].
  destruct (gaugeD (snd ts) w) as [d|] eqn:E; [|discriminate]. injection H as <-. apply (gaugeD_bounds _ _ B w d E).
Qed.

(* ---- what a context says of the run ---------------------------------------------------------------------------------------------------------- *)
Definition first_ok (j : nat) (f : first) : Prop :=
  exists r, nth_error (rows_of net) j = Some r /\ val (alo f) <= affine r x <= val (ahi f)
    /\ exists i w, In w (left f) /\ same_train T (s O j) (train w) /\ val (from w) <= i <= val (til w) /\ Rabs (i - affine r x) <= val (err f).
Definition later_ok (l j : nat) (a : later) : Prop :=
  bits_fact (s (S l) j) 0 (bits a)
  /\ match proof a with
     | None => True
     | Some (ex, sts) => exists r n, neuron_at (S l) j r n /\ path n (val ex) (current (S l) r) (s (S l) j) sts 0 0 0
     end.
Definition tables_ok (l : nat) (lam : R) (tables : list table) : Prop :=
  forall i tb, nth_error tables i = Some tb -> table_ok lam (fun t => source l t i) tb.
Definition columns_ok (l : nat) (lam : R) (cs : list (table * list D)) : Prop :=
  forall i c, nth_error cs i = Some c -> table_ok lam (fun t => source l t i) (fst c) /\ forall t z, nth_error (snd c) t = Some z -> Rabs (source l t i) <= val z.
Definition tries_ok (l : nat) (tries : list trie) : Prop := forall t tr, nth_error tries t = Some tr -> forall i z, find i tr = Some z -> Rabs (source l t i) <= val z.
Definition memo_says (l : nat) (lam : R) (m : memo) : Prop :=
  table_ok lam (fun _ => 1) (mones m) /\ columns_ok l lam (mcolumns m) /\ tries_ok l (mtries m) /\ (has_ways net l = true -> length (mtries m) = T).
Definition memo_ok (m : memo) : Prop := 0 <= val (mdecay m) -> memo_says (mlayer m) (val (mdecay m)) m.
Definition firsts_ok (fs : list first) : Prop := forall j f, nth_error fs j = Some f -> first_ok j f.
Definition laters_ok (ls : list (list later)) : Prop := forall l row j a, nth_error ls l = Some row -> nth_error row j = Some a -> later_ok l j a.
Definition inputs_ok (ins : list (D * D)) : Prop := forall i b, nth_error ins i = Some b -> among b (x i).
Definition holds (c : context) : Prop :=
  inputs_ok (inputs c) /\ firsts_ok (firsts c) /\ laters_ok (laters c) /\ match kept c with None => True | Some m => memo_ok m end.
Definition holdso (o : option context) : Prop := match o with None => False | Some c => holds c end.

(* ---- layer 1: the currents and rows ---------------------------------------------------------------------------------------------------------------- *)
Lemma settle_sound : forall j f, first_ok j f -> match settle f with None => False | Some g => first_ok j g end.
Proof.
  intros j f [r [Er [Ha [i [w [Iw [Tr [Hw Hi]]]]]]]]. unfold settle. cbv zeta.
  set (a := sub (alo f) (err f)). set (b := add (ahi f) (err f)).
  set (rows := filter _ _).
  pose proof Hi as Hi0. apply Rabs_le_inv in Hi.
  set (w' := {| ix := ix w; train := train w; from := dmax (from w) a; til := dmin (til w) b |}).
  assert (Hw' : val (from w') <= i <= val (til w')).
  { unfold w', a, b. cbn [from til]. vals. split; [apply Rmax_lub|apply Rmin_glb]; lra. }
  assert (I' : In w' rows).
  { unfold rows. apply filter_In. split; [|apply leb_iff; lra]. apply in_map_iff. exists w. split; [reflexivity|exact Iw]. }
  assert (P : forall v l, In w' (v :: l) -> val (fold_left (fun m r => dmin m (from r)) l (from v)) <= i <= val (fold_left (fun m r => dmax m (til r)) l (til v))).
  { intros v l Iv. destruct (fold_least _ from l (from v)) as [A1 A2]. destruct (fold_most _ til l (til v)) as [B1 B2].
    destruct Iv as [->|Iv]; [lra|]. specialize (A2 _ Iv). specialize (B2 _ Iv). lra. }
  destruct rows as [|v l]; [inversion I'|]. specialize (P v l I').
  set (p := fold_left (fun m r => dmin m (from r)) l (from v)) in *. set (q := fold_left (fun m r => dmax m (til r)) l (til v)) in *. clearbody p q.
  assert (N : val (dmax (alo f) (sub p (err f))) <= affine r x <= val (dmin (ahi f) (add q (err f)))).
  { rewrite val_max, val_min, val_sub, val_add. split; [apply Rmax_lub|apply Rmin_glb]; lra. }
  assert (E : leb (dmax (alo f) (sub p (err f))) (dmin (ahi f) (add q (err f))) = true) by (apply leb_iff; lra). rewrite E.
  exists r. cbn [alo ahi err left]. split; [exact Er|]. split; [exact N|]. exists i, w'. split; [exact I'|]. split; [exact Tr|]. split; [exact Hw'|exact Hi0].
Qed.
Lemma each_settle : forall fs, firsts_ok fs -> match each settle fs with None => False | Some gs => firsts_ok gs end.
Proof.
  intros fs H. destruct (each settle fs) as [gs|] eqn:E.
  - intros j g Eg. destruct (each_spec _ _ _ _ _ E j) as [A _]. destruct (A g Eg) as [f [Ef S]]. pose proof (settle_sound j f (H j f Ef)) as G. rewrite S in G. exact G.
  - destruct (each_none _ _ _ _ E) as [j [f [Ef S]]]. pose proof (settle_sound j f (H j f Ef)) as G. rewrite S in G. exact G.
Qed.
Lemma with_first_sound : forall c j f, holds c -> first_ok j f -> holdso (with_first c j (settle f)).
Proof.
  intros c j f [Hi [Hf [Hl Hm]]] F. apply settle_sound in F. destruct (settle f) as [g|]; [|destruct F]. cbn. split; [exact Hi|]. split; [|split; [exact Hl|exact I]].
  intros j' f' E. apply put_spec in E. destruct E as [[-> ->]|[_ E]]; [exact F|exact (Hf _ _ E)].
Qed.

Lemma enumerate_spec : forall rows i tr p q, In (tr, (p, q)) rows -> exists k, In {| ix := k; train := tr; from := p; til := q |} (enumerate i rows).
Proof.
  induction rows as [|[tr0 [p0 q0]] rows IH]; intros i tr p q H; [inversion H|]. destruct H as [H|H]; cbn [enumerate].
  - injection H as -> -> ->. exists i. left. reflexivity.
  - destruct (IH (S i) _ _ _ H) as [k I0]. exists k. right. exact I0.
Qed.
Lemma sane_neuron : sane net = true -> forall l rs ns, nth_error (hidden net) l = Some (rs, ns) -> length rs = length ns /\ forall j n, nth_error ns j = Some n -> 0 <= val (decay n).
Proof.
  intros H l rs ns E. unfold sane in H. apply andb_prop in H. destruct H as [_ H]. rewrite forallb_forall in H. specialize (H _ (nth_error_In _ _ E)). cbn [fst snd] in H.
  apply andb_prop in H. destruct H as [H1 H2]. split; [apply Nat.eqb_eq; exact H1|]. intros j n En. rewrite forallb_forall in H2. specialize (H2 _ (nth_error_In _ _ En)).
  apply leb_true in H2. rewrite val_zero in H2. exact H2.
Qed.
Lemma zip_combine : forall X Y (a : list X) (b : list Y) k p, nth_error (combine a b) k = Some p -> nth_error a k = Some (fst p) /\ nth_error b k = Some (snd p).
Proof.
  induction a as [|u a IH]; intros b k p H; [destruct k; discriminate|]. destruct b as [|v b]; [destruct k; discriminate|].
  destruct k; cbn in *; [injection H as <-; auto|auto].
Qed.
Lemma repeat_fact : forall (r : nat -> bool) m, bits_fact r 0 (repeat (false, true) m).
Proof. intros r m d b H. apply nth_error_In, repeat_spec in H. subst. cbn. split; discriminate. Qed.

Definition inside (low high : list D) : Prop := forall i a b, nth_error low i = Some a -> nth_error high i = Some b -> val a <= x i <= val b.

Theorem begin_sound : forall low high rows o, inside low high -> begin net low high rows = Some o -> holdso o.
Proof.
  intros low high rows o In0 H. unfold begin in H. cbv zeta in H. set (ins := combine low high) in *.
  assert (Hi : inputs_ok ins). { intros i b E. apply zip_combine in E. destruct E as [E1 E2]. exact (In0 i _ _ E1 E2). }
  destruct (hidden net) as [|[rs ns] deeper] eqn:Hd; [discriminate|].
  destruct (each (image ins) rs) as [boxes|] eqn:Eb; [|discriminate]. match type of H with match ?e with _ => _ end = _ => destruct e as [errs|] eqn:Ee; [|discriminate] end.
  match type of H with (if ?c then _ else _) = _ => destruct c eqn:C; [|discriminate] end.
  apply andb_prop in C. destruct C as [Sn W]. rewrite forallb_forall in W.
  assert (N0 : nth_error (hidden net) 0 = Some (rs, ns)) by (rewrite Hd; reflexivity).
  destruct (sane_neuron Sn 0 rs ns N0) as [Ln Dn].
  assert (T1 : (0 < T)%nat). { unfold sane in Sn. apply andb_prop in Sn. destruct Sn as [Sn _]. apply andb_prop in Sn. destruct Sn as [Sn _]. apply Nat.leb_le in Sn. lia. }
  assert (Fs : firsts_ok (zip (fun b e => {| alo := fst b; ahi := snd b; err := e; left := enumerate 0 rows |}) boxes errs)).
  { intros j f E. pose proof E as E'. apply zip_spec in E. destruct E as [b [e [E1 [E2 ->]]]].
    destruct (each_spec _ _ _ _ _ Eb j) as [A _]. destruct (A b E1) as [r [Er Ib]].
    destruct (each_spec _ _ _ _ _ Ee j) as [B _]. destruct (B e E2) as [[j' r'] [Er' Ie]]. cbn [fst snd] in Ie. apply zip_combine in Er'. cbn [fst snd] in Er'.
    destruct Er' as [Ej Er']. apply nth_error_seq in Ej. destruct Ej as [-> _]. assert (r' = r) by congruence. subst r'. cbn [Nat.add] in Ie.
    assert (Nn : exists m, nth_error ns j = Some m).
    { destruct (nth_error ns j) as [m|] eqn:Em; [eauto|]. apply nth_error_None in Em. assert (j < length rs)%nat by (apply nth_error_Some; congruence). lia. }
    destruct Nn as [n Em]. pose proof (Dn j n Em) as L0.
    destruct (at_neuron 0 j r n) as [go [c [Dr [Cc [Al Sp]]]]]; [exists rs, ns; auto|].
    specialize (Cc eq_refl). specialize (Al 0%nat T1). unfold current in Al. change (source 0 0) with x in Al.
    pose proof (image_sound ins r b x Ib Hi) as Ab.
    assert (Az : forall k z, nth_error (map size_of ins) k = Some z -> Rabs (x k) <= val z).
    { intros k z Ez. rewrite nth_error_map in Ez. destruct (nth_error ins k) as [bk|] eqn:Ek; [|discriminate]. cbn in Ez. injection Ez as <-. apply size_ge. exact (Hi k bk Ek). }
    assert (Ae : error (way_of net 0 j) r x <= val e).
    { eapply err_by_sound; [exact Ie|exact Az|]. cbn [snd]. intros k z Ez. destruct (has_ways net 0); [|discriminate]. apply find_plant in Ez. exact (Az k z Ez). }
    assert (Wj : walks n T rows b e = true).
    { apply (W (walks n T rows b e)). assert (Nc : nth_error (combine boxes errs) j = Some (b, e)).
      { clear - E1 E2. revert boxes errs E1 E2. induction j; intros [|? boxes] [|? errs] E1 E2; cbn in *; try discriminate; [congruence|auto]. }
      exact (nth_error_In _ _ (zip_given _ _ _ _ _ _ _ _ _ Em Nc)). }
    assert (Re : val (fst b) - val e <= c 0%nat <= val (snd b) + val e) by (unfold among in Ab; apply Rabs_le_inv in Al; lra).
    destruct (walked n T rows go c L0 Dr Cc b e Wj Re) as [tr [p [q [I0 [Tr Hc]]]]].
    exists r. cbn [alo ahi err left]. split; [unfold rows_of; rewrite Hd; exact Er|]. split; [exact Ab|].
    destruct (enumerate_spec rows 0 tr p q I0) as [k Ik]. exists (c 0%nat), {| ix := k; train := tr; from := p; til := q |}.
    split; [exact Ik|]. cbn [train from til]. split; [|split; [exact Hc|lra]].
    unfold same_train in *. rewrite Tr. apply map_ext_in. intros t It. apply in_seq in It. symmetry. apply Sp. lia. }
  injection H as <-. apply each_settle in Fs.
  match type of Fs with match ?e with _ => _ end => destruct e as [gs|]; [|exact Fs] end.
  cbn. split; [exact Hi|]. split; [exact Fs|]. split; [|exact I].
  intros l row j a El Ea. cbn [laters] in El. rewrite nth_error_map in El. destruct (nth_error deeper l); [|discriminate]. cbn in El. injection El as <-.
  rewrite nth_error_map in Ea. destruct (nth_error (fst p) j); [|discriminate]. cbn in Ea. injection Ea as <-. split; [apply repeat_fact|exact I].
Qed.

(* ---- rules I and W ------------------------------------------------------------------------------------------------------------------------------------ *)
Definition spikes_tables (l : nat) (lam : R) (tables : list table) : Prop :=
  forall i tb, nth_error tables i = Some tb -> table_ok lam (fun t => bit (s l i t)) tb.
Lemma sources_ok : forall c l lam deep, holds c -> 0 <= val lam -> spikes_tables l (val lam) (sources T c l lam deep).
Proof.
  intros c l lam deep [Hi [Hf [Hl Hm]]] L i tb E. unfold sources in E. destruct l as [|l].
  - rewrite nth_error_map in E. destruct (nth_error (firsts c) i) as [f|] eqn:Ef; [|discriminate]. cbn in E. injection E as <-.
    destruct (Hf i f Ef) as [r [_ [_ [k [w [Iw [Tr _]]]]]]]. destruct (forallb _ (left f)) eqn:Q; [|eapply of_rows_ok; eassumption].
    rewrite forallb_forall in Q. specialize (Q w Iw). rewrite forallb_forall in Q. apply quiet_ok; [exact L|]. intros t Lt. apply negb_true_iff, Q. unfold same_train in Tr. rewrite Tr.
    apply in_map, in_seq. lia.
  - rewrite nth_error_map in E. destruct (nth_error (nth l (laters c) []) i) as [a|] eqn:Ea; [|discriminate]. cbn in E. injection E as <-.
    assert (El : nth_error (laters c) l = Some (nth l (laters c) [])).
    { destruct (nth_error (laters c) l) as [row|] eqn:El; [rewrite (nth_error_nth _ _ _ El); reflexivity|].
      apply nth_error_None in El. rewrite nth_overflow in Ea by exact El. destruct i; discriminate. }
    destruct (Hl l _ i a El Ea) as [Bf Pf].
    assert (O : table_ok (val lam) (fun t => bit (s (S l) i t)) (tab deep lam (map between (bits a)))).
    { apply tab_ok; [exact L|]. intros k b Eb. rewrite nth_error_map in Eb.
      destruct (nth_error (bits a) k) as [b'|] eqn:Ek; [|discriminate]. cbn in Eb. injection Eb as <-. destruct (Bf k b' Ek). apply bit_between; assumption. }
    match goal with |- table_ok _ _ (if ?e then _ else _) => destruct e eqn:Q end.
    { apply andb_prop in Q as [Q1 Q2]. apply Nat.eqb_eq in Q1. apply quiet_ok; [exact L|]. intros t Lt. destruct (nth_error (bits a) t) as [b|] eqn:Eb; [|apply nth_error_None in Eb; lia].
      apply (proj2 (Bf t b Eb)). rewrite forallb_forall in Q2. apply negb_true_iff, Q2. eapply nth_error_In. exact Eb. }
    unfold of_later. cbv zeta. destruct deep; [|exact O]. destruct (proof a) as [[ex sts]|]; [|exact O]. destruct Pf as [r [n [_ P]]].
    apply meet_ok; [exact O|]. eapply of_graph_ok; [exact L|exact P].
Qed.
Lemma source_bit : forall l i t, (i < spikes net l)%nat -> source l t i = 0 \/ source l t i = 1.
Proof.
  induction l as [|l IH]; intros i t L; cbn [spikes Semantics.source] in *; [lia|]. destruct (Nat.ltb_spec i (wide net l)); [destruct (s l i t); cbn; auto|apply IH; lia].
Qed.
Lemma marked_or : forall l j r t, nth_error (marked net l) j = Some (true, r) -> (t < T)%nat -> bits_read (fst r) (source l t) /\ greatest (fst r) (source l t) (bit (s l j t)).
Proof.
  intros l j r t H Lt. unfold marked in H. destruct (nth_error (hidden net) l) as [[rs ns]|] eqn:Eh; [|destruct j; discriminate]. cbv zeta in H.
  apply zip_spec in H. destruct H as [j' [[r' n] [Ej [Ep H]]]]. apply nth_error_seq in Ej. destruct Ej as [-> _]. apply zip_spec in Ep. destruct Ep as [r2 [n2 [Er [En Ep]]]]. injection Ep as <- <-.
  cbn [fst snd Nat.add] in H. injection H as Hp <-. symmetry in Hp. apply andb_prop in Hp as [Hp Hw]. destruct (way_of net l j) as [w|] eqn:Ew; [discriminate|].
  destruct (at_neuron l j r n (ex_intro _ rs (ex_intro _ ns (conj Eh (conj Er En))))) as [go [cu [Dr [_ [Al Sp]]]]].
  assert (B : bits_read (fst r) (source l t)) by (intros i w I; apply source_bit; exact (proj1 (proj2 (proj2 (proj2 (proj2 (proj2 (pools_spec _ _ _ Hp))))) i w I))).
  split; [exact B|]. specialize (Al t Lt). rewrite Ew in Al. cbn [error] in Al. destruct (Dr (potential go cu t) (cu t)) as [v [Hv [Ht _]]]. rewrite (Sp t Lt). unfold spiked.
  destruct (pool_fires _ r n (source l t) _ _ v _ Hp B Al Hv Ht) as [[-> Q]|[-> Q]]; [left|right]; (split; [reflexivity|exact Q]).
Qed.
Lemma box_at_ok : forall lam f tb t, table_ok lam f tb -> among (box_at t tb) (f t) \/ ~ (f t = 0 \/ f t = 1).
Proof.
  intros lam f tb t H. unfold box_at. destruct (nth t tb []) as [|b row] eqn:E.
  - destruct (Req_EM_T (f t) 0) as [Z|Z]; [left; rewrite Z; unfold among; cbn [fst snd]; vals; lra|]. destruct (Req_EM_T (f t) 1) as [O|O]; [left; rewrite O; unfold among; cbn [fst snd]; vals; lra|right; tauto].
  - left. assert (N : nth_error tb t = Some (b :: row)).
    { destruct (nth_error tb t) as [rw|] eqn:El; [rewrite (nth_error_nth _ _ _ El) in E; congruence|]. apply nth_error_None in El. rewrite nth_overflow in E by exact El. discriminate. }
    specialize (H t 0%nat _ b N eq_refl). cbn [recent] in H. rewrite Rmult_0_r, Rplus_0_r in H. exact H.
Qed.
Lemma pooled_ok : forall l lam deep ts own i tb, 0 <= val lam -> tables_ok l (val lam) ts -> spikes_tables l (val lam) own ->
  nth_error (pooled_all T deep lam ts (marked net l) own) i = Some tb -> table_ok (val lam) (fun t => bit (s l i t)) tb.
Proof.
  intros l lam deep ts own i tb L Ts O E. unfold pooled_all in E. apply zip_spec in E. destruct E as [[m r] [other [Em [Eo ->]]]]. cbn [fst snd]. specialize (O i other Eo). destruct m; [|exact O].
  unfold pooled. destruct (pick 0 ts (fst r)) as [picked|] eqn:P; [|exact O]. cbv zeta.
  pose proof (pick_spec _ (fun i tb => table_ok (val lam) (fun t => source l t i) tb) _ _ _ _ P (fun k tb Ek => Ts k tb Ek)) as F.
  set (single := tab deep lam _). assert (Sg : table_ok (val lam) (fun t => bit (s l i t)) single).
  { apply tab_ok; [exact L|]. intros t b Eb. rewrite nth_error_map in Eb. destruct (nth_error (seq 0 T) t) as [t'|] eqn:Et; [|discriminate]. apply nth_error_seq in Et. destruct Et as [-> Lt].
    cbn [option_map Nat.add] in Eb. cbv zeta in Eb. injection Eb as <-. destruct (marked_or l i r t Em Lt) as [Br Gr]. apply (greatest_box (fst r) (source l t)); [exact Br| |exact Gr].
    unfold seen. clear - F Br. revert Br. induction F as [|p jw ps ws [_ A] F IH]; intros Br; [constructor|]. cbn [map]. constructor; [|apply IH; intros i w I; apply (Br i w); right; exact I].
    destruct (box_at_ok _ _ _ t A) as [K|K]; [exact K|]. exfalso. apply K. destruct jw as [i w]. apply (Br i w). left. reflexivity. }
  destruct deep; [|exact Sg]. apply meet_ok; [exact Sg|]. intros t k row b Er Eb.
  assert (Lt : (t < T)%nat) by (assert (Q : (t < length (firstn T (together picked)))%nat) by (apply nth_error_Some; congruence); rewrite length_firstn in Q; lia).
  rewrite nth_error_firstn in Er. destruct (Nat.ltb_spec t T); [|lia].
  assert (F2 : Forall2 (fun (q : D * table) (jw : nat * D) => table_ok (val lam) (fun t => source l t (fst jw)) (snd q)) picked (fst r)).
  { clear - F. induction F as [|p jw ps ws [_ A] F IH]; [constructor|]. constructor; [exact A|exact IH]. }
  destruct (together_sound (val lam) (fun i t => source l t i) (fun t => bit (s l i t)) T (fst r) picked L F2) with (t := t) (k := k) (row := row) (b := b) as [B1 B2]; try assumption.
  - intros j w t0 I L0. destruct (marked_or l i r t0 Em L0) as [Br Gr]. exact (greatest_ge (fst r) (source l t0) _ j w Br Gr I).
  - unfold among. split; [exact B1|]. eapply Rle_trans; [|exact B2]. apply recent_le; [exact L|]. intros j Lj. destruct (marked_or l i r j Em ltac:(lia)) as [Br Gr].
    exact (greatest_all (fun i t => source l t i) (fst r) j _ Br Gr).
Qed.
Lemma read_tables_ok : forall c lam deep, holds c -> 0 <= val lam -> forall l back, tables_ok l (val lam) (read_tables net c back l lam deep).
Proof.
  intros c lam deep H L. induction l as [|l IH]; intros back i tb E; cbn [read_tables] in E; destruct back as [|back]; try (destruct i; discriminate).
  - pose proof H as [Hi _]. rewrite nth_error_map in E. destruct (nth_error (inputs c) i) as [b|] eqn:Eb; [|discriminate]. cbn in E. injection E as <-. specialize (Hi i b Eb).
    apply tab_ok; [exact L|]. intros k b' G. apply nth_error_In, repeat_spec in G. subst b'. exact Hi.
  - cbv zeta in E. destruct (Nat.lt_ge_cases i (wide net l)) as [Li|Li].
    + rewrite nth_error_app1 in E by (rewrite length_sized; exact Li). apply sized_spec in E. destruct E as [_ E].
      assert (Sc : forall t, source (S l) t i = bit (s l i t)) by (intro t; cbn [Semantics.source]; destruct (Nat.ltb_spec i (wide net l)); [reflexivity|lia]).
      destruct E as [E| ->]; [|intros t k row b F; destruct t; discriminate].
      assert (O : table_ok (val lam) (fun t => bit (s l i t)) tb).
      { destruct (any_marked (marked net l)); [|exact (sources_ok c l lam deep H L i tb E)]. exact (pooled_ok l lam deep _ _ i tb L (IH _) (sources_ok c l lam deep H L) E). }
      intros t k row b F G. specialize (O t k row b F G). erewrite recent_ext; [exact O|]. exact Sc.
    + rewrite nth_error_app2 in E by (rewrite length_sized; exact Li). rewrite length_sized in E. pose proof (IH back _ tb E) as A.
      assert (Sc : forall t, source (S l) t i = source l t (i - wide net l)) by (intro t; cbn [Semantics.source]; destruct (Nat.ltb_spec i (wide net l)); [lia|reflexivity]).
      intros t k row b F G. specialize (A t k row b F G). erewrite recent_ext; [exact A|exact Sc].
Qed.
Lemma columns_ok_of : forall l lam tables, tables_ok l lam tables -> columns_ok l lam (map (fun tb => (tb, tops tb)) tables).
Proof.
  intros l lam tables H i c E. rewrite nth_error_map in E. destruct (nth_error tables i) as [tb|] eqn:Ti; [|discriminate]. cbn in E. injection E as <-. cbn [fst snd].
  split; [exact (H i tb Ti)|]. intros t z Ez. apply tops_size in Ez. destruct Ez as [b [row [Eb ->]]]. apply size_ge.
  pose proof (H i tb Ti t 0%nat _ b Eb eq_refl) as P. cbn [recent] in P. rewrite Rmult_0_r, Rplus_0_r in P. exact P.
Qed.
Lemma tries_ok_of : forall l lam cs, columns_ok l lam cs ->
  tries_ok l (map (fun t => match each (fun c : table * list D => nth_error (snd c) t) cs with Some sz => plant deepest sz | None => Tip end) (seq 0 T)).
Proof.
  intros l lam cs H t tr E i z F. rewrite nth_error_map in E. destruct (nth_error (seq 0 T) t) as [t'|] eqn:Et; [|discriminate]. apply nth_error_seq in Et. destruct Et as [-> _].
  cbn [option_map Nat.add] in E. injection E as <-. destruct (each _ cs) as [sz|] eqn:Es; [|discriminate]. apply find_plant in F.
  destruct (proj1 (each_spec _ _ _ _ _ Es i) z F) as [c [Ec Ez]]. exact (proj2 (H i c Ec) t z Ez).
Qed.
Lemma memo_of_ok : forall c l lam deep, holds c -> 0 <= val lam ->
  let m := memo_of net c l lam deep in memo_says l (val lam) m /\ memo_ok m.
Proof.
  intros c l lam deep H L. cbv zeta. unfold memo_of. cbv zeta. set (ts := read_tables net c _ l lam deep). set (on := tab deep lam _). set (cs := map _ ts). set (tr := if has_ways net l then _ else _).
  assert (N : let m := {| mlayer := l; mdecay := lam; mdeep := deep; mones := on; mcolumns := cs; mtries := tr |} in memo_says l (val lam) m /\ memo_ok m).
  { cbv zeta. pose proof (columns_ok_of l (val lam) ts (read_tables_ok c lam deep H L l (nth l (far net) 1%nat))) as S0. fold cs in S0.
    assert (Q : memo_says l (val lam) {| mlayer := l; mdecay := lam; mdeep := deep; mones := on; mcolumns := cs; mtries := tr |}).
    { unfold memo_says. cbn [mones mcolumns mtries]. split; [|split; [exact S0|]].
      - apply tab_ok; [exact L|]. intros k b G. apply nth_error_In, repeat_spec in G. subst b. unfold among. cbn [fst snd]. vals. lra.
      - unfold tr. destruct (has_ways net l); (split; [|intro Q]); try discriminate.
        + exact (tries_ok_of l (val lam) cs S0).
        + rewrite length_map, length_seq. reflexivity.
        + intros t z E. destruct t; discriminate. }
    split; [exact Q|]. intros _. exact Q. }
  pose proof H as [_ [_ [_ Hm]]]. destruct (kept c) as [m|]; [|exact N].
  destruct (Nat.eqb (mlayer m) l && same (mdecay m) lam && Bool.eqb deep (mdeep m))%bool eqn:E; [|exact N].
  apply andb_prop in E. destruct E as [E _]. apply andb_prop in E. destruct E as [E1 E2]. apply Nat.eqb_eq in E1. unfold same in E2. tests. assert (V : val (mdecay m) = val lam) by lra.
  pose proof Hm as Hm'. unfold memo_ok in Hm'. rewrite V, E1 in Hm'. exact (conj (Hm' L) Hm).
Qed.
Definition wins_ok (lam : R) (f : nat -> R) (t : nat) (wins : list (list (option (D * D)))) : Prop :=
  forall d k row b, nth_error wins d = Some row -> windowed row k = Some b -> among b (recent lam f (S k) (S (t + d))).
Lemma currents_ok : forall l lam n r, forall ones levels t p, (forall d k row b, nth_error ones d = Some row -> nth_error row k = Some b -> among b (recent lam (fun _ => 1) (S k) (S (t + d)))) ->
  Forall2 (spans_ok lam (fun i t => source l t i) t) p (fst r) -> wins_ok lam (current l r) t (currents n (snd r) t ones levels p).
Proof.
  intros l lam n r. induction ones as [|on ones IH]; intros levels t p On H d k row b E F; [destruct d; discriminate|]. destruct levels as [|level levels]; [destruct d; discriminate|].
  cbn [currents] in E. cbv zeta in E. destruct d as [|d]; cbn [nth_error] in E.
  - injection E as <-. unfold windowed in F. match type of F with match ?e with _ => _ end = _ => destruct e as [o|] eqn:Er; [|discriminate] end. subst o.
    apply zip_spec in Er. destruct Er as [k' [ob [Ek [Eo W]]]]. apply nth_error_seq in Ek. destruct Ek as [-> _]. cbn [Nat.add] in W.
    match type of W with _ = (if ?c then _ else _) => destruct c; [|discriminate W] end. symmetry in W. rewrite Nat.add_0_r. unfold current. rewrite (recent_affine lam r (fun i t => source l t i)).
    apply (gather_sound lam (fun i t => source l t i) t k p (fst r) H _ _ _ _) with (2 := W).
    pose proof (On 0%nat k on ob eq_refl Eo) as A. rewrite Nat.add_0_r in A. pose proof (least_le (snd r) ob _ A). pose proof (most_ge (snd r) ob _ A). unfold among. cbn [fst snd]. lra.
  - replace (t + S d)%nat with (S t + d)%nat by lia. apply (IH levels (S t) (later_on p)) with (row := row); [|apply later_spans; exact H|exact E|exact F].
    intros d' k' row' b' N1 N2. replace (S t + d')%nat with (t + S d')%nat by lia. exact (On (S d') k' row' b' N1 N2).
Qed.
Lemma errors_by_ok : forall l lam o (r : row) tries (cs : list (table * list D)) p es, columns_ok l lam cs -> tries_ok l tries -> pick 0 cs (fst r) = Some p -> errors_by T o tries r p = Some es ->
  (match o with Some _ => length tries = T | None => True end) -> forall t, (t < T)%nat -> exists e, nth_error es t = Some e /\ error o r (source l t) <= val e.
Proof.
  intros l lam o r tries cs p es C Tr P E Lt t L. destruct o as [w|]; cbn [errors_by error] in *.
  - destruct (nth_error tries t) as [tr|] eqn:Et; [|apply nth_error_None in Et; lia]. destruct (proj2 (each_spec _ _ _ _ _ E t) tr Et) as [e [Ee Eg]].
    exists e. split; [exact Ee|]. destruct (gaugeD tr w) as [d|] eqn:G; [|discriminate]. injection Eg as <-. apply (gaugeD_bounds tr (source l t) (Tr t tr Et) w d G).
  - pose proof (pick_spec _ (fun j (c : table * list D) => forall d z, nth_error (snd c) d = Some z -> Rabs (source l d j) <= val z) _ _ _ _ P) as H.
    assert (F : Forall2 (tops_ok (fun i t => source l t i) 0) (map (fun q : D * (table * list D) => (fst q, snd (snd q))) p) (fst r)).
    { specialize (H (fun k c Ec => proj2 (C k c Ec))). clear - H. induction H as [|q jw p ws [A B] H IH]; [constructor|]. constructor; [|exact IH]. split; [exact A|exact B]. }
    destruct (errors_sound (fun i t => source l t i) T (snd r) 0 _ (fst r) es F E t L) as [e [Ee A]]. exists e. split; [exact Ee|]. destruct r as [ws b]. exact A.
Qed.
Lemma spans_picked : forall l lam (r : row) (cs : list (table * list D)) p, columns_ok l lam cs -> pick 0 cs (fst r) = Some p ->
  Forall2 (spans_ok lam (fun i t => source l t i) 0) (map (fun q : D * (table * list D) => (fst q, fst (snd q))) p) (fst r).
Proof.
  intros l lam r cs p C P. pose proof (pick_spec _ (fun j (c : table * list D) => table_ok lam (fun t => source l t j) (fst c)) _ _ _ _ P (fun k c Ec => proj1 (C k c Ec))) as H.
  clear - H. induction H as [|q jw p ws [A B] H IH]; [constructor|]. constructor; [|exact IH]. split; [exact A|exact B].
Qed.
Lemma stages_wins : forall n ex gm wins t e fixed level rest chains sts, stages_of n ex gm t e wins fixed level rest chains = Some sts ->
  length sts = length wins /\ forall t, (t < length wins)%nat -> exists b ws, nth_error wins t = Some (Some b :: ws).
Proof.
  induction wins as [|w wins IH]; intros t0 e fixed level rest chains sts H; cbn [stages_of] in H.
  - destruct fixed, rest; try discriminate. injection H as <-. split; [reflexivity|]. intros t L. cbn in L. lia.
  - destruct w as [|[b|] ws]; try (destruct fixed, rest; discriminate). destruct fixed as [|f fixed]; [discriminate|]. destruct rest as [|next rest]; [discriminate|].
    destruct (level_of n ex b (Some b :: ws) f next t0 (looser n ex gm e) 0 level chains) as [cs|]; [|discriminate].
    destruct (stages_of n ex gm (S t0) (looser n ex gm e) wins fixed next rest (chains_on chains cs next)) as [r|] eqn:R; [|discriminate]. injection H as <-.
    destruct (IH _ _ _ _ _ _ _ R) as [A B]. split; [cbn; f_equal; exact A|]. intros [|t] L; cbn [nth_error]; [eauto|]. apply B. cbn in L. lia.
Qed.

Theorem graph_sound : forall c l j levels o, holds c -> graph net c l j levels = Some o -> holdso o.
Proof.
  intros c l j levels o H G. unfold graph in G. destruct l as [|l]; [discriminate|]. destruct levels as [|[|x0 level0] rest]; try discriminate.
  destruct (nth_error (hidden net) (S l)) as [[rs ns]|] eqn:Eh; [|discriminate]. destruct (nth_error (laters c) l) as [row|] eqn:El; [|discriminate].
  rewrite !found_at_nth in G. destruct (nth_error rs j) as [r|] eqn:Er; [|discriminate]. destruct (nth_error ns j) as [n|] eqn:En; [|discriminate]. destruct (nth_error row j) as [a|] eqn:Ea; [|discriminate].
  cbv zeta in G. set (deep := existsb _ _) in *. set (m := memo_of net c (S l) (decay n) deep) in *.
  destruct (pick 0 (mcolumns m) (fst r)) as [picked|] eqn:Ep; [|discriminate]. destruct (errors_by T (way_of net (S l) j) (mtries m) r picked) as [errs|] eqn:Ee; [|discriminate].
  set (wins := currents n (snd r) 0 (mones m) _ _) in *.
  set (e := fold_left dmax errs zero) in *.
  set (C := fold_left dmax (map _ wins) zero) in *. set (UM := fold_left dmax (map _ (concat _)) zero) in *.
  set (ex := add e (slipD n UM (add C e))) in *. set (level := x0 :: level0) in *.
  set (chains := map (fun i => if Nat.eqb i 0 then Some [(lo x0, hi x0)] else None) (seq 0 (length level))) in *.
  set (gm := dmax zero (match kind n with Subtract => lostD n (add (add (mul (decay n) UM) (add C e)) ex) | _ => zero end)) in *.
  destruct (stages_of n ex gm 0 zero wins (bits a) level rest chains) as [sts|] eqn:Es; [|discriminate].
  match type of G with (if ?c then _ else _) = _ => destruct c eqn:Cd; [|discriminate] end. injection G as <-.
  apply andb_prop in Cd. destruct Cd as [Cd Ls]. apply andb_prop in Cd. destruct Cd as [Cd Tx]. tests. rewrite val_zero in *. apply Nat.leb_le in Ls. rename H1 into L0. rename H2 into X2. rename H0 into X1.
  destruct (memo_of_ok c (S l) (decay n) deep H L0) as [Sa Mo]. fold m in Sa, Mo. pose proof Sa as [On [Cs [Tr Lm]]].
  assert (Na : neuron_at (S l) j r n) by (exists rs, ns; auto).
  destruct (at_neuron (S l) j r n Na) as [go [cu [Dr [_ [Al Sp]]]]].
  pose proof H as [Hi [Hf [Hl Hm]]]. destruct (Hl l row j a El Ea) as [Bf Pf].
  assert (Wk : forall d k row b, nth_error wins d = Some row -> windowed row k = Some b -> among b (recent (val (decay n)) (current (S l) r) (S k) (S d)))
    by exact (currents_ok (S l) (val (decay n)) n r (mones m) _ 0%nat _ On (spans_picked (S l) (val (decay n)) r (mcolumns m) picked Cs Ep)).
  destruct (stages_wins _ _ _ _ _ _ _ _ _ _ _ Es) as [Lw Wn].
  destruct (fold_max errs zero) as [E0 E1]. fold e in E0, E1. rewrite val_zero in E0.
  assert (Cm : 0 <= val C /\ forall t b ws, nth_error wins t = Some (Some b :: ws) -> val (size_of b) <= val C).
  { destruct (fold_max (map (fun w : list (option (D * D)) => match w with Some b :: _ => size_of b | _ => zero end) wins) zero) as [M0 M1]. fold C in M0, M1. rewrite val_zero in M0.
    split; [exact M0|]. intros t b ws Et. apply M1. apply nth_error_In in Et. apply (in_map (fun w : list (option (D * D)) => match w with Some b :: _ => size_of b | _ => zero end)) in Et. exact Et. }
  destruct Cm as [C0 C1].
  assert (Um : 0 <= val UM /\ forall lv y, In lv (level :: rest) -> In y lv -> val (size_of (lo y, hi y)) <= val UM).
  { destruct (fold_max (map (fun x => size_of (lo x, hi x)) (concat (level :: rest))) zero) as [M0 M1]. fold UM in M0, M1. rewrite val_zero in M0.
    split; [exact M0|]. intros lv y I1 I2. apply M1. apply (in_map (fun x => size_of (lo x, hi x))). apply in_concat. eauto. }
  destruct Um as [U0 U1].
  assert (Err : forall t, (t < T)%nat -> error (way_of net (S l) j) r (source (S l) t) <= val e).
  { assert (Lw' : match way_of net (S l) j with Some _ => length (mtries m) = T | None => True end).
    { destruct (way_of net (S l) j) as [w|] eqn:Ew; [|exact I]. apply Lm. unfold has_ways. apply existsb_exists. unfold way_of in Ew.
      destruct (nth_error (nested net) (S l)) as [ws|] eqn:En'; [|discriminate]. rewrite (nth_error_nth _ _ _ En'). destruct (nth_error ws j) as [[w'|]|] eqn:Ej; try discriminate.
      exists (Some w'). split; [eapply nth_error_In; exact Ej|reflexivity]. }
    intros t Lt. destruct (errors_by_ok (S l) (val (decay n)) _ r (mtries m) (mcolumns m) picked errs Cs Tr Ep Ee Lw' t Lt) as [er [Eer Ev]].
    eapply Rle_trans; [exact Ev|]. apply E1. eapply nth_error_In. exact Eer. }
  assert (Vx : val ex = val e + val (slipD n UM (add C e))) by (unfold ex; vals; reflexivity).
  assert (X0 : 0 <= val ex).
  { rewrite Vx. assert (slip n 0 0 <= val (slipD n UM (add C e))) by (apply slip_le; [exact L0|rewrite Rabs_R0; exact U0|rewrite Rabs_R0, val_add; lra]).
    unfold slip in H0. rewrite Rabs_R0, Rmult_0_r, Rplus_0_l, Rmult_0_r, Rplus_0_l in H0. pose proof tiny_pos. lra. }
  assert (P : path n (val ex) (current (S l) r) (s (S l) j) sts 0 0 0).
  { change 0 with (potential go cu 0) at 1.
    assert (Gk : forall t v, (t < length sts)%nat -> kind n = Subtract -> Rabs (potential go cu t) <= val UM -> Rabs (v - (val (decay n) * potential go cu t + current (S l) r t)) <= val ex -> lost n v <= val gm).
    { intros t v Lt Kn Ub Hv. unfold gm. rewrite Kn, val_max. eapply Rle_trans; [|apply Rmax_r]. apply lost_le. rewrite !val_add, val_mul.
      destruct (Wn t ltac:(lia)) as [b [ws Et]]. specialize (C1 t b ws Et).
      pose proof (Wk t 0%nat (Some b :: ws) b Et eq_refl) as Ab. cbn [recent] in Ab. rewrite Rmult_0_r, Rplus_0_r in Ab. apply size_ge in Ab.
      replace v with (v - (val (decay n) * potential go cu t + current (S l) r t) + (val (decay n) * potential go cu t + current (S l) r t)) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. eapply Rle_trans; [apply Rplus_le_compat_l, Rabs_triang|]. rewrite Rabs_mult, (Rabs_pos_eq (val (decay n))) by exact L0.
      assert (val (decay n) * Rabs (potential go cu t) <= val (decay n) * val UM) by (apply Rmult_le_compat_l; assumption). lra. }
    assert (G0 : 0 <= val gm) by (unfold gm; rewrite val_max, val_zero; apply Rmax_l).
    apply (follows n ex gm UM (length sts) (current (S l) r) cu (potential go cu) (s (S l) j) L0 X0 G0 Gk) with (e := zero) (wins := wins) (fixed := bits a) (level := level) (rest := rest)
      (chains := chains) (x := x0) (ch := [(lo x0, hi x0)]).
    - intros t Lt. rewrite (Sp t) by lia. unfold spiked. cbn [potential]. apply Dr.
    - intros t v Lt Ub Hv. assert (LtT : (t < T)%nat) by lia. rewrite Vx. specialize (Al t LtT). specialize (Err t LtT).
      destruct (Wn t ltac:(lia)) as [b [ws Et]]. specialize (C1 t b ws Et).
      pose proof (Wk t 0%nat (Some b :: ws) b Et eq_refl) as Ab. cbn [recent] in Ab. rewrite Rmult_0_r, Rplus_0_r in Ab. apply size_ge in Ab.
      assert (Cb : Rabs (cu t) <= val (add C e)).
      { rewrite val_add. replace (cu t) with (current (S l) r t + (cu t - current (S l) r t)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. }
      pose proof (slip_le n _ _ _ _ L0 Ub Cb).
      replace (v - (val (decay n) * potential go cu t + current (S l) r t)) with ((cu t - current (S l) r t) + (v - (val (decay n) * potential go cu t + cu t))) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra.
    - exact Es.
    - intros d k rw b N1 N2. exact (Wk d k rw b N1 N2).
    - exact Bf.
    - lia.
    - reflexivity.
    - unfold among. cbn [potential fst snd]. lra.
    - reflexivity.
    - intros k h N. destruct k as [|k]; [|destruct k; discriminate]. cbn in N. injection N as <-. exists 0. cbn [potential recent lse pow]. split.
      + unfold among. cbn [fst snd]. lra.
      + replace (0 - (1 * 0 + 0)) with 0 by ring. rewrite Rabs_R0, Rmult_0_r. lra.
    - intros _. cbn [potential recent took]. rewrite val_zero, Rminus_0_r, Rminus_0_r, Rabs_R0. lra.
    - unfold told_ok. destruct (told n x0) as [b|]; [|exact I]. apply andb_prop in Tx. destruct Tx as [T1 T2]. apply leb_true in T1, T2. rewrite val_zero in *. unfold among. cbn [took]. lra.
    - exact U1. }
  assert (Nb : bits_fact (s (S l) j) 0 (zip both (bits a) (map bits_of sts))).
  { intros d b E. apply zip_spec in E. destruct E as [b1 [b2 [F1 [F2 ->]]]]. destruct (Bf d b1 F1) as [Q1 Q2].
    rewrite nth_error_map in F2. destruct (nth_error sts d) as [st|] eqn:Ed; [|discriminate]. cbn in F2. injection F2 as <-.
    destruct (bits_sound _ _ _ _ _ _ _ _ P d st Ed) as [Q3 Q4]. unfold both. cbn [fst snd]. split; intro V.
    - apply orb_prop in V. destruct V; auto.
    - apply andb_false_iff in V. destruct V; auto. }
  destruct (existsb torn (zip both (bits a) (map bits_of sts))) eqn:Tn.
  - apply existsb_exists in Tn. destruct Tn as [b [Ib Tb']]. apply In_nth_error in Ib. destruct Ib as [d Ed]. destruct (Nb d b Ed) as [Q1 Q2].
    unfold torn in Tb'. apply andb_prop in Tb'. destruct Tb' as [T1 T2]. apply negb_true_iff in T2. specialize (Q1 T1). specialize (Q2 T2). cbn in *. congruence.
  - cbn. split; [exact Hi|]. split; [exact Hf|]. split; [|exact Mo]. cbn [laters]. intros l' row' j' a' N1 N2.
    apply put_spec in N1. destruct N1 as [[-> ->]|[_ N1]]; [|exact (Hl _ _ _ _ N1 N2)].
    apply put_spec in N2. destruct N2 as [[-> ->]|[_ N2]]; [|exact (Hl _ _ _ _ El N2)].
    split; [exact Nb|]. cbn [proof]. exists r, n. split; [exact Na|exact P].
Qed.

(* ---- rule N ------------------------------------------------------------------------------------------------------------------------------------------------ *)
Definition inputs_of : nat -> nat -> R := fun i _ => x i.
Lemma slabbed_sound : forall fs nus B const B' const', firsts_ok fs -> slabbed (rows_of net) fs nus B const = Some (B', const') ->
  dots B' inputs_of 0 + val const' <= dots B inputs_of 0 + val const.
Proof.
  intros fs. induction nus as [|[k nu] nus IH]; intros B const B' const' Hf H; cbn [slabbed] in H.
  - injection H as <- <-. lra.
  - destruct (nth_error (rows_of net) k) as [r|] eqn:Er; [|discriminate]. destruct (nth_error fs k) as [f|] eqn:Ef; [|discriminate].
    destruct (spread 0 (fst r) [opp nu] B) as [B1|] eqn:Es; [|discriminate]. apply IH in H; [|exact Hf].
    rewrite (spread_sound _ _ _ _ _ inputs_of Es) in H. cbn [dot] in H. change (weighted (fst r) (fun j => inputs_of j 0%nat)) with (weighted (fst r) x) in H.
    destruct (Hf k f Ef) as [r' [Er' [Ha _]]]. assert (r' = r) by congruence. subst r'.
    pose proof (least_le nu (alo f, ahi f) _ Ha) as L. unfold affine in L. vals. lra.
Qed.
Lemma bound_sound : forall c m sign nus v r, holds c -> bound (rows_of net) c m sign nus = Some v -> nth_error (rows_of net) m = Some r -> val v <= val sign * affine r x.
Proof.
  intros c m sign nus v r [Hi [Hf _]] H Er. unfold bound in H. rewrite Er in H.
  destruct (spread 0 (fst r) [sign] (repeat [] (length (inputs c)))) as [B|] eqn:Es; [|discriminate].
  destruct (slabbed (rows_of net) (firsts c) nus B (mul sign (snd r))) as [[B' const]|] eqn:Eb; [|discriminate].
  destruct (corner B' (inputs c)) as [w|] eqn:Ec; [|discriminate]. cbn in H. injection H as <-.
  apply slabbed_sound in Eb; [|exact Hf]. rewrite (spread_sound _ _ _ _ _ inputs_of Es), dots_empty in Eb. cbn [dot] in Eb. change (weighted (fst r) (fun j => inputs_of j 0%nat)) with (weighted (fst r) x) in Eb.
  assert (G : val w <= dots B' inputs_of 0) by exact (corner_sound _ _ _ x 0 Ec Hi).
  unfold affine. vals. lra.
Qed.
Lemma narrow_one_sound : forall c b o, holds c -> narrow_one (rows_of net) c b = Some o -> holdso o.
Proof.
  intros c [[m sign] nus] o H N. unfold narrow_one in N.
  match type of N with match ?e with _ => _ end = _ => destruct e as [low|] eqn:Eb; [|discriminate] end.
  destruct (nth_error (firsts c) m) as [f|] eqn:Ef; [|discriminate].
  pose proof H as [Hi [Hf [Hl Hm]]]. destruct (Hf m f Ef) as [r [Er [Ha Hw]]].
  pose proof (bound_sound _ _ _ _ _ r H Eb Er) as B.
  destruct sign as [[|]|]; injection N as <-.
  - apply with_first_sound; [exact H|]. exists r. cbn [alo ahi err left]. split; [exact Er|]. split; [|exact Hw]. vals. split; [apply Rmax_lub|]; lra.
  - apply with_first_sound; [exact H|]. exists r. cbn [alo ahi err left]. split; [exact Er|]. split; [|exact Hw]. vals. split; [|apply Rmin_glb]; lra.
  - destruct (ltb zero low) eqn:L; [|exact H]. apply ltb_true in L. vals. lra.
Qed.
Lemma narrow_sound : forall bounds c o, holds c -> narrow (rows_of net) c bounds = Some o -> holdso o.
Proof.
  induction bounds as [|b bounds IH]; intros c o H N; cbn [narrow] in N; [injection N as <-; exact H|].
  destruct (narrow_one (rows_of net) c b) as [[c'|]|] eqn:E; [| |discriminate].
  - eapply IH; [|exact N]. exact (narrow_one_sound _ _ _ H E).
  - destruct (narrow_one_sound _ _ _ H E).
Qed.

(* ---- splits: one of the two sides holds the run ------------------------------------------------------------------------------------------------------------------ *)
Lemma split_rows_sound : forall c j k a b, holds c -> split_rows c j k = Some (a, b) -> holdso a \/ holdso b.
Proof.
  intros c j k a b H S. unfold split_rows in S. destruct (nth_error (firsts c) j) as [f|] eqn:Ef; [|discriminate]. injection S as <- <-.
  pose proof H as [_ [Hf _]]. destruct (Hf j f Ef) as [r [Er [Ha [i [w [Iw [Tr R]]]]]]].
  destruct (Nat.leb k (ix w)) eqn:E; [left|right]; (apply with_first_sound; [exact H|]); exists r; cbn [alo ahi err left];
    (split; [exact Er|]; split; [exact Ha|]; exists i, w; split; [apply filter_In; split; [exact Iw|rewrite E; reflexivity]|split; [exact Tr|exact R]]).
Qed.
Lemma split_spike_sound : forall c l j t a b, holds c -> split_spike c l j t = Some (a, b) -> holdso a \/ holdso b.
Proof.
  intros c l j t a b H S. unfold split_spike in S. destruct l as [|l]; [discriminate|].
  destruct (nth_error (laters c) l) as [row|] eqn:El; [|discriminate]. destruct (nth_error row j) as [y|] eqn:Ej; [|discriminate].
  destruct (nth_error (bits y) t) as [b0|] eqn:Et; [|discriminate]. cbv zeta in S. injection S as <- <-.
  pose proof H as [Hi [Hf [Hl Hm]]]. destruct (Hl l row j y El Ej) as [Bf Pf]. destruct (Bf t b0 Et) as [Q1 Q2]. cbn [Nat.add] in Q1, Q2.
  assert (Sd : forall b', (fst b' = true -> s (S l) j t = true) -> (snd b' = false -> s (S l) j t = false) ->
            holdso (if torn b' then None else Some {| inputs := inputs c; firsts := firsts c; kept := None;
                                              laters := put l (put j {| bits := put t b' (bits y); proof := proof y |} row) (laters c) |})).
  { intros b' P1 P2. unfold torn. destruct (fst b' && negb (snd b'))%bool eqn:E.
    - apply andb_prop in E. destruct E as [E1 E2]. apply negb_true_iff in E2. rewrite (P1 E1) in P2. specialize (P2 E2). discriminate.
    - cbn. split; [exact Hi|]. split; [exact Hf|]. split; [|exact I]. cbn [laters]. intros l' row' j' a' N1 N2.
      apply put_spec in N1. destruct N1 as [[-> ->]|[_ N1]]; [|exact (Hl _ _ _ _ N1 N2)].
      apply put_spec in N2. destruct N2 as [[-> ->]|[_ N2]]; [|exact (Hl _ _ _ _ El N2)].
      split; [|exact Pf]. cbn [bits]. intros d b1 N. apply put_spec in N. destruct N as [[-> ->]|[_ N]]; [split; assumption|exact (Bf d b1 N)]. }
  destruct (s (S l) j t) eqn:E; [left|right]; apply Sd; unfold both; cbn [fst snd]; try discriminate; try reflexivity.
  - intro V. rewrite andb_true_r in V. exact (Q2 V).
  - intro V. rewrite orb_false_r in V. exact (Q1 V).
Qed.
Lemma input_side_sound : forall c i y o, holds c -> among y (x i) -> input_side (rows_of net) c i y = Some o -> holdso o.
Proof.
  intros c i y o H Ay Eo. pose proof H as [Hi [Hf [Hl Hm]]]. unfold input_side in Eo. cbv zeta in Eo.
  assert (E : leb (fst y) (snd y) = true) by (apply leb_iff; unfold among in Ay; lra). rewrite E in Eo.
  assert (Hi' : inputs_ok (put i y (inputs c))).
  { intros k b' N. apply put_spec in N. destruct N as [[-> ->]|[_ N]]; [exact Ay|exact (Hi k b' N)]. }
  destruct (each (image (put i y (inputs c))) (rows_of net)) as [bs|] eqn:Eb; [|discriminate]. injection Eo as <-.
  assert (F : firsts_ok (zip (fun b f => {| alo := dmax (alo f) (fst b); ahi := dmin (ahi f) (snd b); err := err f; left := left f |}) bs (firsts c))).
  { intros j f' N. apply zip_spec in N. destruct N as [b' [f0 [N1 [N2 ->]]]]. destruct (Hf j f0 N2) as [r [Er [Ha Hw]]].
    destruct (each_spec _ _ _ _ _ Eb j) as [B _]. destruct (B b' N1) as [r' [Er' Im]]. assert (r' = r) by congruence. subst r'.
    pose proof (image_sound _ _ _ x Im Hi') as Ab. unfold among in Ab. exists r. cbn [alo ahi err left]. split; [exact Er|]. split; [|exact Hw].
    rewrite val_max, val_min. split; [apply Rmax_lub|apply Rmin_glb]; lra. }
  apply each_settle in F. match type of F with match ?e with _ => _ end => destruct e as [gs|]; [|exact F] end.
  cbn. split; [exact Hi'|]. split; [exact F|]. split; [exact Hl|exact I].
Qed.
Lemma split_input_sound : forall c i v a b, holds c -> split_input (rows_of net) c i v = Some (a, b) -> holdso a \/ holdso b.
Proof.
  intros c i v a b H S. unfold split_input in S. destruct (nth_error (inputs c) i) as [[p q]|] eqn:Ei; [|discriminate].
  destruct (input_side (rows_of net) c i (dmax p v, q)) as [o1|] eqn:E1; [|discriminate].
  destruct (input_side (rows_of net) c i (p, dmin q v)) as [o2|] eqn:E2; [|discriminate]. injection S as <- <-.
  pose proof H as [Hi _]. pose proof (Hi i _ Ei) as A. unfold among in A. cbn [fst snd] in A.
  destruct (Rle_lt_dec (val v) (x i)) as [L|G]; [left; eapply input_side_sound; [exact H| |exact E1]|right; eapply input_side_sound; [exact H| |exact E2]];
    unfold among; cbn [fst snd]; rewrite ?val_max, ?val_min; (split; [try apply Rmax_lub|try apply Rmin_glb]); lra.
Qed.

(* ---- the leaf ------------------------------------------------------------------------------------------------------------------------------------------------------- *)
Section Leaf.
Variables (y k : nat) (c : context).
Hypothesis Hc : holds c.
Definition here_of (l : nat) : nat -> nat -> R := fun i t => bit (s l i t).
Definition below_of (l : nat) : nat -> nat -> R := fun i t => source l t i.
Definition leaf_ok (lf : leaf) : Prop :=
  val (total lf) + dots (here lf) (here_of (layer lf)) 0 + dots (below lf) (below_of (layer lf)) 0 <= score net s y - score net s k.

Lemma total_head : forall m f, Semantics.total (S m) f = f O + Semantics.total m (fun t => f (S t)).
Proof. induction m as [|m IH]; intro f; [cbn; lra|]. change (Semantics.total (S (S m)) f) with (Semantics.total (S m) f + f (S m)). rewrite IH. cbn. lra. Qed.
Lemma dot_ones : forall m g t, dot (repeat one m) g t = Semantics.total m (fun i => g (t + i)%nat).
Proof.
  induction m as [|m IH]; intros g t; [reflexivity|]. cbn [repeat dot]. rewrite IH, val_one, total_head, Nat.add_0_r, Rmult_1_l. f_equal.
  clear. induction m as [|m IHm]; [reflexivity|]. cbn [Semantics.total]. rewrite IHm. replace (t + S m)%nat with (S t + m)%nat by lia. reflexivity.
Qed.
Lemma dot_minus_ones : forall m g t, dot (repeat (opp one) m) g t = - dot (repeat one m) g t.
Proof. induction m as [|m IH]; intros g t; cbn [repeat dot]; [lra|]. rewrite IH. vals. lra. Qed.
Lemma total_affine : forall r (z : nat -> nat -> R) m, Semantics.total m (fun t => affine r (z t)) = Semantics.total m (fun t => weighted (fst r) (z t)) + INR m * val (snd r).
Proof. intros r z. induction m as [|m IH]; cbn [Semantics.total]; [cbn; lra|]. rewrite IH, S_INR. unfold affine. lra. Qed.
Lemma source_low : forall z l t i, (i < spikes net l)%nat -> source l t i = Semantics.source net z s l t i.
Proof.
  intros z. induction l as [|l IH]; intros t i H; cbn [spikes Semantics.source] in *; [lia|]. destruct (Nat.ltb_spec i (wide net l)); [reflexivity|]. apply IH. lia.
Qed.
Lemma reads_score : forall q r l, length (hidden net) = S l -> reader net q = Some r -> score net s q = Semantics.total T (fun t => affine r (source (S l) t)).
Proof.
  intros q r l L R0. unfold score, reader, output, outputs in *. rewrite L in *. destruct (last net) as [rs|] eqn:Ln.
  - destruct (nth_error rs q) as [r'|] eqn:Er; [|discriminate]. destruct (forallb _ (fst r')) eqn:F; [|discriminate]. injection R0 as ->.
    assert (E : nth_error rows_told (S l) = Some rs) by (unfold rows_told; rewrite Ln, nth_error_app2; rewrite length_map, L; [rewrite Nat.sub_diag; reflexivity|lia]).
    induction T as [|m IH]; cbn [Semantics.total]; [reflexivity|]. rewrite IH, (amount_affine (S l) rs q r) by assumption. f_equal. unfold affine. f_equal.
    apply weighted_low with (spikes net (S l)); [exact F|]. intros i Hi. symmetry. apply source_low. exact Hi.
  - replace (S l - 1)%nat with l in * by lia. destruct (Nat.ltb_spec q (wide net l)) as [Lq|]; [|discriminate].
    injection R0 as <-. induction T as [|m IH]; cbn [Semantics.total]; [reflexivity|]. rewrite IH. unfold affine. cbn [fst snd weighted fold_right Semantics.source].
    destruct (Nat.ltb_spec q (wide net l)); [|lia]. vals. lra.
Qed.
Lemma halved_ok : forall l total B, leaf_ok (halved net l total B) <-> val total + dots B (below_of (S l)) 0 <= score net s y - score net s k.
Proof.
  intros l total0 B. unfold leaf_ok, halved. cbn [total here below layer]. rewrite (dots_split (wide net l) B (below_of (S l)) 0).
  rewrite (dots_ext (firstn (wide net l) B) (below_of (S l)) (here_of l)).
  - change (0 + wide net l)%nat with (wide net l). pose proof (dots_shift (skipn (wide net l) B) (below_of (S l)) (wide net l) 0) as E. rewrite Nat.add_0_r in E. rewrite E.
    rewrite (dots_ext _ (fun k0 => below_of (S l) (wide net l + k0)%nat) (below_of l)); [lra|]. intros q t _. unfold below_of. cbn [Semantics.source].
    destruct (Nat.ltb_spec (wide net l + (0 + q)) (wide net l)); [lia|]. f_equal. lia.
  - intros q t Lq. rewrite length_firstn in Lq. unfold below_of, here_of. cbn [Semantics.source Nat.add]. destruct (Nat.ltb_spec q (wide net l)); [reflexivity|lia].
Qed.
Lemma open_sound : forall lf, open net c y k = Some lf -> leaf_ok lf.
Proof.
  intros lf H. unfold open in H. destruct (length (hidden net)) as [|l] eqn:L; [discriminate|].
  destruct (reader net y) as [r|] eqn:Ry; [|discriminate]. destruct (reader net k) as [q|] eqn:Rk; [|discriminate].
  destruct (spread 0 (fst r) (repeat one T) (repeat [] (reads net c (S l)))) as [B|] eqn:E1; [|discriminate].
  destruct (spread 0 (fst q) (repeat (opp one) T) B) as [B'|] eqn:E2; [|discriminate]. injection H as <-.
  apply halved_ok. rewrite (reads_score y r l L Ry), (reads_score k q l L Rk), !total_affine.
  rewrite (spread_sound _ _ _ _ _ (below_of (S l)) E2), (spread_sound _ _ _ _ _ (below_of (S l)) E1), dots_empty, dot_minus_ones, !dot_ones.
  cbn [Nat.add]. change (fun t => weighted (fst r) (source (S l) t)) with (fun t => weighted (fst r) (fun j => below_of (S l) j t)).
  change (fun t => weighted (fst q) (source (S l) t)) with (fun t => weighted (fst q) (fun j => below_of (S l) j t)). vals. lra.
Qed.
Lemma rest_sound : forall lf v, rest_of c lf = Some v -> val v <= dots (here lf) (here_of (layer lf)) 0.
Proof.
  intros lf v H. unfold rest_of in H. pose proof Hc as [_ [Hf [Hl _]]]. destruct (layer lf) as [|l].
  - eapply unnamed_sound; [exact H|]. intros j f A E. destruct (Hf j f E) as [r [_ [_ [i [w [Iw [Tr [Hw _]]]]]]]].
    pose proof (rows_least_sound A zero (left f) w _ _ i Iw Tr Hw) as R0. rewrite val_zero in R0. cbn [Nat.add]. unfold here_of. lra.
  - eapply unnamed_sound; [exact H|]. intros j a A E.
    assert (El : nth_error (laters c) l = Some (nth l (laters c) [])).
    { destruct (nth_error (laters c) l) as [row|] eqn:El; [rewrite (nth_error_nth _ _ _ El); reflexivity|].
      apply nth_error_None in El. rewrite nth_overflow in E by exact El. destruct j; discriminate. }
    destruct (Hl l _ j a El E) as [Bf _]. cbn [Nat.add]. exact (cheapest_sound _ A _ 0 Bf).
Qed.
Lemma unpool_sound : forall lf lf', leaf_ok lf -> unpool net c lf = Some lf' -> leaf_ok lf' /\ layer lf' = layer lf.
Proof.
  intros lf lf' O H. unfold unpool in H. cbv zeta in H. destruct (any_marked (marked net (layer lf))); [|injection H as <-; auto].
  destruct (unpooled T _ _ _ _) as [[[h B] v]|] eqn:E; [|discriminate]. injection H as <-. split; [|reflexivity]. unfold leaf_ok in *. cbn [total here below layer]. vals.
  assert (One : 0 <= val one) by (rewrite val_one; lra).
  pose proof (unpooled_sound T _ (below_of (layer lf)) (here_of (layer lf)) (marked net (layer lf)) (here lf) (below lf) h B v 0 E) as U. unfold here_of, below_of in *.
  assert (G : val v + dots h (fun i t => bit (s (layer lf) i t)) 0 + dots B (fun i t => source (layer lf) t i) 0
    <= dots (here lf) (fun i t => bit (s (layer lf) i t)) 0 + dots (below lf) (fun i t => source (layer lf) t i) 0); [apply U|lra].
  - intros j t. apply bit_range.
  - intros i tb t Et _. apply (box_at_ok (val one) (fun t => source (layer lf) t i)). exact (read_tables_ok c one false Hc One (layer lf) _ i tb Et).
  - intros j r Em t Lt. cbn [Nat.add]. exact (marked_or (layer lf) j r t Em Lt).
Qed.
Lemma lower_sound : forall lf lf', leaf_ok lf -> lower net c lf = Some lf' -> leaf_ok lf' /\ layer lf = S (layer lf').
Proof.
  intros lf0 lf' O0 H. unfold lower in H. destruct (unpool net c lf0) as [lf|] eqn:Eu; [|discriminate]. destruct (unpool_sound _ _ O0 Eu) as [O L0]. rewrite <- L0. clear lf0 O0 Eu L0.
  destruct (layer lf) as [|l] eqn:L; [discriminate|]. destruct (rest_of c lf) as [v|] eqn:E; [|discriminate]. injection H as <-.
  split; [|reflexivity]. apply halved_ok. apply rest_sound in E. unfold leaf_ok in O. rewrite L in *. vals. lra.
Qed.
Lemma descend_sound : forall m lf lf', leaf_ok lf -> descend net c m lf = Some lf' -> leaf_ok lf' /\ (layer lf = m + layer lf')%nat.
Proof.
  induction m as [|m IH]; intros lf lf' O H; cbn [descend] in H; [injection H as <-; auto|].
  destruct (lower net c lf) as [lf1|] eqn:E; [|discriminate]. destruct (lower_sound _ _ O E) as [O1 L1]. destruct (IH _ _ O1 H) as [O2 L2]. split; [exact O2|lia].
Qed.
Lemma reach_sound : forall l lf lf', leaf_ok lf -> reach_layer net c l lf = Some lf' -> leaf_ok lf' /\ layer lf' = l.
Proof.
  intros l lf lf' O H. unfold reach_layer in H. destruct (Nat.leb l (layer lf)) eqn:E; [|discriminate]. apply Nat.leb_le in E.
  destruct (descend_sound _ _ _ O H) as [O1 L1]. split; [exact O1|lia].
Qed.
Lemma potential_sound : forall l j mu pots lf lf', leaf_ok lf -> potential_at net c l j mu pots lf = Some lf' -> leaf_ok lf'.
Proof.
  intros l j mu pots lf0 lf' O0 H. unfold potential_at in H. destruct l as [|l]; [discriminate|].
  destruct (reach_layer net c (S l) lf0) as [lf|] eqn:Rl; [|discriminate]. destruct (reach_sound _ _ _ O0 Rl) as [O L].
  destruct (nth_error (hidden net) (S l)) as [[rs ns]|] eqn:Eh; [|discriminate]. destruct (nth_error (laters c) l) as [row|] eqn:El; [|discriminate].
  destruct (nth_error rs j) as [r|] eqn:Er; [|discriminate]. destruct (nth_error ns j) as [n|] eqn:En; [|discriminate]. destruct (nth_error row j) as [a|] eqn:Ea; [|discriminate].
  destruct (nth_error (here lf) j) as [A|] eqn:EA; [|discriminate]. destruct pots as [|[|x0 xs] pots]; try discriminate.
  destruct (proof a) as [[ex sts]|] eqn:Pf; [|discriminate]. destruct (least_piece (fst x0)) as [beta|] eqn:Lp; [|discriminate].
  destruct (pots_ok n ex sts A mu ((x0 :: xs) :: pots)) eqn:Pk; [|discriminate]. destruct (spread 0 (fst r) mu (below lf)) as [B|] eqn:Sp; [|discriminate]. injection H as <-.
  pose proof Hc as [_ [_ [Hl _]]]. destruct (Hl l row j a El Ea) as [_ P]. rewrite Pf in P. destruct P as [r' [n' [[rs' [ns' [F1 [F2 F3]]]] P]]].
  assert (r' = r) by congruence. assert (n' = n) by congruence. subst r' n'.
  pose proof (pots_sound _ _ _ _ _ _ _ _ _ _ _ P Pk) as [x' [p [q [E0 [I0 V]]]]]. cbn in E0. injection E0 as <-.
  pose proof (least_piece_le _ _ _ _ Lp I0) as Lb.
  unfold leaf_ok in *. cbn [total here below layer]. rewrite L in *. rewrite (dots_put _ _ _ _ _ EA), (spread_sound _ _ _ _ _ (below_of (S l)) Sp).
  assert (Cu : dot mu (current (S l) r) 0 = dot mu (fun t => weighted (fst r) (fun i => below_of (S l) i t)) 0 + val (sum mu) * val (snd r)).
  { unfold current, affine. rewrite dot_plus, dot_const. reflexivity. }
  cbn [Nat.add]. change (fun t => bit (s (S l) j t)) with (here_of (S l) j) in V. rewrite Cu in V. vals. lra.
Qed.
Lemma price_sound : forall j mu lf lf', leaf_ok lf -> price_at net c j mu lf = Some lf' -> leaf_ok lf'.
Proof.
  intros j mu lf0 lf' O0 H. unfold price_at in H. destruct (reach_layer net c 0 lf0) as [lf|] eqn:Rl; [|discriminate]. destruct (reach_sound _ _ _ O0 Rl) as [O L].
  destruct (nth_error (rows_of net) j) as [r|] eqn:Er; [|discriminate]. destruct (nth_error (firsts c) j) as [f|] eqn:Ef; [|discriminate].
  destruct (nth_error (here lf) j) as [A|] eqn:EA; [|discriminate]. destruct (spread 0 (fst r) [mu] (below lf)) as [B|] eqn:Sp; [|discriminate]. injection H as <-.
  pose proof Hc as [_ [Hf _]]. destruct (Hf j f Ef) as [r' [Er' [_ [i [w [Iw [Tr [Hw Hi]]]]]]]]. assert (r' = r) by congruence. subst r'.
  pose proof (rows_least_sound A mu (left f) w _ _ i Iw Tr Hw) as R0. pose proof (abs_mult_le (val mu) _ _ Hi) as Ab.
  unfold leaf_ok in *. cbn [total here below layer]. rewrite L in *. rewrite (dots_put _ _ _ _ _ EA), (spread_sound _ _ _ _ _ (below_of 0) Sp).
  cbn [Nat.add dot]. change (fun t => bit (s 0%nat j t)) with (here_of 0 j) in R0. unfold affine in Ab. vals.
  change (weighted (fst r) (fun i0 => below_of 0 i0 0)) with (weighted (fst r) x). lra.
Qed.
Lemma row_slackD_val : forall m r, val (row_slackD m r) = row_slack m r.
Proof.
  intros m r. unfold row_slackD, row_slack. cbv zeta.
  assert (M : forall ws, val (sum (map (fun jw : nat * D => dabs (snd jw)) ws)) = moduli ws (fun _ => 1)).
  { induction ws as [|[j w] ws IH]; cbn [map sum moduli fold_right]; vals; [reflexivity|]. cbn [snd fst]. fold (moduli ws (fun _ => 1)). rewrite IH, Rabs_R1. vals. lra. }
  vals. rewrite M. reflexivity.
Qed.
Lemma slackD_ge : forall q d, slackD net q = Some d -> slack net q <= val d.
Proof.
  intros q d H. unfold slackD, slack in *. destruct (last net) as [rs|]; [|injection H as <-; vals; lra]. destruct (nth_error rs q) as [r|]; [|injection H as <-; vals; lra].
  destruct (way_of net (outputs net) q) as [w|]; cbn [option_map] in H.
  - destruct (restingD T w) as [g|] eqn:E; [|discriminate]. injection H as <-. destruct (restingD_bounds T w g E) as [_ B]. vals. apply Rmult_le_compat_l; [apply pos_INR|lra].
  - injection H as <-. vals. rewrite row_slackD_val. lra.
Qed.
Lemma total_whole : forall m (f : nat -> bool), exists z, Semantics.total m (fun t => bit (f t)) = IZR z.
Proof.
  intros m f. induction m as [|m [z IH]]; [exists 0%Z; reflexivity|]. cbn [Semantics.total]. rewrite IH. destruct (f m); cbn [bit].
  - exists (z + 1)%Z. rewrite plus_IZR. reflexivity.
  - exists z. lra.
Qed.
Lemma closes_sound : forall lf strict, leaf_ok lf -> closes net c y k strict lf = true ->
  if strict then score net s y - score net s k > slack net y + slack net k else score net s y - score net s k >= slack net y + slack net k.
Proof.
  intros lf0 strict O0 H. unfold closes in H. destruct (reach_layer net c 0 lf0) as [lf|] eqn:Rl; [|discriminate]. destruct (reach_sound _ _ _ O0 Rl) as [O L].
  destruct (rest_of c lf) as [v|] eqn:Er; [|discriminate]. destruct (corner (below lf) (inputs c)) as [w|] eqn:Ec; [|discriminate].
  destruct (slackD net y) as [dy|] eqn:Sy; [|discriminate]. destruct (slackD net k) as [dk|] eqn:Sk; [|discriminate]. apply slackD_ge in Sy, Sk.
  apply rest_sound in Er. pose proof Hc as [Hi _].
  assert (G : val w <= dots (below lf) inputs_of 0) by exact (corner_sound _ _ _ x 0 Ec Hi).
  unfold leaf_ok in O. rewrite L in *. change (below_of 0) with inputs_of in O. cbv zeta in H.
  destruct strict; [|destruct (last net) as [rs|] eqn:Ln].
  - apply ltb_true in H. rewrite !val_add in H. lra.
  - apply leb_true in H. rewrite !val_add in H. lra.
  - apply ltb_true in H. vals. unfold slack. rewrite Ln. unfold score in *. rewrite Ln in *.
    destruct (total_whole T (s (outputs net - 1)%nat y)) as [a Ea]. destruct (total_whole T (s (outputs net - 1)%nat k)) as [b Eb]. rewrite Ea, Eb in *.
    rewrite <- minus_IZR in *. assert (D0 : -1 < IZR (a - b)) by lra. apply (lt_IZR (-1)) in D0. assert (0 <= a - b)%Z by lia. apply IZR_le in H0. lra.
Qed.
End Leaf.

(* ---- the machine ----------------------------------------------------------------------------------------------------------------------------------------------------------- *)
Section Machine.
Variables (y : nat) (low high : list D) (ties : bool).
Hypothesis In0 : inside low high.
Definition claim (k : nat) : Prop :=
  if strictly y ties k then score net s y - score net s k > slack net y + slack net k else score net s y - score net s k >= slack net y + slack net k.
Definition some_holds (stack : list (option context)) : Prop := exists o, In o stack /\ holdso o.
Definition inv (st : state) : Prop :=
  match st with
  | Start => True
  | Root c done => holdso c /\ forall k, In k done -> claim k
  | Tree c done k stack => holdso c /\ (forall k, In k done -> claim k) /\ (claim k \/ some_holds stack)
  | At c done k stack now lf => holdso c /\ (forall k, In k done -> claim k) /\ (claim k \/ some_holds stack \/ (holds now /\ leaf_ok y k lf))
  | Void c done k stack => holdso c /\ (forall k, In k done -> claim k) /\ (claim k \/ some_holds stack)
  end.
Lemma learn_sound : forall c r o, holdso c -> learn net c r = Some o -> holdso o.
Proof.
  intros [c|] r o H L; [|destruct H]. unfold learn in L. destruct r; try discriminate; [eapply graph_sound|eapply narrow_sound]; eassumption.
Qed.
Lemma parted_sound : forall c r a b, holdso c -> parted net c r = Some (a, b) -> holdso a \/ holdso b.
Proof.
  intros [c|] r a b H P; [|destruct H]. unfold parted in P.
  assert (O : forall up o, ordered up o = Some (a, b) -> (forall a b, o = Some (a, b) -> holdso a \/ holdso b) -> holdso a \/ holdso b).
  { intros up [[p q]|] E F; [|discriminate]. cbn in E. destruct (F p q eq_refl); destruct up; injection E as <- <-; auto. }
  destruct r; try discriminate; (eapply O; [exact P|]); intros p q E; [eapply split_rows_sound|eapply split_spike_sound|eapply split_input_sound]; eassumption.
Qed.
Lemma back_inv : forall c done k stack, holdso c -> (forall k, In k done -> claim k) -> claim k \/ some_holds stack -> inv (back c done k stack).
Proof.
  intros c done k stack H1 H2 H3. unfold back. destruct stack as [|o stack]; [|exact (conj H1 (conj H2 H3))].
  split; [exact H1|]. destruct H3 as [H3|[o [[] _]]]. intros k' [<-|I0]; auto.
Qed.
Theorem step_sound : forall st r st', inv st -> step net y low high ties st r = Some st' -> inv st'.
Proof.
  intros st r st' V S. destruct st as [|c done|c done k stack|c done k stack now lf|c done k stack]; cbn [step] in S.
  - destruct r; try discriminate. destruct (begin net low high rows) as [o|] eqn:E; [|discriminate]. injection S as <-. split; [eapply begin_sound; eassumption|intros k []].
  - destruct V as [V1 V2].
    assert (Ls : forall o, learn net c r = Some o -> inv (Root o done)) by (intros o E; split; [eapply learn_sound; eassumption|exact V2]).
    destruct r; try (cbn [learn] in S, Ls; destruct c; discriminate);
      try (match type of S with option_map _ ?e = _ => destruct e as [o|] eqn:E; [|discriminate] end; injection S as <-; apply Ls; reflexivity).
    injection S as <-. split; [exact V1|]. split; [exact V2|]. right. exists c. split; [left; reflexivity|exact V1].
  - destruct V as [V1 [V2 V3]]. destruct stack as [|top stack]; [discriminate|].
    assert (V4 : claim k \/ some_holds stack \/ holdso top).
    { destruct V3 as [V3|[o [[<-|I0] Ho]]]; [left; exact V3|right; right; exact Ho|right; left; exists o; auto]. }
    assert (Ls : forall o, learn net top r = Some o -> inv (Tree c done k (o :: stack))).
    { intros o E. split; [exact V1|]. split; [exact V2|]. destruct V4 as [V4|[[o' [I0 Ho]]|V4]]; [left; exact V4|right; exists o'; split; [right; exact I0|exact Ho]|].
      right. exists o. split; [left; reflexivity|]. eapply learn_sound; eassumption. }
    assert (Ps : forall a b, parted net top r = Some (a, b) -> inv (Tree c done k (a :: b :: stack))).
    { intros a b E. split; [exact V1|]. split; [exact V2|]. destruct V4 as [V4|[[o' [I0 Ho]]|V4]]; [left; exact V4|right; exists o'; split; [right; right; exact I0|exact Ho]|].
      right. destruct (parted_sound _ _ _ _ V4 E) as [H|H]; [exists a|exists b]; (split; [cbn; auto|exact H]). }
    destruct r; try discriminate;
      try (match type of S with option_map _ (learn _ _ _) = _ => destruct (learn net top _) as [o|] eqn:E; [|discriminate]; injection S as <-; apply Ls; reflexivity end);
      try (match type of S with option_map _ (parted _ _ _) = _ => destruct (parted net top _) as [[a b]|] eqn:E; [|discriminate]; injection S as <-; apply Ps; reflexivity end).
    + destruct top as [now|]; [|injection S as <-; split; [exact V1|]; split; [exact V2|]; destruct V4 as [V4|[V4|[]]]; [left|right]; exact V4].
      destruct (open net now y k) as [lf|] eqn:E; [|discriminate]. injection S as <-.
      split; [exact V1|]. split; [exact V2|]. destruct V4 as [V4|[V4|V4]]; [left; exact V4|right; left; exact V4|]. right. right. split; [exact V4|]. eapply open_sound; eassumption.
    + destruct top as [now|]; [discriminate|]. injection S as <-. apply back_inv; [exact V1|exact V2|]. destruct V4 as [V4|[V4|[]]]; [left|right]; exact V4.
  - destruct V as [V1 [V2 V3]].
    assert (Ls : forall lf', (holds now -> leaf_ok y k lf -> leaf_ok y k lf') -> inv (At c done k stack now lf')).
    { intros lf' N. split; [exact V1|]. split; [exact V2|]. destruct V3 as [V3|[V3|[V3 V4]]]; [left; exact V3|right; left; exact V3|right; right; auto]. }
    destruct r; try discriminate.
    + destruct (potential_at net now l j mu pots lf) as [lf'|] eqn:E; [|discriminate]. injection S as <-. apply Ls. intros Hn Hk. eapply potential_sound; eassumption.
    + destruct (price_at net now j mu lf) as [lf'|] eqn:E; [|discriminate]. injection S as <-. apply Ls. intros Hn Hk. eapply price_sound; eassumption.
    + destruct (closes net now y k (strictly y ties k) lf) eqn:E; [|discriminate]. injection S as <-. apply back_inv; [exact V1|exact V2|].
      destruct V3 as [V3|[V3|[V3 V4]]]; [left; exact V3|right; exact V3|]. left. exact (closes_sound y k now V3 lf _ V4 E).
  - destruct V as [V1 [V2 V3]]. destruct r; try discriminate; injection S as <-; try (split; [exact V1|split; [exact V2|exact V3]]). apply back_inv; assumption.
Qed.
Lemma steps_sound : forall rs st st', inv st -> steps_from net y low high ties st rs = Some st' -> inv st'.
Proof.
  induction rs as [|r rs IH]; intros st st' V S; cbn [steps_from] in S; [injection S as <-; exact V|].
  destruct (step net y low high ties st r) as [st1|] eqn:E; [|discriminate]. eapply IH; [|exact S]. eapply step_sound; eassumption.
Qed.
End Machine.
End Run.

Lemma begun_alike : forall net y low high ties r rs st, steps_from net y low high ties Start (r :: rs) = Some st ->
  forallb (fun ok : bool => ok) (zip agree (rows_told net) (nested net)) = true.
Proof.
  intros net y low high ties r rs st H. cbn [steps_from step] in H. destruct r; try discriminate. destruct (begin net low high rows) as [o|] eqn:E; [clear H|discriminate].
  unfold begin in E. cbv zeta in E. destruct (hidden net) as [|[rs0 ns] deeper] eqn:Hd; [discriminate|]. destruct (each _ rs0); [|discriminate]. destruct (each _ (combine _ rs0)); [|discriminate].
  destruct (sane net && _)%bool eqn:S0; [|discriminate]. apply andb_prop in S0. destruct S0 as [S0 _]. unfold sane in S0. apply andb_prop in S0. destruct S0 as [S0 _]. apply andb_prop in S0. exact (proj2 S0).
Qed.
Theorem passes_sound : forall net y low high ties certificate, passes net y low high ties certificate = true ->
  forall x, inside x low high -> forall s, run net x s -> forall k, (k < classes net)%nat -> k <> y -> claim net s y ties k.
Proof.
  intros net y low high ties cert A x In0 s R0 k Lk Nk. unfold passes in A.
  destruct (steps_from net y low high ties Start cert) as [st|] eqn:E; [|discriminate]. destruct cert as [|r0 cert]; [injection E as <-; discriminate|].
  pose proof (steps_sound net x s R0 (begun_alike _ _ _ _ _ _ _ _ E) y low high ties In0 (r0 :: cert) Start st I E) as V.
  destruct st as [|c done|c done q stack|c done q stack now lf|c done q stack]; try discriminate. destruct V as [_ V]. cbn [finished] in A.
  rewrite forallb_forall in A. specialize (A k). assert (Ik : In k (seq 0 (classes net))) by (apply in_seq; lia). specialize (A Ik).
  apply orb_prop in A. destruct A as [A|A]; [apply Nat.eqb_eq in A; contradiction|].
  apply existsb_exists in A. destruct A as [k' [I0 E0]]. apply Nat.eqb_eq in E0. subst k'. exact (V k I0).
Qed.

Theorem sound : forall net y low high certificate, accepts net y low high certificate = true ->
  forall x, inside x low high -> forall s, run net x s ->
  forall k, (k < classes net)%nat -> k <> y -> score net s y - score net s k > slack net y + slack net k.
Proof. intros net y low high cert A x In0 s R0 k Lk Nk. exact (passes_sound net y low high false cert A x In0 s R0 k Lk Nk). Qed.

(* where the first of equal logits wins *)
Theorem sound_argmax : forall net y low high certificate, accepts_argmax net y low high certificate = true ->
  forall x, inside x low high -> forall s, run net x s -> forall k, (k < classes net)%nat ->
  ((k < y)%nat -> score net s y - score net s k > slack net y + slack net k) /\ ((y < k)%nat -> score net s y - score net s k >= slack net y + slack net k).
Proof.
  intros net y low high cert A x In0 s R0 k Lk. pose proof (passes_sound net y low high true cert A x In0 s R0 k Lk) as P. unfold claim, strictly in P. cbn [andb] in P.
  split; intro L.
  - specialize (P ltac:(lia)). assert (E : Nat.ltb y k = false) by (apply Nat.ltb_ge; lia). rewrite E in P. exact P.
  - specialize (P ltac:(lia)). assert (E : Nat.ltb y k = true) by (apply Nat.ltb_lt; lia). rewrite E in P. exact P.
Qed.
