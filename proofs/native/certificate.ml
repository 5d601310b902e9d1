(* Checks a certificate, line by line: its claim, whether the theorem is about this network, and its records by the proven machine. Trusted. *)
open Json
open Checker

let most_line = 1 lsl 24 and most_open = 1 lsl 12

(* the lines of a channel, none longer than what is held at once *)
let lines channel =
  let chunk = Bytes.create 65536 and at = ref 0 and behind = ref 0 in
  let line = Buffer.create 65536 in
  let take til =
    Buffer.add_subbytes line chunk !at (til - !at);
    at := til;
    if Buffer.length line > most_line then refuse "has a line of more bytes than are held at once" in
  let rec next () =
    if !at = !behind then (at := 0; behind := In_channel.input channel chunk 0 (Bytes.length chunk));
    if !behind = 0 then (if Buffer.length line = 0 then None else ended ())
    else match Bytes.index_from_opt chunk !at '\n' with
      | Some i when i < !behind -> take i; incr at; ended ()
      | _ -> take !behind; next ()
  and ended () = let found = Buffer.contents line in Buffer.clear line; Some found in
  next

let given what = function Some line -> line | None -> refuse ("lacks " ^ what)

(* what the machine would let pass, but is no certificate: a class again, too many splits within each other *)
let orderly net label state r =
  match state, r with
  | Root (_, closed), Class k -> if k = label || k >= classes net || List.mem k closed then refuse "is no class whose tree may begin here"
  | Tree (_, _, _, stack), (SplitRows _ | SplitSpike _) ->
      if List.compare_length_with stack most_open > 0 then refuse (Printf.sprintf "more than %d splits within each other" most_open)
  | _ -> ()

let why = function
  | Close -> "the leaf's bound does not suffice"
  | Empty -> "some run may be left here, or no part of a tree ends here"
  | _ -> "its rule does not hold, or it may not stand here"

let rec first n = function word :: rest when n > 0 -> word :: first (n - 1) rest | _ -> []

let taken (network : Network.t) (claim : Claim.t) state line index =
  Records.words := List.filter (fun word -> word <> "") (String.split_on_char ' ' (String.trim line));
  if !Records.words = [] then state
  else
    let named = String.concat " " (first 3 !Records.words) in
    try
      let r = Records.record network state (Records.next ()) in
      if !Records.words <> [] then refuse "a record goes on behind its end";
      orderly network.machine claim.label state r;
      match step network.machine claim.label claim.low claim.high claim.ties state r with
      | Some state -> state
      | None -> refuse (why r)
    with Refused why -> refuse (Printf.sprintf "record %d (%s): %s" index (short named) why)

(* what is proven *)
let check content channel =
  let next = lines channel in
  if String.trim (given "its format" (next ())) <> "spikecert.proof/2" then refuse "is no certificate of format spikecert.proof/2";
  let opened = Claim.opened (given "its claim" (next ())) content.Tensors.digest in
  let network = Network.of_content content opened.shape in
  let claim = Claim.read opened network in
  if not (fits network.machine claim.boxes) then
    refuse "no rule for a network that may overflow, or whose constants are out of range: `fits` is false";
  let rec go state index =
    match next () with
    | Some line -> go (taken network claim state line index) (index + 1)
    | None -> if not (finished network.machine claim.label state) then refuse "the certificate is cut short: a part of a tree, or a class, is missing" in
  go Start 1;
  claim.told
