(* The network, and what a run of it is, with rounding as a box of disturbance.

   Two statements meet here. Float.v: every IEEE binary32 run of a network is a `run` (any order of summation, fused or not).
   Theorem.v: where the kernel accepts a certificate, every `run` from the box gives the class. *)
From Coq Require Import ZArith Reals List Bool.
From Flocq Require Import Core.
Import ListNotations.
Open Scope R_scope.

(* ---- numbers of files and certificates: m * 2^e ---------------------------------------------------------------------------- *)
Definition D := float radix2.
Definition val (d : D) : R := F2R d.

(* ---- the network --------------------------------------------------------------------------------------------------------------- *)
Inductive reset := Zero | Subtract | Never.
Record neuron := { decay : D; theta : D; kind : reset; drop : D }.
Definition row := (list (nat * D) * D)%type.                      (* (column, weight), and a bias *)
(* A number that a run makes of others, in some steps. How it makes one of its parts:
   Products: a float sum of the products and the bias, in any order. Average n: a float sum of the parts, divided by n, or times the
   float 1/n. Joined: a float sum of two parts. Scaled: a batch norm of one part, near weight * part + bias by what `own` says, however it is
   computed: the bias is a difference of numbers whose moduli add up to `base`. Whatever a run does, the exact number is the sum of weight * part, and the bias. *)
Inductive how := Products | Average (n : nat) | Joined | Scaled (base floor : D).
Inductive way := Given (column : nat) | Made (h : how) (bias : D) (parts : list (D * way)).
(* Columns of what layer l reads: first the spikes of layer l - 1, behind them what layer l - 1 itself reads: at last the inputs. *)
Record network := { steps : nat;
                    hidden : list (list row * list neuron);        (* each spiking layer: its exact affine map, and a neuron a row *)
                    last : option (list row);                      (* what is read: an affine map, or the last spikes *)
                    nested : list (list (option way));             (* how the run makes row j of layer l; no way: by products alone *)
                    far : list nat }.                              (* a hint: how many layers back layer l reads, 1 where it is not told *)
Definition way_of (net : network) (l j : nat) : option way :=
  match nth_error (nested net) l with Some ws => match nth_error ws j with Some o => o | None => None end | None => None end.

Definition proper (n : neuron) : Prop := 0 <= val (decay n) <= 1 /\ 0 < val (theta n) /\ 0 < val (drop n).

Definition weighted (ws : list (nat * D)) (x : nat -> R) : R := fold_right (fun jw acc => val (snd jw) * x (fst jw) + acc) 0 ws.
Definition affine (r : row) (x : nat -> R) : R := weighted (fst r) x + val (snd r).
Definition bit (s : bool) : R := if s then 1 else 0.

Definition parted (f : way -> R) (parts : list (D * way)) : R := fold_right (fun kw acc => val (fst kw) * f (snd kw) + acc) 0 parts.
Fixpoint worth (w : way) (x : nat -> R) : R :=                     (* the exact number *)
  match w with Given i => x i | Made _ b parts => parted (fun v => worth v x) parts + val b end.
Definition amount (o : option way) (r : row) (x : nat -> R) : R := match o with None => affine r x | Some w => worth w x end.

(* ---- rounding allowances -------------------------------------------------------------------------------------------------------- *)
Definition u : R := / 2 ^ 24.                                      (* unit roundoff of binary32 *)
Definition tiny : R := / 2 ^ 126.                                  (* its least normal number *)
Definition gamma (n : nat) : R := INR n * u * (1 + 2 * (INR n * u)).

(* terms that may round anything: neither factor is 0 *)
Definition met (ws : list (nat * D)) (x : nat -> R) : list (nat * D) :=
  filter (fun jw => if Req_EM_T (val (snd jw) * x (fst jw)) 0 then false else true) ws.
Definition moduli (ws : list (nat * D)) (x : nat -> R) : R := fold_right (fun jw acc => Rabs (val (snd jw)) * Rabs (x (fst jw)) + acc) 0 ws.
Definition allowance (r : row) (x : nat -> R) : R :=
  let n := length (met (fst r) x) in gamma (n + 1) * (moduli (fst r) x + Rabs (val (snd r))) + INR (n + 2) * tiny.
(* of one step: n parts that may be other than 0, whose moduli times their weights add up to M, and a bias of modulus B *)
Definition own (h : how) (n : nat) (M B : R) : R :=
  match h with
  | Products => gamma (n + 1) * (M + B) + INR (n + 2) * tiny
  | Average _ => gamma (n + 3) * M + INR (n + 3) * tiny
  | Joined => u * M
  | Scaled base floor => gamma 17 * (M + Rabs (val base)) + Rabs (val floor)
  end.
Definition heavy (k S : R) : bool := if Req_EM_T (k * S) 0 then false else true.
Record gauged := { met_parts : nat; moduli_of : R; errors_of : R }.
Definition gauge_part (g : R * R) (k : R) (a : gauged) : gauged :=
  {| met_parts := (if heavy k (fst g) then 1 else 0) + met_parts a; moduli_of := Rabs k * fst g + moduli_of a; errors_of := Rabs k * snd g + errors_of a |}.
Definition nothing : gauged := {| met_parts := 0; moduli_of := 0; errors_of := 0 |}.
(* a bound of the modulus, and of how far it is from the exact one: where all is 0 nothing is rounded *)
Definition closed (h : how) (B : R) (a : gauged) : R * R :=
  if Req_EM_T (moduli_of a + B) 0 then (0, errors_of a)
  else let o := own h (met_parts a) (moduli_of a) B in (moduli_of a + B + o, errors_of a + o).
