(* The records of a certificate, one a line, as the machine's (checking/kernel/records.py tells the format). Trusted no further
   than that a record is what the machine gets: whatever it is, the machine checks it. *)
open Json
open Checker

let words = ref []
let next () = match !words with [] -> refuse "a record is cut short" | word :: rest -> words := rest; word

let digits_of word accepted =
  let start = if word <> "" && word.[0] = '-' then 1 else 0 in
  String.length word > start && (let rec go i = i >= String.length word || (accepted word.[i] && go (i + 1)) in go start)
let whole ?(least = 0) most =
  let word = next () in
  let decimal = function '0' .. '9' -> true | _ -> false in
  match if String.length word <= 9 && digits_of word decimal then int_of_string_opt word else None with
  | Some n when least <= n && n <= most -> n
  | _ -> refuse (Printf.sprintf "got %s, expected a whole number from %d to %d" (short word) least most)
let most = 1 lsl 24
let index () = whole most

let most_digits = 1 lsl 12 and most_bits = 160
let number () =
  let word = next () in
  let fail () = refuse (Printf.sprintf "got %s, expected a number with at most %d bits behind the point" (short word) most_bits) in
  let mantissa, bits = match String.index_opt word 'p' with
    | None -> (word, 0)
    | Some p ->
        let behind = String.sub word (p + 1) (String.length word - p - 1) in
        let decimal = function '0' .. '9' -> true | _ -> false in
        if behind = "" || String.length behind > 3 || not (String.for_all decimal behind) then fail ();
        (String.sub word 0 p, int_of_string ("0u" ^ behind)) in
  let hexadecimal = function '0' .. '9' | 'a' .. 'f' -> true | _ -> false in
  if bits > most_bits || String.length mantissa > most_digits || not (digits_of mantissa hexadecimal) then fail ();
  { fnum = Big.Whole.of_string_base 16 mantissa; fexp = Big.Whole.of_int (-bits) }

let[@tail_mod_cons] rec times n f = if n <= 0 then [] else let x = f () in x :: (times [@tailcall]) (n - 1) f
let[@tail_mod_cons] rec until_end f = if !words = [] then [] else let x = f () in x :: (until_end [@tailcall]) f
let pair f g () = let a = f () in let b = g () in (a, b)
let several f = times (index ()) f

let node () =
  let lo, hi = pair number number () in
  let place () = match whole ~least:(-1) (1 lsl 16) with -1 -> None | n -> Some n in
  let parent = place () in let silent = place () in let spike = place () in
  let cuts = several index in
  let taken = match whole 1 with 0 -> None | _ -> Some (pair number number ()) in
  { lo; hi; parent; silent; spike; cuts; taken }
let potential () =
  let pieces = several (pair number number) in
  let hints () = several (pair index number) in
  let silent = hints () in let spike = hints () in
  (pieces, (silent, spike))
let train () =
  let word = next () in
  if not (String.for_all (fun c -> c = '0' || c = '1') word) then refuse (Printf.sprintf "got %s, expected a train of 0 and 1" (short word));
  List.init (String.length word) (fun i -> word.[i] = '1')

(* ---- places: the machine counts layers from 0, and its neurons over all kinds of a layer ----------------------------------------- *)
let place (network : Network.t) =
  let p = index () in
  match List.assoc_opt p network.places with Some place -> place | None -> refuse (Printf.sprintf "layer %d: has no neurons" p)
let first network =
  if (place network).layer > 0 then refuse "only the first layer has currents that are constant"
let neuron network =
  let place = place network in
  let j = index () in
  if j >= Array.length place.neurons then refuse "there is no such neuron" else (place.layer, place.neurons.(j))
let deeper network =
  let l, j = neuron network in
  if l = 0 then refuse "is about a neuron that has a table" else (l, j)

(* a potential has one function for each node of the neuron's graph *)
let sizes state l j =
  let proof = match state with
    | At (_, _, _, _, now, _) -> (List.nth (List.nth now.laters (l - 1)) j).proof
    | _ -> None in
  match proof with
  | Some (_, stages) -> List.map (fun (stage : stage) -> List.length stage.cells) stages
  | None -> refuse "has no invariant, or stands outside of a leaf"

let record (network : Network.t) state word =
  let steps = network.machine.steps in
  match word with
  | "table" -> first network; Table (until_end (pair train (pair number number)))
  | "graph" ->
      let l, j = deeper network in
      let counts = times (steps + 1) (fun () -> whole (1 lsl 16)) in
      Graph (l, j, List.map (fun n -> times n node) counts)
  | "narrow" ->
      first network;
      let sign () = match whole ~least:(-1) 1 with 1 -> Some true | 0 -> None | _ -> Some false in
      Narrow (until_end (fun () -> let m = pair index sign () in (m, several (pair index number))))
  | "rows" -> first network; let j = index () in SplitRows (j, index (), false)
  | "spike" -> let l, j = deeper network in SplitSpike (l, j, index (), false)
  | "class" -> Class (index ())
  | "leaf" -> Leaf
  | "potential" ->
      let l, j = deeper network in
      (match state with
       | Void _ -> words := []; Potential (l, j, [], [])        (* no run is left here: nothing to bound *)
       | _ ->
           let sizes = sizes state l j in
           let mu = times steps number in
           Potential (l, j, mu, List.map (fun n -> times n potential) sizes))
  | "price" -> first network; let j = index () in Price (j, number ())
  | "close" -> Close
  | "empty" -> Empty
  | _ -> refuse "is no record that is known"
