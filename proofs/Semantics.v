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
Record network := { steps : nat;
                    hidden : list (list row * list neuron);        (* each spiking layer: its affine map, and a neuron a row *)
                    last : option (list row) }.                    (* what is read: an affine map of the last spikes, or these *)

Definition proper (n : neuron) : Prop := 0 <= val (decay n) <= 1 /\ 0 < val (theta n) /\ 0 < val (drop n).

Definition weighted (ws : list (nat * D)) (x : nat -> R) : R := fold_right (fun jw acc => val (snd jw) * x (fst jw) + acc) 0 ws.
Definition affine (r : row) (x : nat -> R) : R := weighted (fst r) x + val (snd r).
Definition bit (s : bool) : R := if s then 1 else 0.

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
Definition source (x : nat -> R) (s : trains) (l t : nat) : nat -> R :=     (* what layer l reads at step t *)
  match l with O => x | S l => fun i => bit (s l i t) end.

Definition run (net : network) (x : nat -> R) (s : trains) : Prop :=
  forall l rows ns, nth_error (hidden net) l = Some (rows, ns) ->
  forall j r n, nth_error rows j = Some r -> nth_error ns j = Some n ->
  exists go c, drives n go
    /\ (l = O -> forall t, c t = c O)                                          (* the input's current is computed once *)
    /\ (forall t, (t < steps net)%nat -> Rabs (c t - affine r (source x s l t)) <= allowance r (source x s l t))
    /\ (forall t, (t < steps net)%nat -> s l j t = spiked go c t).

(* ---- the claim -------------------------------------------------------------------------------------------------------------------- *)
Fixpoint total (T : nat) (f : nat -> R) : R := match T with O => 0 | S T => total T f + f T end.
Definition outputs (net : network) : nat := length (hidden net).
(* T times the exact score of class k of a run's own last spikes *)
Definition score (net : network) (s : trains) (k : nat) : R :=
  match last net with
  | Some rows => match nth_error rows k with Some r => total (steps net) (fun t => affine r (fun i => bit (s (outputs net - 1)%nat i t))) | None => 0 end
  | None => total (steps net) (fun t => bit (s (outputs net - 1)%nat k t))
  end.
(* how far T times the run's logit may be from it: each term w s / T passes at most n + 1 sums, T + 2 of the mean *)
Definition slack (net : network) (k : nat) : R :=
  match last net with
  | Some rows => match nth_error rows k with
                 | Some r => INR (steps net) * (gamma (length (fst r) + steps net + 4) * (moduli (fst r) (fun _ => 1) + Rabs (val (snd r)))
                                                 + INR (length (fst r) + steps net + 4) * tiny)
                 | None => 0 end
  | None => 0
  end.