Fixpoint gauge (w : way) (x : nat -> R) : R * R :=
  match w with
  | Given i => (Rabs (x i), 0)
  | Made h b parts => closed h (Rabs (val b)) (fold_right (fun kw a => gauge_part (gauge (snd kw) x) (val (fst kw)) a) nothing parts)
  end.
Definition error (o : option way) (r : row) (x : nat -> R) : R := match o with None => allowance r x | Some w => snd (gauge w x) end.
Definition slip (n : neuron) (v c : R) : R := 4 * u * (val (decay n) * Rabs v + Rabs c) + 8 * tiny.
Definition tie (n : neuron) : R := 2 * u * val (theta n) + tiny.
Definition lost (n : neuron) (v : R) : R := 4 * u * (Rabs v + val (drop n)) + 8 * tiny.

(* ---- runs ------------------------------------------------------------------------------------------------------------------------ *)
(* one step of a neuron, from potential v0 with the run's current c *)
Definition stepped (n : neuron) (v0 c : R) (s : bool) (v1 : R) : Prop :=
  exists v, Rabs (v - (val (decay n) * v0 + c)) <= slip n v0 c
    /\ (if s then val (theta n) - tie n <= v else v <= val (theta n) + tie n)
    /\ match kind n, s with
       | Zero, true => v1 = 0
       | Subtract, true => Rabs (v1 - (v - val (drop n))) <= lost n v
       | _, _ => v1 = v
       end.

(* what a neuron does is a function of its potential and its current, the same at each step: a run set back to its start repeats itself *)
Definition machine := R -> R -> bool * R.
Definition drives (n : neuron) (go : machine) : Prop := forall v0 c, stepped n v0 c (fst (go v0 c)) (snd (go v0 c)).
Fixpoint potential (go : machine) (c : nat -> R) (t : nat) : R :=          (* after t steps; c t: the current of step t + 1 *)
  match t with O => 0 | S t => snd (go (potential go c t) (c t)) end.
Definition spiked (go : machine) (c : nat -> R) (t : nat) : bool := fst (go (potential go c t) (c t)).

(* spikes: of layer l, neuron j, at step t, all from 0 *)
Definition trains := nat -> nat -> nat -> bool.
Definition outputs (net : network) : nat := length (hidden net).
Definition wide (net : network) (l : nat) : nat := match nth_error (hidden net) l with Some (rows, _) => length rows | None => O end.
Fixpoint source (net : network) (x : nat -> R) (s : trains) (l t : nat) : nat -> R :=     (* what layer l reads at step t *)
  match l with O => x | S l => fun i => if Nat.ltb i (wide net l) then bit (s l i t) else source net x s l t (i - wide net l) end.

Definition run (net : network) (x : nat -> R) (s : trains) : Prop :=
  forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
  forall j r n, nth_error rows j = Some r -> nth_error ns j = Some n ->
  exists go c, drives n go
    /\ (l = O -> forall t, c t = c O)                                          (* the input's current is computed once *)
    /\ (forall t, (t < steps net)%nat -> let z := source net x s l t in Rabs (c t - amount (way_of net l j) r z) <= error (way_of net l j) r z)
    /\ (forall t, (t < steps net)%nat -> s l j t = spiked go c t).

(* ---- the claim -------------------------------------------------------------------------------------------------------------------- *)
Fixpoint total (T : nat) (f : nat -> R) : R := match T with O => 0 | S T => total T f + f T end.
(* what is read: spikes alone, of any layer. (A column of the inputs would hold 0 here; the checker refuses it.) *)
Definition output (net : network) (s : trains) (t : nat) : nat -> R := source net (fun _ => 0) s (outputs net) t.
Fixpoint spikes (net : network) (l : nat) : nat := match l with O => O | S l => (wide net l + spikes net l)%nat end.
(* T times the exact score of class k of a run's own last spikes *)
Definition score (net : network) (s : trains) (k : nat) : R :=
  match last net with
  | Some rows => match nth_error rows k with Some r => total (steps net) (fun t => amount (way_of net (outputs net) k) r (output net s t)) | None => 0 end
  | None => total (steps net) (fun t => bit (s (outputs net - 1)%nat k t))
  end.
(* The mean over T steps may be taken anywhere on the way: of the spikes, of any part, or at the end. A bound of its modulus, and of
   how far it is from the exact one; each term w s / T of a row passes at most n + 1 sums, T + 2 of the mean. *)
Definition rested (T : nat) (g : R * R) : R * R :=
  let o := gamma (T + 2) * fst g + INR (T + 2) * tiny in (fst g + o, snd g + o).
Definition row_slack (T : nat) (r : row) : R :=
  gamma (length (fst r) + T + 4) * (moduli (fst r) (fun _ => 1) + Rabs (val (snd r))) + INR (length (fst r) + T + 4) * tiny.
Fixpoint resting (T : nat) (w : way) : R * R :=
  match w with
  | Given _ => rested T (1, 0)
  | Made h b parts => rested T (closed h (Rabs (val b)) (fold_right (fun kw a => gauge_part (resting T (snd kw)) (val (fst kw)) a) nothing parts))
  end.
(* how far T times the run's logit may be from the score *)
Definition slack (net : network) (k : nat) : R :=
  match last net with
  | Some rows => match nth_error rows k with
                 | Some r => INR (steps net) * match way_of net (outputs net) k with None => row_slack (steps net) r | Some w => snd (resting (steps net) w) end
                 | None => 0 end
  | None => 0
  end.
