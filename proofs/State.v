(* What the checker reads and knows: records, contexts, and what these say of sums over time. Layers are counted from 0. *)
From Coq Require Import ZArith List Bool.
From Flocq Require Import Core.
Require Import Semantics Dyadic Ways.
Import ListNotations.

(* ---- records ----------------------------------------------------------------------------------------------------------------------- *)
Record node := { lo : D; hi : D; parent : option nat; silent : option nat; spike : option nat; cuts : list nat; taken : option (D * D) }.
Definition pot := (list (D * D) * (list (nat * D) * list (nat * D)))%type.        (* pieces a + b*u; for silence, for a spike: a piece here and a multiplier for each piece there *)
Inductive record :=
| Table (rows : list (list bool * (D * D)))
| Graph (l j : nat) (levels : list (list node))
| Narrow (bounds : list (nat * option bool * list (nat * D)))                     (* Some true: from below; Some false: from above; None: the emptiness *)
| SplitRows (j k : nat) (up : bool)                                               (* up: the side of rows from k on comes first *)
| SplitSpike (l j t : nat) (up : bool)                                            (* up: the side of the spike comes first *)
| SplitInput (i : nat) (v : D) (up : bool)
| Class (k : nat)
| Leaf
| Potential (l j : nat) (mu : list D) (pots : list (list pot))
| Price (j : nat) (mu : D)
| Close
| Empty.

