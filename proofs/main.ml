(* Reads a network, a box and a certificate from a stream of lines, and runs the proven machine (checker.ml) over its records, one after the other.
   Trusted with it: this file, big.ml, Zarith, OCaml, Coq's extraction. What a certificate is of (its claim's text, the model file) is not looked at here.

   steps T                               before all else
   input low high                        a line for each number of the input
   layer P                               a hidden layer, by the place that records name it; its rows and neurons follow
   row bias (column weight)...           columns from 0, ascending
   neuron decay theta reset drop         reset: zero, subtract, none; a neuron a row
   last                                  an affine map of the last spikes; its rows follow
   ties argmax                           of equal logits the first one wins; without this line none may be equal
   label y                               then the certificate's records
   Numbers: hexadecimal digits, and `p` with the bits behind the point. *)
module Whole = Z
open Checker
exception Bad of string

let number word =
  match String.index_opt word 'p' with
  | None -> { fnum = Whole.of_string_base 16 word; fexp = Whole.zero }
  | Some i -> { fnum = Whole.of_string_base 16 (String.sub word 0 i);
                fexp = Whole.neg (Whole.of_string (String.sub word (i + 1) (String.length word - i - 1))) }

let words = ref []
let next () = match !words with [] -> raise (Bad "a record is cut short") | w :: rest -> words := rest; w
let whole () = match int_of_string_opt (next ()) with Some n when n >= 0 -> n | _ -> raise (Bad "expected a whole number")
let place_or_none () = match next () with "-1" -> None | w -> (match int_of_string_opt w with Some n when n >= 0 -> Some n | _ -> raise (Bad "expected a place"))
let num () = number (next ())
let rec times n f = if n <= 0 then [] else let x = f () in x :: times (n - 1) f
let rec until_end f = if !words = [] then [] else let x = f () in x :: until_end f
let pair f g () = let a = f () in let b = g () in (a, b)

let t = ref 0
let ins = ref []
let layers = ref []                                   (* place, rows, neurons; the latest first, these reversed *)
let final = ref None
let label = ref 0
let ties = ref false

let node () =
  let lo = num () in let hi = num () in
  let parent = place_or_none () in let silent = place_or_none () in let spike = place_or_none () in
  let cuts = times (whole ()) whole in
  let taken = match whole () with 0 -> None | 1 -> Some (pair num num ()) | _ -> raise (Bad "0 or 1") in
  { lo; hi; parent; silent; spike; cuts; taken }
let hints () = times (whole ()) (pair whole num)
let pot () = let pieces = times (whole ()) (pair num num) in let silent = hints () in let spike = hints () in (pieces, (silent, spike))

let index place = let rec go i = function [] -> raise (Bad "no such layer") | (p, _, _) :: rest -> if p = place then i else go (i + 1) rest in go 0 (List.rev !layers)
let first () = if index (whole ()) <> 0 then raise (Bad "only the first layer has currents that are constant")

(* sizes of a potential's levels are those of the neuron's graph, so the reader keeps them; the machine checks what it gets *)
let sizes : (int * int, int list) Hashtbl.t = Hashtbl.create 64

let record void word =
  match word with
  | "potential" | "price" when void -> words := []; Price (0, number "0")        (* no run is left here: the machine looks at none of these *)
  | "table" -> first (); Table (until_end (fun () -> let train = List.map (fun c -> c = '1') (List.of_seq (String.to_seq (next ()))) in (train, pair num num ())))
  | "graph" ->
      let l = index (whole ()) in let j = whole () in
      let counts = times (!t + 1) whole in
      Graph (l, j, List.map (fun n -> times n node) counts)
  | "narrow" ->
      first ();
      Narrow (until_end (fun () ->
        let m = whole () in
        let sign = match next () with "1" -> Some true | "-1" -> Some false | "0" -> None | _ -> raise (Bad "a sign") in
        ((m, sign), times (whole ()) (pair whole num))))
  | "rows" -> first (); let j = whole () in let k = whole () in SplitRows (j, k, false)
  | "spike" -> let l = index (whole ()) in let j = whole () in let t = whole () in SplitSpike (l, j, t, false)
  | "input" -> let i = whole () in let v = num () in SplitInput (i, v, false)
  | "class" -> Class (whole ())
  | "leaf" -> Leaf
  | "potential" ->
      let l = index (whole ()) in let j = whole () in
      let mu = times !t num in
      let counts = try Hashtbl.find sizes (l, j) with Not_found -> raise (Bad "has no invariant") in
      Potential (l, j, mu, List.map (fun n -> times n pot) counts)
  | "price" -> first (); let j = whole () in let mu = num () in Price (j, mu)
  | "close" -> Close
  | "empty" -> Empty
  | _ -> raise (Bad "no record")

