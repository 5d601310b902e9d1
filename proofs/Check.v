(* The checker: a state machine over the records of a certificate. It knows no bound: it checks that claimed invariants are inductive, that claimed
   potentials are feasible, and adds up. Layers are counted from 0 here (the certificate's layer 1 is hidden layer 0). *)
From Coq Require Import ZArith List Bool.
From Flocq Require Import Core.
Require Import Semantics Dyadic Ways.
Require Export State.
Import ListNotations.

(* ---- rule T ---------------------------------------------------------------------------------------------------------------------------------- *)
Definition trains_eqb (a b : list bool) : bool := Nat.eqb (length a) (length b) && forallb (fun p => Bool.eqb (fst p) (snd p)) (combine a b).
Definition covered (rows : list (list bool * (D * D))) (tr : list bool) (p q : D) : bool :=
  existsb (fun r => leb (fst (snd r)) p && leb q (snd (snd r)) && trains_eqb (fst r) tr) rows.
Section Walk.
Variables (n : neuron) (rows : list (list bool * (D * D))).
(* behind a spike at step t with reset to 0 the train repeats itself: the k bits that follow *)
Definition cycle (t k : nat) : list bool := map (fun i => Nat.eqb (Nat.modulo i (S t)) t) (seq (S t) k).
(* u - a*I in [ylo, yhi], for I in [p, q]; forced: the bits to come, where they are known *)
Fixpoint walk (k : nat) (pre : list bool) (forced : option (list bool)) (a ylo yhi p q : D) : bool :=
  match k with
  | O => covered rows (rev pre) p q
  | S k =>
      let im := dmax (dabs p) (dabs q) in
      let sl := slipD n (add (mul (dabs a) im) (dmax (dabs ylo) (dabs yhi))) im in
      let a' := add (mul (decay n) a) one in
      let lo' := down (sub (mul (decay n) ylo) sl) in let hi' := up (add (mul (decay n) yhi) sl) in
      let top := match over (sub (add (theta n) (tieD n)) lo') a' with Some r => dmin q r | None => q end in
      let bot := match under (sub (sub (theta n) (tieD n)) hi') a' with Some r => dmax p r | None => p end in
      let known := match forced with Some (b :: _) => Some b | _ => None end in
      let rest := match forced with Some (_ :: bs) => Some bs | _ => None end in
      ltb zero a'
      && (if match known with Some true => false | _ => true end && leb p top then walk k (false :: pre) rest a' lo' hi' p top else true)
      && (if match known with Some false => false | _ => true end && leb bot q then
            match kind n with
            | Zero => walk k (true :: pre) (match forced with None => Some (cycle (length pre) k) | Some _ => rest end) zero zero zero bot q
            | Subtract => let gone := lostD n (add (mul (dabs a') im) (dmax (dabs lo') (dabs hi'))) in
                          walk k (true :: pre) rest a' (sub lo' (add (drop n) gone)) (add (sub hi' (drop n)) gone) bot q
            | Never => walk k (true :: pre) rest a' lo' hi' bot q
            end
          else true)
  end.
End Walk.
Definition walks (n : neuron) (T : nat) (rows : list (list bool * (D * D))) (b : D * D) (e : D) : bool :=
  let p := sub (fst b) e in let q := add (snd b) e in
  (if leb p zero then walk n rows T [] None zero zero zero p (dmin q zero) else true)
  && (if leb zero q then walk n rows T [] None zero zero zero (dmax p zero) q else true).

(* rows to the current's box and back; None: no run *)
Definition settle (f : first) : option first :=
  let a := sub (alo f) (err f) in let b := add (ahi f) (err f) in
  match filter (fun r => leb (from r) (til r)) (map (fun r => {| ix := ix r; train := train r; from := dmax (from r) a; til := dmin (til r) b |}) (left f)) with
  | [] => None
  | r :: rest =>
      let p := fold_left (fun m r => dmin m (from r)) rest (from r) in
      let q := fold_left (fun m r => dmax m (til r)) rest (til r) in
      let a := dmax (alo f) (sub p (err f)) in let b := dmin (ahi f) (add q (err f)) in
      if leb a b then Some {| alo := a; ahi := b; err := err f; left := r :: rest |} else None
  end.

Fixpoint enumerate (i : nat) (rows : list (list bool * (D * D))) : list trow :=
  match rows with [] => [] | (tr, (p, q)) :: rows => {| ix := i; train := tr; from := p; til := q |} :: enumerate (S i) rows end.
Definition sane (net : network) : bool :=
  Nat.leb 1 (steps net)
  && forallb (fun ok => ok) (zip agree (map fst (hidden net) ++ match last net with Some rows => [rows] | None => [] end) (nested net))
  && forallb (fun layer => Nat.eqb (length (fst layer)) (length (snd layer)) && forallb (fun n => leb zero (decay n)) (snd layer)) (hidden net).
Definition begin (net : network) (low high : list D) (rows : list (list bool * (D * D))) : option (option context) :=
  let ins := combine low high in
  match hidden net with
  | (rs, ns) :: deeper =>
      let sizes := map size_of ins in
      let both_sizes := (sizes, if has_ways net 0 then plant deepest sizes else Tip) in
      match each (image ins) rs, each (fun jr => err_by (way_of net 0 (fst jr)) both_sizes (snd jr)) (combine (seq 0 (length rs)) rs) with
      | Some boxes, Some errs =>
          if sane net && forallb (fun ok => ok) (zip (fun n be => walks n (steps net) rows (fst be) (snd be)) ns (combine boxes errs))
          then
            let all := enumerate 0 rows in
            Some (match each settle (zip (fun b e => {| alo := fst b; ahi := snd b; err := e; left := all |}) boxes errs) with
                  | None => None
                  | Some fs => Some {| inputs := ins; firsts := fs; kept := None;
                                       laters := map (fun layer => map (fun _ => {| bits := repeat (false, true) (steps net); proof := None |}) (fst layer)) deeper |}
                  end)
          else None
      | _, _ => None
      end
  | _ => None
  end.

(* ---- rules I and W ------------------------------------------------------------------------------------------------------------------------------ *)
Fixpoint fade (lam : D) (k : nat) (b : D * D) : D * D :=
  match k with O => b | S k => let c := fade lam k b in (down (mul lam (fst c)), up (mul lam (snd c))) end.
Fixpoint loose (lam : D) (k : nat) : D := match k with O => zero | S k => up (add one (mul lam (loose lam k))) end.
(* rule C: what spikes of a neuron that subtracts took, Y = drop * sum of lambda^.. s, as an interval that a node may claim *)
Definition told (n : neuron) (x : node) : option (D * D) := match kind n with Zero => None | _ => taken x end.
(* where a row may be over windows; those that no node asks for are not told *)
Definition windowed (ws : list (option (D * D))) (k : nat) : option (D * D) := match nth_error ws k with Some o => o | None => None end.
Definition wanted (n : neuron) (t : nat) (level : list node) : list nat :=
  0%nat :: (if existsb (fun x => match told n x with Some _ => true | None => false end) level then [t] else []) ++ flat_map cuts level.
Fixpoint currents (n : neuron) (bias : D) (t : nat) (ones : table) (levels : list (list node)) (picked : list (D * table)) : list (list (option (D * D))) :=
  match ones, levels with
  | on :: ones, level :: levels =>
      let ks := wanted n t level in
      zip (fun k o => if existsb (Nat.eqb k) ks then gather k picked (least bias o) (most bias o) else None) (seq 0 (length on)) on
      :: currents n bias (S t) ones levels (later_on picked)
  | _, _ => []
  end.
Section Inductive.
Variables (n : neuron) (ex gone_most : D).
Definition cut (chain : list (D * D)) (wins : list (option (D * D))) (v : D * D) (k : nat) : D * D :=
  match nth_error chain k, windowed wins k with
  | Some h, Some w =>
      let p := fade (decay n) (S k) h in let e := mul ex (loose (decay n) (S k)) in
      (dmax (fst v) (sub (add (fst p) (fst w)) e), dmin (snd v) (add (add (snd p) (snd w)) e))
  | _, _ => v
  end.
(* bal: lambda * Y, all that came in, and how far u may be from the difference, at the next level *)
Definition found (s : bool) (fixed : bool * bool) (next : list node) (i : nat) (x : node) (v : D * D) (bal : option ((D * D) * (D * D) * D)) : option (list move) :=
  let a := if s then dmax (fst v) (sub (theta n) (tieD n)) else fst v in
  let b := if s then snd v else dmin (snd v) (add (theta n) (tieD n)) in
  if (if s then snd fixed else negb (fst fixed)) && leb a b then
    let gone := match kind n, s with Subtract, true => lostD n (size_of (a, b)) | _, _ => zero end in
    let to := match kind n, s with
              | Zero, true => (zero, zero)
              | Subtract, true => (sub a (add (drop n) gone), add (sub b (drop n)) gone)
              | _, _ => (a, b)
              end in
    let took := match bal with
                | None => None
                | Some (y, w, e) =>
                    let more := match kind n, s with Subtract, true => drop n | _, _ => zero end in
                    Some (dmax (add (fst y) more) (sub (fst w) (add (snd to) e)), dmin (add (snd y) more) (add (sub (snd w) (fst to)) e))
                end in
    if match took with Some c => leb (fst c) (snd c) | None => true end then
      match (if s then spike x else silent x) with
      | None => None
      | Some j =>
          match nth_error next j with
          | None => None
          | Some y =>
              if leb (lo y) (fst to) && leb (snd to) (hi y)
                 && match told n y with None => true | Some c => match took with Some d => leb (fst c) (fst d) && leb (snd d) (snd c) | None => false end end
                 && match parent y with None => true | Some p => negb s && Nat.eqb p i end
              then Some [{| spk := s; plo := a; phi := b; target := j; loss := gone |}] else None
          end
      end
    else Some []
  else Some [].
Definition balance (wins : list (option (D * D))) (t : nat) (e : D) (x : node) : option ((D * D) * (D * D) * D) :=
  match told n x, windowed wins t with
  | Some y, Some w => Some ((mul (decay n) (fst y), mul (decay n) (snd y)), w, e)
  | _, _ => None
  end.
Definition weighed (bal : option ((D * D) * (D * D) * D)) (v : D * D) : D * D :=
  match bal with
  | Some (y, w, e) => (dmax (fst v) (sub (fst w) (add (snd y) e)), dmin (snd v) (add (sub (snd w) (fst y)) e))
  | None => v
  end.
Definition ways (bx : D * D) (wins : list (option (D * D))) (fixed : bool * bool) (next : list node) (t : nat) (e : D) (i : nat) (x : node) (chain : list (D * D)) : option cell :=
  let bal := balance wins t e x in
  let v := weighed bal (fold_left (cut chain wins) (cuts x) (sub (add (mul (decay n) (lo x)) (fst bx)) ex, add (add (mul (decay n) (hi x)) (snd bx)) ex)) in
  match found false fixed next i x v bal, found true fixed next i x v bal with
  | Some a, Some b => Some {| clo := lo x; chi := hi x; moves := a ++ b |}
  | _, _ => None
  end.
Definition looser (e : D) : D := up (add (mul (decay n) e) (add ex gone_most)).
Fixpoint level_of (bx : D * D) (wins : list (option (D * D))) (fixed : bool * bool) (next : list node) (t : nat) (e : D) (i : nat) (nodes : list node) (chains : list (option (list (D * D)))) : option (list cell) :=
  match nodes, chains with
  | [], _ => Some []
  | x :: nodes, ch :: chains =>
      match (match ch with Some ch => ways bx wins fixed next t e i x ch | None => Some {| clo := lo x; chi := hi x; moves := [] |} end),
            level_of bx wins fixed next t e (S i) nodes chains with
      | Some c, Some cs => Some (c :: cs)
      | _, _ => None
      end
  | _ :: _, [] => None
  end.
(* of each node the hulls along its parents, itself first; None: no run comes there *)
Definition chain_of (chains : list (option (list (D * D)))) (y : node) : list (D * D) :=
  (lo y, hi y) :: match parent y with Some i => match nth i chains None with Some ch => ch | None => [] end | None => [] end.
Definition targets (cs : list cell) : list nat := flat_map (fun c => map target (moves c)) cs.
Definition chains_on (chains : list (option (list (D * D)))) (cs : list cell) (next : list node) : list (option (list (D * D))) :=
  let ts := targets cs in zip (fun i y => if existsb (Nat.eqb i) ts then Some (chain_of chains y) else None) (seq 0 (length next)) next.
Fixpoint stages_of (t : nat) (e : D) (wins : list (list (option (D * D)))) (fixed : list (bool * bool)) (level : list node) (rest : list (list node)) (chains : list (option (list (D * D)))) : option (list stage) :=
  match wins, fixed, rest with
  | [], [], [] => Some []
  | (Some bx :: ws) :: wins, f :: fixed, next :: rest =>
      match level_of bx (Some bx :: ws) f next t (looser e) 0 level chains with
      | Some cs =>
          match stages_of (S t) (looser e) wins fixed next rest (chains_on chains cs next) with
          | Some sts => Some ({| box := bx; cells := cs |} :: sts)
          | None => None
          end
      | None => None
      end
  | _, _, _ => None
  end.
End Inductive.
Definition bits_of (st : stage) : bool * bool :=
  (forallb (fun c => forallb spk (moves c)) (cells st), existsb (fun c => existsb spk (moves c)) (cells st)).
Definition both (a b : bool * bool) : bool * bool := (fst a || fst b, snd a && snd b).
Definition torn (b : bool * bool) : bool := fst b && negb (snd b).

Definition graph (net : network) (c : context) (l j : nat) (levels : list (list node)) : option (option context) :=
  match l, levels with
  | S l', ((x :: _) as level) :: rest =>
      match nth_error (hidden net) l, nth_error (laters c) l' with
      | Some (rs, ns), Some row =>
          match found_at j rs, found_at j ns, found_at j row with
          | Some r, Some n, Some a =>
              let deep := existsb (fun x => match cuts x, told n x with [], None => false | _, _ => true end) (concat levels) in
              let m := memo_of net c l (decay n) deep in
              match pick 0 (mcolumns m) (fst r) with
              | Some picked =>
              match errors_by (steps net) (way_of net l j) (mtries m) r picked with
              | Some errs =>
                  let wins := currents n (snd r) 0 (mones m) (firstn (steps net) levels) (map (fun p => (fst p, fst (snd p))) picked) in
                  let e := fold_left dmax errs zero in
                  let C := fold_left dmax (map (fun w : list (option (D * D)) => match w with Some b :: _ => size_of b | _ => zero end) wins) zero in
                  let U := fold_left dmax (map (fun x => size_of (lo x, hi x)) (concat levels)) zero in
                  let ex := add e (slipD n U (add C e)) in
                  let gone := dmax zero (match kind n with Subtract => lostD n (add (add (mul (decay n) U) (add C e)) ex) | _ => zero end) in
                  match stages_of n ex gone 0 zero wins (bits a) level rest (map (fun i => if Nat.eqb i 0 then Some [(lo x, hi x)] else None) (seq 0 (length level))) with
                  | Some sts =>
                      if leb (lo x) zero && leb zero (hi x) && leb zero (decay n) && match told n x with Some y => leb (fst y) zero && leb zero (snd y) | None => true end
                         && Nat.leb (length sts) (steps net) then
                        let bs := zip both (bits a) (map bits_of sts) in
                        Some (if existsb torn bs then None
                              else Some {| inputs := inputs c; firsts := firsts c; kept := Some m;
                                           laters := put l' (put j {| bits := bs; proof := Some (ex, sts) |} row) (laters c) |})
                      else None
                  | None => None
                  end
              | None => None
              end
              | None => None
              end
          | _, _, _ => None
          end
      | _, _ => None
      end
  | _, _ => None
  end.

(* ---- rule P ---------------------------------------------------------------------------------------------------------------------------------------- *)
Definition value (n : neuron) (ex k p : D) (bx : D * D) (c : cell) (m : move) (a b const slope mult : D) : D :=
  let keep := match kind n with Zero => negb (spk m) | _ => true end in
  let shifted := match kind n with Subtract => spk m | _ => false end in
  let sl := if keep then slope else zero in
  let g := add sl mult in
  let free := add (add (least (sub (mul g (decay n)) b) (clo c, chi c)) (least (sub g p) bx)) (opp (mul (dabs g) ex)) in
  let paid := if shifted then add (mul sl (drop n)) (mul (dabs sl) (loss m)) else zero in
  let cost := if spk m then k else zero in
  add (sub (sub (sub (add const cost) a) (mul mult (if leb zero mult then phi m else plo m))) paid) free.
Fixpoint pieces_ok (n : neuron) (ex k p : D) (bx : D * D) (c : cell) (m : move) (pieces there : list (D * D)) (hints : list (nat * D)) : bool :=
  match there, hints with
  | [], _ => true
  | (const, slope) :: there, (i, mult) :: hints =>
      match nth_error pieces i with
      | Some (a, b) => leb zero (value n ex k p bx c m a b const slope mult) && pieces_ok n ex k p bx c m pieces there hints
      | None => false
      end
  | _ :: _, [] => false
  end.
Definition cell_ok (n : neuron) (ex k p : D) (bx : D * D) (next : option (list pot)) (c : cell) (x : pot) : bool :=
  forallb (fun m =>
    match next with
    | None => pieces_ok n ex k p bx c m (fst x) [(zero, zero)] (if spk m then snd (snd x) else fst (snd x))
    | Some ys => match nth_error ys (target m) with
                 | None => false
                 | Some y => pieces_ok n ex k p bx c m (fst x) (fst y) (if spk m then snd (snd x) else fst (snd x))
                 end
    end) (moves c).
Fixpoint cells_ok (n : neuron) (ex k p : D) (bx : D * D) (next : option (list pot)) (cs : list cell) (xs : list pot) : bool :=
  match cs, xs with
  | [], _ => true
  | c :: cs, x :: xs => cell_ok n ex k p bx next c x && cells_ok n ex k p bx next cs xs
  | _ :: _, [] => false
  end.
Fixpoint pots_ok (n : neuron) (ex : D) (sts : list stage) (A mu : list D) (pots : list (list pot)) : bool :=
  match sts, mu, pots with
  | [], [], [] => match A with [] => true | _ => false end
  | st :: sts, p :: mu, xs :: pots =>
      cells_ok n ex (hd zero A) p (box st) (match pots with [] => None | ys :: _ => Some ys end) (cells st) xs && pots_ok n ex sts (tl A) mu pots
  | _, _, _ => false
  end.
Definition least_piece (l : list (D * D)) : option D :=
  match l with [] => None | (a, _) :: l => Some (fold_left (fun m ab => dmin m (fst ab)) l a) end.

(* ---- rule N ---------------------------------------------------------------------------------------------------------------------------------------- *)
Fixpoint corner (B : list (list D)) (boxes : list (D * D)) : option D :=
  match B, boxes with
  | [], _ => Some zero
  | b :: B, x :: boxes => option_map (add (sum (map (fun k => least k x) b))) (corner B boxes)
  | _ :: _, [] => None
  end.
(* of sign * W_m x + b_m from below, by multipliers of slabs *)
Fixpoint slabbed (rs : list row) (fs : list first) (nus : list (nat * D)) (B : list (list D)) (const : D) : option (list (list D) * D) :=
  match nus with
  | [] => Some (B, const)
  | (k, nu) :: nus =>
      match nth_error rs k, nth_error fs k with
      | Some r, Some f =>
          match spread 0 (fst r) [opp nu] B with
          | Some B => slabbed rs fs nus B (add const (sub (least nu (alo f, ahi f)) (mul nu (snd r))))
          | None => None
          end
      | _, _ => None
      end
  end.
Definition bound (rs : list row) (c : context) (m : nat) (sign : D) (nus : list (nat * D)) : option D :=
  match nth_error rs m with
  | None => None
  | Some r =>
      match spread 0 (fst r) [sign] (repeat [] (length (inputs c))) with
      | None => None
      | Some B =>
          match slabbed rs (firsts c) nus B (mul sign (snd r)) with
          | None => None
          | Some (B, const) => option_map (add const) (corner B (inputs c))
          end
      end
  end.
Definition with_first (c : context) (j : nat) (o : option first) : option context :=
  match o with
  | None => None
  | Some f => Some {| inputs := inputs c; firsts := put j f (firsts c); laters := laters c; kept := None |}
  end.
Definition narrow_one (rs : list row) (c : context) (b : nat * option bool * list (nat * D)) : option (option context) :=
  let '(m, sign, nus) := b in
  match bound rs c m (match sign with Some true => one | Some false => opp one | None => zero end) nus, nth_error (firsts c) m with
  | Some low, Some f =>
      match sign with
      | None => Some (if ltb zero low then None else Some c)
      | Some s =>
          let f := if s then {| alo := dmax (alo f) low; ahi := ahi f; err := err f; left := left f |}
                   else {| alo := alo f; ahi := dmin (ahi f) (opp low); err := err f; left := left f |} in
          Some (with_first c m (settle f))
      end
  | _, _ => None
  end.
Fixpoint narrow (rs : list row) (c : context) (bounds : list (nat * option bool * list (nat * D))) : option (option context) :=
  match bounds with
  | [] => Some (Some c)
  | b :: bounds => match narrow_one rs c b with
                   | None => None
                   | Some None => Some None
                   | Some (Some c) => narrow rs c bounds
                   end
  end.
Definition rows_of (net : network) : list row := match hidden net with (rs, _) :: _ => rs | [] => [] end.

(* ---- splits -------------------------------------------------------------------------------------------------------------------------------------------- *)
Definition split_rows (c : context) (j k : nat) : option (option context * option context) :=
  match nth_error (firsts c) j with
  | None => None
  | Some f =>
      let side keep := with_first c j (settle {| alo := alo f; ahi := ahi f; err := err f; left := filter keep (left f) |}) in
      Some (side (fun r => Nat.leb k (ix r)), side (fun r => negb (Nat.leb k (ix r))))
  end.
Definition split_spike (c : context) (l j t : nat) : option (option context * option context) :=
  match l with
  | O => None
  | S l =>
      match nth_error (laters c) l with
      | None => None
      | Some row =>
          match nth_error row j with
          | None => None
          | Some a =>
              match nth_error (bits a) t with
              | None => None
              | Some b =>
                  let side b' := if torn b' then None
                                 else Some {| inputs := inputs c; firsts := firsts c; kept := None;
                                              laters := put l (put j {| bits := put t b' (bits a); proof := proof a |} row) (laters c) |} in
                  Some (side (both b (true, true)), side (both b (false, false)))
              end
          end
      end
  end.
Definition input_side (rs : list row) (c : context) (i : nat) (x : D * D) : option (option context) :=
  if leb (fst x) (snd x) then
    let ins := put i x (inputs c) in
    match each (image ins) rs with
    | None => None
    | Some bs =>
        Some (match each settle (zip (fun b f => {| alo := dmax (alo f) (fst b); ahi := dmin (ahi f) (snd b); err := err f; left := left f |}) bs (firsts c)) with
              | Some fs => Some {| inputs := ins; firsts := fs; laters := laters c; kept := None |}
              | None => None
              end)
    end
  else Some None.
Definition split_input (rs : list row) (c : context) (i : nat) (v : D) : option (option context * option context) :=
  match nth_error (inputs c) i with
  | None => None
  | Some (a, b) => match input_side rs c i (dmax a v, b), input_side rs c i (a, dmin b v) with Some p, Some q => Some (p, q) | _, _ => None end
  end.

(* ---- the leaf ------------------------------------------------------------------------------------------------------------------------------------------- *)
Definition reader (net : network) (k : nat) : option row :=
  match last net with
  | Some rs => match nth_error rs k with Some r => if (let n := spikes net (outputs net) in forallb (fun jw => Nat.ltb (fst jw) n) (fst r)) then Some r else None | None => None end
  | None => if Nat.ltb k (wide net (outputs net - 1)) then Some ([(k, one)], zero) else None
  end.
Fixpoint reads (net : network) (c : context) (l : nat) : nat :=                    (* how many columns hidden layer l reads *)
  match l with O => length (inputs c) | S l => wide net l + reads net c l end.
Definition halved (net : network) (l : nat) (total : D) (B : list (list D)) : leaf :=      (* costs on layer l's spikes, and on what it reads *)
  {| layer := l; total := total; here := firstn (wide net l) B; below := skipn (wide net l) B |}.
Definition open (net : network) (c : context) (y k : nat) : option leaf :=
  match length (hidden net), reader net y, reader net k with
  | S l, Some r, Some q =>
      match spread 0 (fst r) (repeat one (steps net)) (repeat [] (reads net c (S l))) with
      | None => None
      | Some B =>
          match spread 0 (fst q) (repeat (opp one) (steps net)) B with
          | None => None
          | Some B => Some (halved net l (mul (ofnat (steps net)) (sub (snd r) (snd q))) B)
          end
      end
  | _, _, _ => None
  end.
Fixpoint cheapest (A : list D) (bs : list (bool * bool)) : D :=
  match A with
  | [] => zero
  | a :: A => match bs with
              | [] => add (least a (zero, one)) (cheapest A [])
              | b :: bs => add (least a (between b)) (cheapest A bs)
              end
  end.
Fixpoint spent (A : list D) (tr : list bool) : D :=
  match A with
  | [] => zero
  | a :: A => match tr with
              | [] => add (least a (zero, one)) (spent A [])
              | s :: tr => if s then add a (spent A tr) else spent A tr
              end
  end.
Definition row_value (A : list D) (mu : D) (r : trow) : D := sub (spent A (train r)) (most mu (from r, til r)).
Definition rows_least (A : list D) (mu : D) (rows : list trow) : D :=
  match rows with [] => zero | r :: rest => fold_left (fun m r => dmin m (row_value A mu r)) rest (row_value A mu r) end.
Fixpoint unnamed {X} (f : list D -> X -> D) (here : list (list D)) (xs : list X) : option D :=
  match here, xs with
  | [], _ => Some zero
  | A :: here, x :: xs => option_map (add (match A with [] => zero | _ => f A x end)) (unnamed f here xs)
  | _ :: _, [] => None
  end.
Definition rest_of (c : context) (lf : leaf) : option D :=
  match layer lf with
  | O => unnamed (fun A f => rows_least A zero (left f)) (here lf) (firsts c)
  | S l => unnamed (fun A a => cheapest A (bits a)) (here lf) (nth l (laters c) [])
  end.
Definition unpool (net : network) (c : context) (lf : leaf) : option leaf :=
  let l := layer lf in let marks := marked net l in
  if any_marked marks then
    match unpooled (steps net) (read_tables net c (nth l (far net) 1%nat) l one false) marks (here lf) (below lf) with
    | Some (h, B, v) => Some {| layer := l; total := add (total lf) v; here := h; below := B |}
    | None => None
    end
  else Some lf.
Definition lower (net : network) (c : context) (lf : leaf) : option leaf :=          (* one layer down *)
  match unpool net c lf with None => None | Some lf =>
  match layer lf, rest_of c lf with
  | S l, Some v => Some (halved net l (add (total lf) v) (below lf))
  | _, _ => None
  end end.
Fixpoint descend (net : network) (c : context) (k : nat) (lf : leaf) : option leaf :=
  match k with O => Some lf | S k => match lower net c lf with Some lf => descend net c k lf | None => None end end.
Definition reach_layer (net : network) (c : context) (l : nat) (lf : leaf) : option leaf :=
  if Nat.leb l (layer lf) then descend net c (layer lf - l) lf else None.

Definition potential_at (net : network) (c : context) (l j : nat) (mu : list D) (pots : list (list pot)) (lf : leaf) : option leaf :=
  match l, reach_layer net c l lf with
  | S l', Some lf =>
      match nth_error (hidden net) l, nth_error (laters c) l' with
      | Some (rs, ns), Some row =>
          match nth_error rs j, nth_error ns j, nth_error row j, nth_error (here lf) j, pots with
          | Some r, Some n, Some a, Some A, ((x :: _) :: _) =>
              match proof a, least_piece (fst x) with
              | Some (ex, sts), Some beta =>
                  if pots_ok n ex sts A mu pots then
                    match spread 0 (fst r) mu (below lf) with
                    | Some B => Some {| layer := layer lf; total := add (total lf) (add beta (mul (sum mu) (snd r))); here := put j [] (here lf); below := B |}
                    | None => None
                    end
                  else None
              | _, _ => None
              end
          | _, _, _, _, _ => None
          end
      | _, _ => None
      end
  | _, _ => None
  end.
Definition price_at (net : network) (c : context) (j : nat) (mu : D) (lf : leaf) : option leaf :=
  match reach_layer net c 0 lf with
  | Some lf =>
      match nth_error (rows_of net) j, nth_error (firsts c) j, nth_error (here lf) j with
      | Some r, Some f, Some A =>
          match spread 0 (fst r) [mu] (below lf) with
          | Some B => Some {| layer := layer lf; here := put j [] (here lf); below := B;
                              total := add (total lf) (add (sub (rows_least A mu (left f)) (mul (dabs mu) (err f))) (mul mu (snd r))) |}
          | None => None
          end
      | _, _, _ => None
      end
  | None => None
  end.
Definition row_slackD (T : nat) (r : row) : D :=
  let m := (length (fst r) + T + 4)%nat in
  add (mul (gammaD m) (add (sum (map (fun jw => dabs (snd jw)) (fst r))) (dabs (snd r)))) (mul (ofnat m) least_normal).
Definition slackD (net : network) (k : nat) : option D :=
  match last net with
  | Some rows => match nth_error rows k with
                 | Some r => option_map (mul (ofnat (steps net)))
                     match way_of net (outputs net) k with None => Some (row_slackD (steps net) r) | Some w => option_map snd (restingD (steps net) w) end
                 | None => Some zero end
  | None => Some zero
  end.
(* strict: the label's logit is greater; else not less: of counts, whole numbers, a difference above -1 is enough *)
Definition closes (net : network) (c : context) (y k : nat) (strict : bool) (lf : leaf) : bool :=
  match reach_layer net c 0 lf with
  | Some lf => match rest_of c lf, corner (below lf) (inputs c), slackD net y, slackD net k with
               | Some v, Some w, Some a, Some b =>
                   let least := add (total lf) (add v w) in
                   if strict then ltb (add a b) least
                   else match last net with None => ltb (opp one) least | Some _ => leb (add a b) least end
               | _, _, _, _ => false
               end
  | None => false
  end.

(* ---- the machine ---------------------------------------------------------------------------------------------------------------------------------------- *)
Section Machine.
Variables (net : network) (y : nat) (low high : list D) (ties : bool).            (* ties: of equal logits the first one wins ("argmax"), else it must be strict *)
Definition strictly (k : nat) : bool := negb (ties && Nat.ltb y k).
Definition classes : nat := match last net with Some rs => length rs | None => wide net (outputs net - 1) end.
(* a fact of the context: None: refused; Some None: the context holds no run *)
Definition learn (c : option context) (r : record) : option (option context) :=
  match c with
  | None => match r with Graph _ _ _ | Narrow _ => Some None | _ => None end
  | Some c =>
      match r with
      | Graph l j levels => graph net c l j levels
      | Narrow bounds => narrow (rows_of net) c bounds
      | _ => None
      end
  end.
Definition ordered {X} (up : bool) (o : option (X * X)) : option (X * X) := match o with Some (a, b) => Some (if up then (a, b) else (b, a)) | None => None end.
Definition parted (c : option context) (r : record) : option (option context * option context) :=
  match c with
  | None => match r with SplitRows _ _ _ | SplitSpike _ _ _ _ | SplitInput _ _ _ => Some (None, None) | _ => None end
  | Some c =>
      match r with
      | SplitRows j k up => ordered up (split_rows c j k)
      | SplitSpike l j t up => ordered up (split_spike c l j t)
      | SplitInput i v up => ordered up (split_input (rows_of net) c i v)
      | _ => None
      end
  end.
Definition back (c : option context) (done : list nat) (k : nat) (stack : list (option context)) : state :=
  match stack with [] => Root c (k :: done) | _ => Tree c done k stack end.
Definition step (st : state) (r : record) : option state :=
  match st with
  | Start => match r with Table rows => option_map (fun c => Root c []) (begin net low high rows) | _ => None end
  | Root c done => match r with Class k => Some (Tree c done k [c]) | _ => option_map (fun c => Root c done) (learn c r) end
  | Tree c done k [] => None
  | Tree c done k (top :: stack) =>
      match r with
      | Graph _ _ _ | Narrow _ => option_map (fun o => Tree c done k (o :: stack)) (learn top r)
      | SplitRows _ _ _ | SplitSpike _ _ _ _ | SplitInput _ _ _ => option_map (fun ab => Tree c done k (fst ab :: snd ab :: stack)) (parted top r)
      | Leaf => match top with Some now => option_map (At c done k stack now) (open net now y k) | None => Some (Void c done k stack) end
      | Empty => match top with None => Some (back c done k stack) | Some _ => None end
      | _ => None
      end
  | At c done k stack now lf =>
      match r with
      | Potential l j mu pots => option_map (At c done k stack now) (potential_at net now l j mu pots lf)
      | Price j mu => option_map (At c done k stack now) (price_at net now j mu lf)
      | Close => if closes net now y k (strictly k) lf then Some (back c done k stack) else None
      | _ => None
      end
  | Void c done k stack => match r with Potential _ _ _ _ | Price _ _ => Some st | Close => Some (back c done k stack) | _ => None end
  end.
Fixpoint steps_from (st : state) (rs : list record) : option state :=
  match rs with [] => Some st | r :: rs => match step st r with Some st => steps_from st rs | None => None end end.
Definition finished (st : state) : bool :=
  match st with
  | Root _ done => forallb (fun k => Nat.eqb k y || existsb (Nat.eqb k) done) (seq 0 classes)
  | _ => false
  end.
Definition passes (rs : list record) : bool := match steps_from Start rs with Some st => finished st | None => false end.
End Machine.
Definition accepts (net : network) (y : nat) (low high : list D) (certificate : list record) : bool := passes net y low high false certificate.
Definition accepts_argmax (net : network) (y : nat) (low high : list D) (certificate : list record) : bool := passes net y low high true certificate.