(* ---- contexts: what holds of every run of this part of the tree ------------------------------------------------------------------------ *)
Record trow := { ix : nat; train : list bool; from : D; til : D }.
Record first := { alo : D; ahi : D; err : D; left : list trow }.                    (* the exact current's box; how far the run's may be; rows *)
Record move := { spk : bool; plo : D; phi : D; target : nat; loss : D }.           (* where v lies, the node it leads to *)
Record cell := { clo : D; chi : D; moves : list move }.
Record stage := { box : D * D; cells : list cell }.                                (* the exact current's box at this step *)
Record later := { bits : list (bool * bool); proof : option (D * list stage) }.    (* (certain, possible) a step; extra, and the graph *)
Definition table := list (list (D * D)).                                           (* [t][k]: of the sum of k + 1 last terms up to step t + 1, faded *)
Record memo := { mlayer : nat; mdecay : D; mdeep : bool; mones : table; mcolumns : list (table * list D); mtries : list trie }.
Record context := { inputs : list (D * D); firsts : list first; laters : list (list later); kept : option memo }.

Record leaf := { layer : nat; total : D; here : list (list D); below : list (list D) }.
Inductive state :=
| Start
| Root (c : option context) (done : list nat)
| Tree (c : option context) (done : list nat) (k : nat) (stack : list (option context))
| At (c : option context) (done : list nat) (k : nat) (stack : list (option context)) (now : context) (lf : leaf)
| Void (c : option context) (done : list nat) (k : nat) (stack : list (option context)).                (* a leaf of no run *)

(* ---- lists -------------------------------------------------------------------------------------------------------------------------------- *)
Fixpoint put {X} (i : nat) (x : X) (l : list X) : list X :=
  match l, i with [], _ => [] | _ :: l, O => x :: l | y :: l, S i => y :: put i x l end.
(* nth_error, counting upwards *)
Fixpoint found_from {X} (i k : nat) (l : list X) : option X := match l with [] => None | x :: l => if Nat.eqb i k then Some x else found_from (S i) k l end.
Definition found_at {X} (k : nat) (l : list X) : option X := found_from 0 k l.
Fixpoint zip {X Y Z} (f : X -> Y -> Z) (a : list X) (b : list Y) : list Z :=
  match a, b with x :: a, y :: b => f x y :: zip f a b | _, _ => [] end.
Fixpoint each {X Y} (f : X -> option Y) (l : list X) : option (list Y) :=
  match l with
  | [] => Some []
  | x :: l => match f x, each f l with Some y, Some r => Some (y :: r) | _, _ => None end
  end.

(* a row, sorted by column, along what stands at the columns *)
Section Along.
Context {X Y : Type}.
Variable f : D -> X -> Y -> Y.
Fixpoint along (i : nat) (xs : list X) (ws : list (nat * D)) (acc : Y) {struct xs} : option Y :=
  match ws with
  | [] => Some acc
  | (j, w) :: rest =>
      match xs with
      | [] => None
      | x :: xs => if Nat.eqb j i then along (S i) xs rest (f w x acc) else along (S i) xs ws acc
      end
  end.
End Along.

(* costs: of each source a list over time *)
Fixpoint bump (w : D) (mu b : list D) : list D :=
  match mu, b with
  | [], _ => b
  | m :: mu, [] => mul w m :: bump w mu []
  | m :: mu, x :: b => add x (mul w m) :: bump w mu b
  end.
Fixpoint spread (i : nat) (ws : list (nat * D)) (mu : list D) (B : list (list D)) {struct B} : option (list (list D)) :=
  match ws with
  | [] => Some B
  | (j, w) :: rest =>
      match B with
      | [] => None
      | b :: B => if Nat.eqb j i then option_map (cons (bump w mu b)) (spread (S i) rest mu B) else option_map (cons b) (spread (S i) ws mu B)
      end
  end.
Fixpoint sum (l : list D) : D := match l with [] => zero | x :: l => add x (sum l) end.

(* ---- affine layers ------------------------------------------------------------------------------------------------------------------------- *)
Definition allowanceD (n : nat) (m bias : D) : D := up (add (mul (gammaD (n + 1)) (add m (dabs bias))) (mul (ofnat (n + 2)) least_normal)).
Definition err_of (sizes : list D) (r : row) : option D :=
  match along (fun w size (acc : nat * D) => if nought w || leb size zero then acc else (S (fst acc), add (snd acc) (mul (dabs w) size))) 0 sizes (fst r) (O, zero) with
  | Some (n, m) => Some (allowanceD n m (snd r))
  | None => None
  end.
Definition err_by (o : option way) (sizes : list D * trie) (r : row) : option D :=
  match o with None => err_of (fst sizes) r | Some w => option_map snd (gaugeD (snd sizes) w) end.
Definition image_of (start : D * D) (boxes : list (D * D)) (ws : list (nat * D)) : option (D * D) :=
  along (fun w b (acc : D * D) => if nought (fst b) && nought (snd b) then acc else (add (fst acc) (least w b), add (snd acc) (most w b))) 0 boxes ws start.
Definition image (boxes : list (D * D)) (r : row) : option (D * D) := image_of (snd r, snd r) boxes (fst r).

(* sums of lambda^.. * x over the last k + 1 steps, outward *)
Fixpoint tabulate (lam : D) (before : list (D * D)) (xs : list (D * D)) : table :=
  match xs with
  | [] => []
  | x :: xs =>
      let now := map (fun r => (down (add (fst x) (mul lam (fst r))), up (add (snd x) (mul lam (snd r))))) ((zero, zero) :: before) in
      now :: tabulate lam now xs
  end.
(* deep: of all windows; else of single steps alone *)
Definition tab (deep : bool) (lam : D) (xs : list (D * D)) : table := if deep then tabulate lam [] xs else map (fun x => [x]) xs.
Definition digit (s : bool) : D := if s then one else zero.
Definition exactly (s : bool) : D * D := (digit s, digit s).
Definition between (b : bool * bool) : D * D := (digit (fst b), digit (snd b)).
Definition hull (p q : D * D) : D * D := (dmin (fst p) (fst q), dmax (snd p) (snd q)).
Definition join (a b : table) : table := zip (zip hull) a b.
Definition meet (a b : table) : table := zip (zip (fun p q => (dmax (fst p) (fst q), dmin (snd p) (snd q)))) a b.
Definition of_rows (deep : bool) (lam : D) (rows : list trow) : table :=
  match map (fun r => tab deep lam (map exactly (train r))) rows with [] => [] | t :: ts => fold_left join ts t end.
(* sums over windows along the moves of a graph: of each node where it may be, then all together *)
Fixpoint absorb (q : nat) (b : D * D) (l : list (nat * (D * D))) : list (nat * (D * D)) :=
  match l with [] => [(q, b)] | (r, c) :: l => if Nat.eqb q r then (r, hull b c) :: l else (r, c) :: absorb q b l end.
Definition along_moves (lam : D) (cs : list cell) (ends : list (nat * (D * D))) : list (nat * (D * D)) :=
  fold_left (fun acc (e : nat * (D * D)) =>
    match nth_error cs (fst e) with
    | Some c => fold_left (fun acc m => absorb (target m) (down (add (digit (spk m)) (mul lam (fst (snd e)))), up (add (digit (spk m)) (mul lam (snd (snd e))))) acc) (moves c) acc
    | None => acc
    end) ends [].
Fixpoint column (lam : D) (ends : list (nat * (D * D))) (sts : list stage) : list (D * D) :=
  match sts with
  | [] => []
  | st :: sts => let now := along_moves lam (cells st) ends in
                 match now with [] => [] | e :: es => fold_left hull (map snd es) (snd e) :: column lam now sts end
  end.
Fixpoint columns (lam : D) (sts : list stage) : list (list (D * D)) :=
  match sts with [] => [] | st :: rest => column lam (map (fun i => (i, (zero, zero))) (seq 0 (length (cells st)))) sts :: columns lam rest end.
Definition of_graph (lam : D) (sts : list stage) : table :=
  let cols := columns lam sts in
  map (fun t => match each (fun k => match nth_error cols (t - k) with Some col => nth_error col k | None => None end) (seq 0 (S t)) with Some r => r | None => [] end) (seq 0 (length sts)).
Definition of_later (deep : bool) (lam : D) (a : later) : table :=
  let own := tab deep lam (map between (bits a)) in
  if deep then match proof a with Some (_, sts) => meet own (of_graph lam sts) | None => own end else own.
(* neurons that never fire share one table *)
Definition quiet (T : nat) (deep : bool) (lam : D) : table := tab deep lam (repeat (zero, zero) T).
Definition sources (T : nat) (c : context) (l : nat) (lam : D) (deep : bool) : list table :=     (* of hidden layer l's spikes *)
  let q := quiet T deep lam in
  match l with
  | O => map (fun f => if forallb (fun r => forallb negb (train r)) (left f) then q else of_rows deep lam (left f)) (firsts c)
  | S l => map (fun a => if Nat.eqb (length (bits a)) T && forallb (fun b => negb (snd b)) (bits a) then q else of_later deep lam a) (nth l (laters c) [])
  end.
Fixpoint sized {X} (n : nat) (none : X) (l : list X) : list X := match n with O => [] | S n => hd none l :: sized n none (tl l) end.
(* what a row reads, and with which weights *)
Fixpoint pick {X} (i : nat) (xs : list X) (ws : list (nat * D)) {struct xs} : option (list (D * X)) :=
  match ws with
  | [] => Some []
  | (j, w) :: rest => match xs with [] => None | x :: xs => if Nat.eqb j i then option_map (cons (w, x)) (pick (S i) xs rest) else pick (S i) xs ws end
  end.
(* ---- maxima of spikes: neurons without memory that fire where one of the spikes that they add up does ------------------------------------------ *)
Definition half : D := num 1 (-1).
Definition most_pooled : Z := 1024.
Definition pools (k : nat) (r : row) (n : neuron) : bool :=                        (* k: how many columns are spikes *)
  same (decay n) zero && same (theta n) half && match kind n with Zero => true | _ => false end
  && Z.leb (Z.of_nat (length (fst r))) most_pooled && nought (snd r) && forallb (fun jw => Nat.ltb (fst jw) k && same (snd jw) one) (fst r).
Definition marked (net : network) (l : nat) : list (bool * row) :=
  match nth_error (hidden net) l with
  | Some (rs, ns) => let k := spikes net l in
                     zip (fun j (rn : row * neuron) => (pools k (fst rn) (snd rn) && match way_of net l j with None => true | Some _ => false end, fst rn)) (seq 0 (length rs)) (zip pair rs ns)
  | None => []
  end.
Definition any_marked (marks : list (bool * row)) : bool := existsb fst marks.
Definition box_at (t : nat) (tb : table) : D * D := match nth t tb [] with b :: _ => b | [] => (zero, one) end.
Definition highest (bs : list (D * D)) : D := fold_left dmax (map snd bs) zero.
(* over windows a maximum is no less than any spike, and no more than all of them *)
Fixpoint together (picked : list (D * table)) : table :=
  match picked with
  | [] => []
  | [p] => snd p
  | p :: picked => zip (zip (fun a b => (dmax (fst a) (fst b), add (snd a) (snd b)))) (snd p) (together picked)
  end.
Definition pooled (T : nat) (deep : bool) (lam : D) (ts : list table) (r : row) (other : table) : table :=
  match pick 0 ts (fst r) with
  | Some picked =>
      let single := tab deep lam (map (fun t => let bs := map (fun p : D * table => box_at t (snd p)) picked in (fold_left dmax (map fst bs) zero, highest bs)) (seq 0 T)) in
      if deep then meet single (firstn T (together picked)) else single
  | None => other
  end.
Definition pooled_all (T : nat) (deep : bool) (lam : D) (ts : list table) (marks : list (bool * row)) (own : list table) : list table :=
  zip (fun (m : bool * row) (other : table) => if fst m then pooled T deep lam ts (snd m) other else other) marks own.
Fixpoint read_tables (net : network) (c : context) (back l : nat) (lam : D) (deep : bool) {struct l} : list table :=      (* of what layer l reads, this many layers back *)
  match back, l with
  | O, _ => []
  | S _, O => map (fun b => tab deep lam (repeat b (steps net))) (inputs c)
  | S back, S l =>
      let own := sources (steps net) c l lam deep in let marks := marked net l in
      sized (wide net l) [] (if any_marked marks then pooled_all (steps net) deep lam (read_tables net c (nth l (far net) 1%nat) l lam deep) marks own else own)
      ++ read_tables net c back l lam deep
  end.
(* the sizes of single steps *)
Fixpoint tops (tb : table) : list D := match tb with (b :: _) :: tb => size_of b :: tops tb | _ => [] end.
(* of what was picked the next step is the first one then *)
Definition later_on {X} (picked : list (D * list X)) : list (D * list X) := map (fun p => (fst p, tl (snd p))) picked.
Fixpoint gather (k : nat) (picked : list (D * table)) (low high : D) : option (D * D) :=
  match picked with
  | [] => Some (low, high)
  | (w, row :: _) :: picked =>
      match found_at k row with
      | Some b => if nought (fst b) && nought (snd b) then gather k picked low high else gather k picked (add low (least w b)) (add high (most w b))
      | None => None
      end
  | (_, []) :: _ => None
  end.
Fixpoint weigh (picked : list (D * list D)) (n : nat) (m : D) : option (nat * D) :=
  match picked with
  | [] => Some (n, m)
  | (w, size :: _) :: picked => if nought w || leb size zero then weigh picked n m else weigh picked (S n) (add m (mul (dabs w) size))
  | (_, []) :: _ => None
  end.
Definition has_ways (net : network) (l : nat) : bool := existsb (fun o : option way => match o with Some _ => true | None => false end) (nth l (nested net) []).
Definition memo_of (net : network) (c : context) (l : nat) (lam : D) (deep : bool) : memo :=           (* for hidden layer l *)
  let made := fun _ : bool =>
    let ts := read_tables net c (nth l (far net) 1%nat) l lam deep in
    let ways := has_ways net l in
    let cs := map (fun tb => (tb, tops tb)) ts in
    {| mlayer := l; mdecay := lam; mdeep := deep; mones := tab deep lam (repeat (one, one) (steps net)); mcolumns := cs;
       mtries := if ways then map (fun t => match each (fun c : table * list D => nth_error (snd c) t) cs with Some sz => plant deepest sz | None => Tip end) (seq 0 (steps net)) else [] |} in
  match kept c with
  | Some m => if Nat.eqb (mlayer m) l && same (mdecay m) lam && Bool.eqb deep (mdeep m) then m else made true
  | None => made true
  end.
Fixpoint errors (T : nat) (bias : D) (picked : list (D * list D)) : option (list D) :=
  match T with
  | O => Some []
  | S T => match weigh picked O zero, errors T bias (later_on picked) with Some (n, m), Some es => Some (allowanceD n m bias :: es) | _, _ => None end
  end.
Definition errors_by (T : nat) (o : option way) (tries : list trie) (r : row) (picked : list (D * (table * list D))) : option (list D) :=
  match o with
  | None => errors T (snd r) (map (fun p => (fst p, snd (snd p))) picked)
  | Some w => each (fun t => option_map snd (gaugeD t w)) tries
  end.
(* ---- costs on maxima of spikes: on one of the spikes each, which none passes, or which it surely is; else what they are at the upper end ---- *)
Fixpoint best_of (q : nat) (bs : list (D * D)) (k : nat) (b : D * D) : nat * (D * D) :=
  match bs with
  | [] => (k, b)
  | x :: bs => if ltb (fst b) (fst x) || same (fst b) (fst x) && ltb (snd b) (snd x) then best_of (S q) bs q x else best_of (S q) bs k b
  end.
Fixpoint others_below (q k : nat) (low : D) (bs : list (D * D)) : bool :=
  match bs with [] => true | x :: bs => (Nat.eqb q k || leb (snd x) low) && others_below (S q) k low bs end.
Definition goes_to (T t : nat) (bs : list (D * D)) (a : D) : option nat :=
  match bs with
  | b :: rest => let (k, c) := best_of 1 rest 0 b in if Nat.ltb t T && (rising a || others_below 0 k (fst c) bs) then Some k else None
  | [] => None
  end.
Definition stays (T t : nat) (bs : list (D * D)) (a : D) : D := least a (zero, if Nat.ltb t T then highest bs else one).
Fixpoint moving (T t : nat) (picked : list table) (A : list D) : list (option nat) * D :=
  match A with
  | [] => ([], zero)
  | a :: A => let bs := map (box_at t) picked in let (gs, c) := moving T (S t) picked A in
              match (if nought a then Some O else goes_to T t bs a) with Some k => (Some k :: gs, c) | None => (None :: gs, add (stays T t bs a) c) end
  end.
Definition is_at (q : nat) (g : option nat) : bool := match g with Some k => Nat.eqb k q | None => false end.
Definition share (q : nat) (gs : list (option nat)) (A : list D) : list D := zip (fun g a => if is_at q g then a else zero) gs A.
Fixpoint shares (q : nat) (ws : list (nat * D)) (gs : list (option nat)) (A : list D) (B : list (list D)) : option (list (list D)) :=
  match ws with
  | [] => Some B
  | (i, _) :: ws => match (if existsb (is_at q) gs then spread 0 [(i, one)] (share q gs A) B else Some B) with Some B => shares (S q) ws gs A B | None => None end
  end.
Fixpoint unpooled (T : nat) (ts : list table) (marks : list (bool * row)) (here : list (list D)) (B : list (list D)) : option (list (list D) * list (list D) * D) :=
  match marks, here with
  | (m, r) :: marks, A :: here =>
      match unpooled T ts marks here B with
      | Some (h, B, c) =>
          if m && match A with [] => false | _ => true end then
            match pick 0 ts (fst r) with
            | Some ((_ :: _) as picked) => let (gs, more) := moving T 0 (map snd picked) A in option_map (fun B => ([] :: h, B, add more c)) (shares 0 (fst r) gs A B)
            | _ => Some (A :: h, B, c)
            end
          else Some (A :: h, B, c)
      | None => None
      end
  | _, _ => Some (here, B, zero)
  end.