(* the latest graph of a neuron in the part of the tree where we are: from the machine's own state *)
let known st =
  Hashtbl.reset sizes;
  let of_context = function
    | None -> ()
    | Some c -> List.iteri (fun l row -> List.iteri (fun j (a : later) -> match a.proof with
        | Some (_, stages) -> Hashtbl.replace sizes (l + 1, j) (List.map (fun (st : stage) -> List.length st.cells) stages) | None -> ()) row) c.laters in
  match st with At (_, _, _, _, now, _) -> of_context (Some now) | _ -> ()

let () =
  let channel = if Array.length Sys.argv > 1 then open_in Sys.argv.(1) else stdin in
  let count = ref 0 in
  let rec header () =
    let line = input_line channel in
    incr count;
    words := List.filter (fun w -> w <> "") (String.split_on_char ' ' line);
    match !words with
    | [] -> header ()
    | _ ->
        (match next () with
         | "steps" -> t := whole ()
         | "input" -> ins := pair num num () :: !ins
         | "layer" -> layers := (whole (), [], []) :: !layers
         | "row" ->
             let bias = num () in
             let row = (until_end (pair whole num), bias) in
             (match !final, !layers with
              | Some rows, _ -> final := Some (row :: rows)
              | None, (p, rows, ns) :: rest -> layers := (p, row :: rows, ns) :: rest
              | None, [] -> raise (Bad "a row of no layer"))
         | "neuron" ->
             let decay = num () in let theta = num () in
             let kind = match next () with "zero" -> Zero | "subtract" -> Subtract | "none" -> Never | _ -> raise (Bad "a reset") in
             let drop = num () in
             (match !layers with (p, rows, ns) :: rest -> layers := (p, rows, { decay; theta; kind; drop } :: ns) :: rest | [] -> raise (Bad "a neuron of no layer"))
         | "last" -> final := Some []
         | "ties" -> ties := (match next () with "argmax" -> true | "strict" -> false | _ -> raise (Bad "a word for ties"))
         | "label" -> label := whole ()
         | _ -> raise (Bad "no part of a network"));
        if !words <> [] then raise (Bad "goes on behind its end") else if String.length line >= 5 && String.sub line 0 5 = "label" then () else header () in
  let fail why = Printf.printf "refused: line %d: %s\n" !count why; exit 1 in
  try
    header ();
    let net = { steps = !t; hidden = List.rev_map (fun (_, rows, ns) -> (List.rev rows, List.rev ns)) !layers; last = Option.map List.rev !final } in
    let low = List.rev_map fst !ins and high = List.rev_map snd !ins in
    if not (fits net (List.combine low high)) then fail "a network that may overflow, or of numbers that float32 has not";
    let st = ref Start in
    (try
       while true do
         let line = input_line channel in
         incr count;
         words := List.filter (fun w -> w <> "") (String.split_on_char ' ' line);
         if !words <> [] then begin
           let word = next () in
           let r = record (match !st with Void _ -> true | _ -> false) word in
           if !words <> [] then raise (Bad "a record goes on behind its end");
           (match step net !label low high !ties !st r with Some s -> st := s | None -> raise (Bad ("the machine refuses this record: " ^ String.sub line 0 (min 40 (String.length line)))));
           (match r with Leaf -> known !st | _ -> ())
         end
       done
     with End_of_file -> ());
    if finished net !label !st then print_endline "accepted" else fail "the certificate is cut short"
  with
  | Bad why -> fail why
  | End_of_file -> fail "ends before its label"
  | Invalid_argument why | Failure why -> fail why
